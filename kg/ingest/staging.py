"""Staging: a data set's source files become deduplicated tables on disk.

Staging is a function of the input files alone. What it writes is what the graph must hold, so
writing can be repeated, interrupted and compared; and the books are made here: every row read is
merged, a duplicate, filtered, or quarantined with its file, line and reason. Memory does not grow
with the input: records go to disk as they are read (spill.py), and are sorted there (reconcile.py).
"""

from __future__ import annotations

import fcntl
import shutil
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from kg.errors import PersonarecError
from kg.ingest.quarantine import Quarantine
from kg.ingest.reading import read_sources
from kg.ingest.reconcile import Reconciler
from kg.ingest.sources import DataSetSources
from kg.ingest.spill import Spill
from kg.ingest.stage import Books, Progress, Stage, load_stage
from kg.partial import write_json


class Engine(Protocol):
    """What reads and sorts in the place of this process."""

    def read(
        self,
        data_set: DataSetSources,
        folder: Path,
        books: list[Books],
        quarantine: Quarantine,
        progress: Progress,
    ) -> dict[str, str]:
        """As ``read_sources``; returns what ``Spill.files`` returns."""
        ...

    def sql(self, folder: Path) -> Any:
        """What stands in for the reconciler's SQL engine, with working files under ``folder``."""
        ...


def stage(
    data_set: DataSetSources, folder: Path, progress: Progress, engine: Engine | None = None
) -> Stage:
    """Stage a data set under ``folder``, or take the stage that is already there.

    Args:
        data_set: what to stage.
        folder: where the stage goes.
        progress: called as rows are read and with each step.
        engine: what stages; this process when left out.

    Raises:
        ChangeSomethingError: a file cannot be read, or there is no interaction in any.
    """
    content_hash = data_set.content_hash()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stage.lock").open("w") as lock:
        # One at a time; a second process waits, then takes what the first one made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _stage(data_set, content_hash, folder, progress, engine)


def _stage(
    data_set: DataSetSources,
    content_hash: str,
    folder: Path,
    progress: Progress,
    engine: Engine | None,
) -> Stage:
    final = folder / f"stage-{content_hash[:16]}"
    if (staged := load_stage(final)) is not None:
        return staged
    partial = folder / "stage.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    result = _make(data_set, content_hash, partial, progress, engine)
    document = asdict(result) | {"folder": None}
    write_json(partial / "stage.json", document)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    for old in folder.glob("stage-*"):
        if old != final:
            shutil.rmtree(old)
    return replace(result, folder=final)


def _make(
    data_set: DataSetSources,
    content_hash: str,
    folder: Path,
    progress: Progress,
    engine: Engine | None,
) -> Stage:
    books = [Books(n, s.loader) for n, s in zip(data_set.names(), data_set.sources, strict=True)]
    spill = folder / "records"
    spill.mkdir()
    with closing(Quarantine(folder, books)) as quarantine:
        if engine is None:
            records = Spill(spill)
            read_sources(data_set, records, books, quarantine, progress)
            files, sql = records.files(), None
        else:
            files = engine.read(data_set, spill, books, quarantine, progress)
            sql = engine.sql(spill)
        with closing(
            Reconciler(data_set, folder, files, books, quarantine, progress, sql)
        ) as reconciler:
            tables = reconciler.run()
    shutil.rmtree(spill)
    _balance(books)
    return Stage(folder, data_set.name, data_set.domain, content_hash, tables, books)


def _balance(books: list[Books]) -> None:
    for book in books:
        if book.rows_in != book.merged + book.duplicates + book.filtered + book.quarantined:
            raise PersonarecError(
                f"the books of {book.source} do not balance: {book.rows_in} rows in, "
                f"{book.merged} merged + {book.duplicates} duplicates + {book.filtered} filtered + "
                f"{book.quarantined} quarantined; this is a defect of personarec, please report it"
            )
