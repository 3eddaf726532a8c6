"""Bring a table of nodes or relations into the graph: read what is there, write the difference.

Every writing transaction takes the data set's lock first, then reads, then writes what differs. So
a batch may run again after any failure, known or unknown outcome alike, two loads cannot
interleave, and a second load of the same content writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from kg.errors import ChangeSomethingError
from kg.store import GraphStore, Transaction, statement

BATCH_ROWS = 5_000
MAX_BATCH_BYTES = 8 * 1024 * 1024  # the embedded engine hangs on messages over 16 MiB

Properties = dict[str, Any]


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


@dataclass(frozen=True)
class NodeRow:
    """A node as it must be; ``on_create`` holds what only a new node gets."""

    id: str
    properties: Properties
    on_create: Properties


@dataclass(frozen=True)
class RelationRow:
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


@dataclass(frozen=True)
class Writer:
    """Writes batches of one data set under one load id.

    ``before_first_write`` is called once before anything is written, so that a load that changes
    nothing leaves no trace. With ``dry_run`` only the difference is counted and nothing written.
    """

    store: GraphStore
    dataset: str
    load: str
    before_first_write: Callable[[], None]
    dry_run: bool = False

    def nodes(self, label: str, rows: Sequence[NodeRow]) -> Counts:
        """Bring nodes of one label to what ``rows`` say. Other properties stay."""

        def difference(tx: Transaction) -> tuple[list[NodeRow], list[NodeRow], int]:
            found: dict[str, Properties] = dict(
                map(tuple, tx.rows(statement("read_nodes", label=label), ids=[r.id for r in rows]))
            )
            missing = [r for r in rows if r.id not in found]
            changed = [r for r in rows if r.id in found and _differs(r.properties, found[r.id])]
            return missing, changed, len(rows) - len(missing) - len(changed)

        def work(tx: Transaction) -> Counts:
            self._lock(tx)
            missing, changed, same = difference(tx)
            query = statement("merge_nodes", label=label)
            for part in split([self._new_node(r) for r in missing]):
                tx.execute(query, rows=part)
            for part in split(
                [{"id": r.id, "properties": self._stamped(r.properties)} for r in changed]
            ):
                tx.execute(query, rows=part)
            return Counts(len(missing), len(changed), 0, same)

        missing, changed, same = self.store.transaction(difference, read=True)
        if not missing and not changed:
            return Counts(unchanged=same)
        if self.dry_run:
            return Counts(len(missing), len(changed), 0, same)
        self.before_first_write()
        return self.store.transaction(work)

    def relations(
        self,
        kind: RelationKind,
        rows: Sequence[RelationRow],
        *,
        key: tuple[str, ...] = (),
        replace_sources: Sequence[str] | None = None,
    ) -> Counts:
        """Bring relations of one type to what ``rows`` say.

        Args:
            kind: the relation type and the labels of its ends.
            rows: the relations; each (source, target, values of ``key``) once.
            key: properties that tell parallel relations apart, where there may be some.
            replace_sources: sources whose other relations of this kind are deleted.

        Raises:
            ChangeSomethingError: an end of a relation is not in the graph.
        """
        sources = sorted({r.source for r in rows} | set(replace_sources or ()))

        def identity(source: str, target: str, properties: Properties) -> tuple[Any, ...]:
            return (source, target, *(properties.get(k) for k in key))

        wanted = {identity(r.source, r.target, r.properties): r for r in rows}

        def difference(
            tx: Transaction,
        ) -> tuple[list[RelationRow], list[RelationRow], list[dict[str, str]], int]:
            found = {
                identity(s, t, p): p
                for s, t, p in tx.rows(statement("read_relations", **kind.names()), ids=sources)
            }
            missing = [r for k, r in wanted.items() if k not in found]
            changed = [
                r for k, r in wanted.items() if k in found and _differs(r.properties, found[k])
            ]
            stale = (
                [{"source": s, "target": t} for s, t, *_ in found.keys() - wanted.keys()]
                if replace_sources is not None
                else []
            )
            return missing, changed, stale, len(rows) - len(missing) - len(changed)

        def work(tx: Transaction) -> Counts:
            self._lock(tx)
            missing, changed, stale, same = difference(tx)
            for part in split(stale):
                tx.execute(statement("delete_relations", **kind.names()), rows=part)
            for part in split([self._relation(r) for r in missing]):
                done = tx.execute(statement("create_relations", **kind.names()), rows=part)
                if done.relationships_created != len(part):
                    raise ChangeSomethingError(
                        f"{len(part) - done.relationships_created} {kind.type} relations from "
                        f"{part[0]['source']} on have an end that is not in the graph; was it "
                        "removed during the load? Run kg ingest again"
                    )
            for part in split([self._changed_relation(r) for r in changed]):
                tx.execute(statement("update_relations", **kind.names()), rows=part)
            return Counts(len(missing), len(changed), len(stale), same)

        missing, changed, stale, same = self.store.transaction(difference, read=True)
        if not missing and not changed and not stale:
            return Counts(unchanged=same)
        if self.dry_run:
            return Counts(len(missing), len(changed), len(stale), same)
        self.before_first_write()
        return self.store.transaction(work)

    def _lock(self, tx: Transaction) -> None:
        # A value never written before: the embedded engine takes no notice of a write that changes
        # nothing, and its conflict check is what serves as the lock there.
        token = f"{self.load} {secrets.token_hex(8)}"
        tx.execute(statement("lock_data_set"), dataset=self.dataset, token=token)

    def _stamped(self, properties: Properties) -> Properties:
        return properties | {"loadId": self.load}

    def _new_node(self, row: NodeRow) -> dict[str, Any]:
        properties = {k: v for k, v in (row.on_create | row.properties).items() if v is not None}
        return {"id": row.id, "properties": self._stamped(properties)}

    def _relation(self, row: RelationRow) -> dict[str, Any]:
        properties = {k: v for k, v in row.properties.items() if v is not None}
        return {"source": row.source, "target": row.target, "properties": self._stamped(properties)}

    def _changed_relation(self, row: RelationRow) -> dict[str, Any]:
        # Nulls too: they take away a property that the source no longer has.
        properties = self._stamped(row.properties)
        return {"source": row.source, "target": row.target, "properties": properties}


def _differs(wanted: Properties, found: Properties) -> bool:
    return any(found.get(k) != v for k, v in wanted.items())


def split(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cut rows into messages of at most BATCH_ROWS rows and about MAX_BATCH_BYTES bytes."""
    part: list[dict[str, Any]] = []
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
