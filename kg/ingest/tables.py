"""Bring a table of nodes or relations into the graph: read what is there, write the difference.

Every writing transaction takes the data set's lock first, then reads, then writes what differs. So
a batch may run again after any failure, known or unknown outcome alike, two loads cannot
interleave, and a second load of the same content writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import orjson

from kg.errors import ChangeSomethingError
from kg.store import GraphStore, Transaction, statement

BATCH_ROWS = 5_000
MAX_BATCH_BYTES = 8 * 1024 * 1024  # the embedded engine hangs on messages over 16 MiB

Properties = dict[str, Any]
T = TypeVar("T")


@dataclass
class Counts:
    """What a write did."""

    created: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        self.created += other.created
        self.changed += other.changed
        self.deleted += other.deleted
        self.unchanged += other.unchanged
        return self


class NodeRow(NamedTuple):
    """A node as it must be."""

    id: str
    properties: Properties


class RelationRow(NamedTuple):
    """A relation as it must be."""

    source: str
    target: str
    properties: Properties


@dataclass(frozen=True)
class RelationKind:
    """A relation type between two labels."""

    type: str
    source: str
    target: str

    def names(self) -> dict[str, str]:
        """Names for a statement's placeholders."""
        return {"type": self.type, "source": self.source, "target": self.target}


@dataclass
class _Difference:
    """What a batch has to write."""

    missing: list[list[Any]]
    """Keys, then the value of each property."""
    changed: list[Any]
    """Rows as they must be."""
    stale: list[list[str]]
    unchanged: int

    def counts(self) -> Counts:
        return Counts(len(self.missing), len(self.changed), len(self.stale), self.unchanged)

    def nothing(self) -> bool:
        return not (self.missing or self.changed or self.stale)


@dataclass
class Writer:
    """Writes batches of one data set under one load id.

    All rows of a batch have the same properties. ``before_first_write`` is called before anything
    is written, so that a load that changes nothing leaves no trace. With ``dry_run`` only the
    difference is counted and nothing written.
    """

    store: GraphStore
    dataset: str
    load: str
    before_first_write: Callable[[], None]
    dry_run: bool = False
    # Whether the last batch wrote: then the next one will too, and need not be looked at before
    # its transaction takes the lock and looks.
    _writing: bool = field(default=False, init=False)
    _alone: str | None = field(default=None, init=False)
    """Where this writer made the data set: the lock as it left it last. While the lock still reads
    so, nobody else has written, and what the data set owns is what was written here."""

    def nodes(self, label: str, rows: Sequence[NodeRow], *, shared: bool = False) -> Counts:
        """Bring nodes of one label to what ``rows`` say. Other properties stay.

        Of ``shared`` nodes those that exist stay as they are: the first to name one has named it.
        """
        names = tuple(rows[0].properties) if rows else ()
        read = statement("found_nodes", label=label, columns=() if shared else names)

        def difference(tx: Transaction, *, alone: bool = False) -> _Difference:
            known = alone and not shared
            ((found,),) = [[[]]] if known else tx.rows(read, ids=[r.id for r in rows])
            there = {key: values for key, *values in found}
            missing, changed = [], []
            for row in rows:
                wanted = [*row.properties.values()]
                had = there.get(row.id)
                if had is None:
                    missing.append([row.id, *wanted])
                elif had != wanted and not shared:
                    changed.append(row)
            return _Difference(missing, changed, [], len(rows) - len(missing) - len(changed))

        def write(tx: Transaction, found: _Difference) -> None:
            create = statement("create_nodes", label=label, values=names)
            for part in split(found.missing):
                tx.execute(create, rows=part, load=self.load)
            update = statement("update_nodes", label=label)
            changed = [{"id": r.id, "properties": self._stamped(r)} for r in found.changed]
            for batch in split(changed):
                tx.execute(update, rows=batch)

        return self._bring(difference, write)

    def relations(
        self,
        kind: RelationKind,
        rows: Sequence[RelationRow],
        *,
        key: tuple[str, ...] = (),
        replace_sources: Sequence[str] | None = None,
        shared: bool = False,
    ) -> Counts:
        """Bring relations of one type to what ``rows`` say.

        Of ``shared`` relations, between nodes of no data set, those that exist stay as they are.

        Args:
            kind: the relation type and the labels of its ends.
            rows: the relations; each (source, target, values of ``key``) once.
            key: properties that tell parallel relations apart, where there may be some.
            replace_sources: sources whose other relations of this kind are deleted.

        Raises:
            ChangeSomethingError: an end of a relation is not in the graph.
        """
        names = tuple(rows[0].properties) if rows else key
        places = (0, 1, *(2 + names.index(k) for k in key))
        identity = itemgetter(*places)
        sources = sorted({r.source for r in rows} | set(replace_sources or ()))
        read = statement("found_relations", **kind.names(), columns=() if shared else names)

        def difference(tx: Transaction, *, alone: bool = False) -> _Difference:
            known = alone and not shared
            ((found,),) = [[[]]] if known else tx.rows(read, ids=sources)
            there = {identity(values): values for values in found}
            missing, changed = [], []
            for row in rows:
                wanted = [row.source, row.target, *row.properties.values()]
                had = there.pop(identity(wanted), None)
                if had is None:
                    missing.append(wanted)
                elif had != wanted and not shared:
                    changed.append(row)
            stale = [k[:2] for k in there] if replace_sources is not None else []
            unchanged = len(rows) - len(missing) - len(changed)
            return _Difference(missing, changed, [list(s) for s in stale], unchanged)

        def write(tx: Transaction, found: _Difference) -> None:
            delete = statement("delete_relations", **kind.names())
            for batch in split([{"source": s, "target": t} for s, t in found.stale]):
                tx.execute(delete, rows=batch)
            create = statement("create_relations", **kind.names(), values=names)
            for part in split(found.missing):
                # Each end is looked up once for all of its relations.
                targets = list(dict.fromkeys(target for _, target, *_ in part))
                place = {target: number for number, target in enumerate(targets)}
                grouped = [
                    [source, [[place[target], *values] for _, target, *values in group]]
                    for source, group in groupby(part, key=itemgetter(0))
                ]
                done = tx.execute(create, targets=targets, sources=grouped, load=self.load)
                if done.relationships_created != len(part):
                    raise ChangeSomethingError(
                        f"{len(part) - done.relationships_created} {kind.type} relations from "
                        f"{part[0][0]} on have an end that is not in the graph; was it "
                        "removed during the load? Run kg ingest again"
                    )
            update = statement("update_relations", **kind.names())
            changed = [
                {"source": r.source, "target": r.target, "properties": self._stamped(r)}
                for r in found.changed
            ]
            for rows_changed in split(changed):
                tx.execute(update, rows=rows_changed)

        return self._bring(difference, write)

    def _bring(
        self,
        difference: Callable[..., _Difference],
        write: Callable[[Transaction, _Difference], None],
    ) -> Counts:
        if not self._writing:
            found = self.store.transaction(difference, read=True)
            if found.nothing() or self.dry_run:
                return found.counts()
            self.before_first_write()

        def work(tx: Transaction) -> tuple[_Difference, str | None]:
            before, token = self.lock(tx)
            alone = self._alone is not None and before == self._alone
            found = difference(tx, alone=alone)
            write(tx, found)
            return found, token if alone else None

        done, self._alone = self.store.transaction(work)
        self._writing = not done.nothing()
        return done.counts()

    def begin(self, tx: Transaction) -> str | None:
        """Take the lock for the first time: the token where that made the data set, else None."""
        token = self._token()
        made = tx.execute(statement("lock_data_set"), dataset=self.dataset, token=token)
        return token if made.nodes_created else None

    def alone_since(self, token: str | None) -> None:
        """Note that ``begin`` was committed, and what it said."""
        self._alone = token

    def lock(self, tx: Transaction) -> tuple[str | None, str]:
        """Take the data set's lock for this transaction; who held it last, and our token."""
        token = self._token()
        tx.execute(statement("take_data_set_lock"), dataset=self.dataset, token=token)
        ((before,),) = tx.rows(statement("data_set_lock"), dataset=self.dataset)
        tx.execute(statement("lock_data_set"), dataset=self.dataset, token=token)
        return before, token

    def _token(self) -> str:
        # A value never written before: the embedded engine takes no notice of a write that changes
        # nothing, and its conflict check is what serves as the lock there.
        return f"{self.load} {secrets.token_hex(8)}"

    def _stamped(self, row: NodeRow | RelationRow) -> Properties:
        # Nulls too: they take away a property that the source no longer has.
        return row.properties | {"loadId": self.load}


def split(rows: Sequence[T]) -> Iterator[list[T]]:
    """Cut rows into messages of at most BATCH_ROWS rows and about MAX_BATCH_BYTES bytes."""
    if rows and len(rows) <= BATCH_ROWS and len(orjson.dumps(rows)) <= MAX_BATCH_BYTES:
        yield list(rows)
        return
    part: list[T] = []
    size = 0
    for row in rows:
        own = len(orjson.dumps(row))
        if part and (len(part) == BATCH_ROWS or size + own > MAX_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += own
    if part:
        yield part
