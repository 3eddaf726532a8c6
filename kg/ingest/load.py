"""Ingest: stage a data set, bring the graph to it, close the books."""

from __future__ import annotations

import gc
import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from kg.errors import ChangeSomethingError, PersonarecError
from kg.ingest.journal import Journal
from kg.ingest.sources import DataSetSources
from kg.ingest.stage import Progress, Stage, Table
from kg.ingest.staging import stage
from kg.ingest.tables import BATCH_ROWS, Counts, NodeRow, RelationKind, RelationRow, Writer
from kg.schema import NODE_TYPES, Role
from kg.store import GraphStore, Transaction, statement
from kg.store.embedded import Filling

OWNED = {n.label for n in NODE_TYPES if n.role in (Role.USER, Role.ITEM)}
WINDOW = 20  # batches read from disk at a time
# Data sets of so many rows are loaded in bulk where the engine can: fewer load as fast in batches,
# and of more it would cost too much memory, and time when the load is interrupted.
BULK_ROWS = range(20_000, 2_500_001)


@dataclass(frozen=True)
class IngestResult:
    """What an ingest found and did."""

    stage: Stage
    load: str | None
    """Id of the load in the ledger; None when the graph already held everything."""
    created: int
    changed: int
    unchanged: int
    resumed: bool
    """Whether it went on with an open load; of a dry run, whether a load would."""
    dry_run: bool = False
    """Whether the counts say what a load would do."""
    retries: int = 0
    """Batches that ran again, after a clash with another writer or a broken connection."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.stage.data_set,
            "load": self.load,
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "resumed": self.resumed,
            "dry_run": self.dry_run,
            "retries": self.retries,
            "books": [asdict(b) for b in self.stage.books],
        }


def ingest(
    store: GraphStore,
    data_set: DataSetSources,
    home: Path,
    progress: Progress,
    *,
    batch_rows: int = BATCH_ROWS,
    max_bad: float = 0.01,
    dry_run: bool = False,
    make_writer: Callable[..., LoadWriter] | None = None,
) -> IngestResult:
    """Load a data set, go on with a load that was interrupted, or confirm that nothing changed.

    Args:
        store: the graph.
        data_set: what to load.
        home: the project's home folder; the stage and the journal go under ``ingest/NAME``.
        progress: called as rows are read and written.
        batch_rows: rows a transaction.
        max_bad: share of the rows of a source that may be malformed; facts that the schema has no
            place for do not count.
        dry_run: stage, then only read the graph and count what a load would do.
        make_writer: makes what writes the tables, of the arguments of ``LoadWriter``; that itself
            when left out.

    Raises:
        ChangeSomethingError: a source cannot be read, or too many of its rows are unusable.
        TryAgainError: the graph server went away; running again goes on from there.
    """
    folder = home / "ingest" / data_set.name
    staged = stage(data_set, folder, progress)
    check_quarantine(staged, max_bad)
    if dry_run:
        _check_domain(store, data_set)
        return _compare(store, staged, progress, batch_rows)
    store.ensure_schema()
    _check_domain(store, data_set)
    load = _Load(store, staged, folder, progress, batch_rows, make_writer or LoadWriter)
    return load.run()


def check_quarantine(staged: Stage, max_bad: float) -> None:
    for book in staged.books:
        bad = book.quarantined - book.unused
        if bad > max_bad * book.rows_in:
            first = next(r for r in staged.quarantine() if r["source"] == book.source)
            raise ChangeSomethingError(
                f"{book.source}: {bad} of {book.rows_in} rows are unusable, first "
                f"line {first['line']}: {first['reason']}; nothing was loaded; all are listed in "
                f"{staged.folder / 'quarantine.jsonl'}; mend the file, or allow more with --max-bad"
            )


def _check_domain(store: GraphStore, data_set: DataSetSources) -> None:
    for name, domain, *_ in store.read(statement("data_sets")):
        if name == data_set.name and domain and domain != data_set.domain:
            raise ChangeSomethingError(
                f"data set {name} is in the graph with domain {domain}, not {data_set.domain}; "
                "give this one another name"
            )


def _compare(store: GraphStore, staged: Stage, progress: Progress, batch_rows: int) -> IngestResult:
    """What a load of the stage would do now; reads only."""
    writer = Writer(store, staged.data_set, "", lambda: None, dry_run=True)
    counts = Counts()
    total = sum(t.rows for t in staged.tables)
    done = 0
    for table in staged.tables:
        for _, rows in _batches(staged, table, 0, batch_rows):
            counts += _write(writer, table, rows)
            progress("comparing", done := done + len(rows), total)
    resumes = bool(open_loads(store, staged))
    return IngestResult(
        staged, None, counts.created, counts.changed, counts.unchanged, resumes, dry_run=True
    )


def open_loads(store: GraphStore, staged: Stage, *, latest: bool = False) -> list[str]:
    """Loads of this content that began and did not end, oldest first.

    Of a cluster, a member that may lag answers; with ``latest`` the one that writes.
    """
    names = {"dataset": staged.data_set, "contentHash": staged.content_hash}
    query = statement("running_loads")
    rows = store.transaction(lambda tx: tx.rows(query, **names), read=not latest)
    return [row[0] for row in rows]


def _batches(
    staged: Stage, table: Table, start: int, size: int, stop: int | None = None
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    frame = pl.scan_parquet(staged.folder / table.file)
    stop = table.rows if stop is None else stop
    # Many batches at a time: to reach one row of the file a whole block of it is decoded.
    for window in range(start, stop, size * WINDOW):
        rows = min(size * WINDOW, stop - window)
        for batch in frame.slice(window, rows).collect().iter_slices(size):
            yield start, batch.to_dicts()
            start += len(batch)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Rows hold no reference cycles, and looking for some takes half the time of preparing them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _write(writer: Writer, table: Table, rows: list[dict[str, Any]]) -> Counts:
    # What carries the name of a data set is its own; the rest is shared between data sets.
    if table.kind == "node":
        shared = "dataset" not in rows[0]
        return writer.nodes(table.label, [NodeRow(r.pop("id"), r) for r in rows], shared=shared)
    kind = RelationKind(table.label, table.source_label, table.target_label)
    shared = table.source_label not in OWNED
    return writer.relations(kind, [_relation(r) for r in rows], shared=shared)


class LoadWriter:
    """Writes rows of staged tables under one load, and opens that before the first new row."""

    def __init__(
        self, store: GraphStore, staged: Stage, load: str, batch_rows: int, *, started: bool = False
    ) -> None:
        self.store = store
        self.stage = staged
        self.load = load
        self.batch_rows = batch_rows
        self.started = started
        """Whether the load is open in the ledger."""
        self._writer = Writer(store, staged.data_set, load, self.start)

    def start(self) -> None:
        """Open the load in the ledger where it is not."""
        if not self.started:
            self._writer.alone_since(self.store.transaction(self._begin))
            self.started = True

    def _begin(self, tx: Transaction) -> str | None:
        token = self._writer.begin(tx)
        tx.execute(
            statement("start_load"),
            load=self.load,
            dataset=self.stage.data_set,
            contentHash=self.stage.content_hash,
            now=_now(),
        )
        return token

    def write(
        self, table: Table, start: int, stop: int | None = None
    ) -> Iterator[tuple[int, Counts]]:
        """Bring rows ``start`` to ``stop`` (the end when left out) of a table into the graph.

        Yields the row it has come to, and what it did since it last said so.
        """
        for first, rows in _batches(self.stage, table, start, self.batch_rows, stop):
            with _no_search_for_cycles():
                counts = _write(self._writer, table, rows)
            yield first + len(rows), counts


class _Load:
    def __init__(
        self,
        store: GraphStore,
        staged: Stage,
        folder: Path,
        progress: Progress,
        batch_rows: int,
        make_writer: Callable[..., LoadWriter],
    ) -> None:
        self.store = store
        self.stage = staged
        self.progress = progress
        self.batch_rows = batch_rows
        where = hashlib.sha256(f"{store.address} {store.database}".encode()).hexdigest()[:12]
        self.journal_file = folder / f"journal-{where}.json"
        self.journal, self.resumed = self._open_journal()
        self.writer = make_writer(
            store, staged, self.journal.load, batch_rows, started=self.resumed
        )

    def _open_journal(self) -> tuple[Journal, bool]:
        # The ledger in the graph decides: it may have been wiped since the journal was written,
        # or the process may have died before it wrote one.
        unfinished = open_loads(self.store, self.stage)
        journal = Journal.load_from(self.journal_file)
        if journal and journal.load in unfinished:
            return journal, True
        if unfinished:
            return Journal(unfinished[0], self.stage.content_hash), True
        return Journal(new_load_id(), self.stage.content_hash), False

    def run(self) -> IngestResult:
        journal, tables = self.journal, self.stage.tables
        total = sum(t.rows for t in tables)
        before = sum(t.rows for t in tables[: journal.table])
        self.progress("writing", before + journal.row, total)
        if not self.writer.started and total in BULK_ROWS and self.store.fill(self._fill):
            journal.table, journal.created = len(tables), total
        for index in range(journal.table, len(tables)):
            for row, counts in self.writer.write(tables[index], journal.row):
                self._commit(index, row, counts)
                self.progress("writing", before + row, total)
            before += tables[index].rows
            journal.table, journal.row = index + 1, 0
        self._balance(total)
        if self.writer.started:
            self._finish()
        self.journal_file.unlink(missing_ok=True)
        return IngestResult(
            self.stage,
            journal.load if self.writer.started else None,
            journal.created,
            journal.changed,
            journal.unchanged,
            self.resumed,
            retries=self.store.retries,
        )

    def _fill(self, filling: Filling) -> None:
        # The ledger first: a data set without it would not be known for what it is.
        self.writer.start()
        total = sum(t.rows for t in self.stage.tables)
        done = 0
        for table in self.stage.tables:
            for _, rows in _batches(self.stage, table, 0, self.batch_rows):
                if table.kind == "node":
                    filling.nodes(table.label, [self._stamped(r) for r in rows])
                else:
                    kind = (table.label, table.source_label, table.target_label)
                    relations = [_relation(r) for r in rows]
                    ends = [(r.source, r.target) for r in relations]
                    filling.relations(kind, ends, [self._stamped(r.properties) for r in relations])
                self.progress("writing", done := done + len(rows), total)

    def _stamped(self, properties: dict[str, Any]) -> dict[str, Any]:
        present = {k: v for k, v in properties.items() if v is not None}
        return present | {"loadId": self.journal.load}

    def _commit(self, table: int, row: int, counts: Counts) -> None:
        journal = self.journal
        journal.table, journal.row = table, row
        journal.created += counts.created
        journal.changed += counts.changed
        journal.unchanged += counts.unchanged
        if self.writer.started:
            journal.save(self.journal_file)

    def _balance(self, total: int) -> None:
        journal = self.journal
        if journal.created + journal.changed + journal.unchanged != total:
            raise PersonarecError(
                f"data set {self.stage.data_set}: {total} staged rows, but in the graph "
                f"{journal.created} created + {journal.changed} changed + {journal.unchanged} "
                "unchanged; the load stays open; run kg ingest again"
            )

    def _finish(self) -> None:
        stage = self.stage
        self.store.write(
            statement("abandon_loads"), dataset=stage.data_set, contentHash=stage.content_hash
        )
        self.store.write(
            statement("finish_load"),
            load=self.journal.load,
            dataset=stage.data_set,
            domain=stage.domain,
            contentHash=stage.content_hash,
            now=_now(),
            books={
                **stage.totals(),
                "created": self.journal.created,
                "changed": self.journal.changed,
            },
        )


def new_load_id() -> str:
    """An id for a load: when it began (UTC), and a number against two in one second.

    Every node and relation carries it. Up to 22 digits and dashes take two blocks of a property
    record in Neo4j, and a record has four: a rating fits in two records, a fact in one. One digit
    more, and each takes another record.
    """
    return f"{datetime.now(UTC):%y%m%d-%H%M%S}-{secrets.randbelow(10**8):08d}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _relation(row: dict[str, Any]) -> RelationRow:
    source, target = row.pop("source"), row.pop("target")
    row["source"] = row.pop("source_")
    return RelationRow(source, target, row)
