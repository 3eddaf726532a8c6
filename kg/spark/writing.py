"""Writing on Spark: tasks bring parts of a staged table into the graph.

Rows go from the folder of the stage through the workers into the database, and not through this
process. A task opens a connection of its own and writes the batches that one process would write.
Each of their transactions takes the data set's lock first: tasks wait for each other and cannot
deadlock, and one that Spark runs twice finds its rows there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError, PersonarecError, one_line
from kg.ingest.load import IngestResult, LoadWriter, ingest, open_loads
from kg.ingest.sources import DataSetSources
from kg.ingest.stage import Progress, Stage, Table
from kg.ingest.tables import Counts
from kg.spark.engine import stage_with_spark
from kg.spark.session import spark_session, translated_errors, waited_for
from kg.store import GraphStore, Server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PART_ROWS = 100_000
"""Rows of a task, at most: so many are looked at again when one fails or the load is killed."""


def ingest_with_spark(
    store: GraphStore,
    data_set: DataSetSources,
    home: Path,
    progress: Progress,
    *,
    dry_run: bool = False,
    **options: Any,
) -> IngestResult:
    """``kg.ingest.ingest``, staged by Spark; and written by it, where the graph is a server.

    The embedded engine lives in one process, and that writes its rows. So it is with a dry run.

    Args:
        store: the graph; all workers must reach its server.
        data_set: what to load; all workers must see its files.
        home: the project's home folder; all workers must see it.
        progress: called with each step of staging, and as rows are written.
        dry_run: as of ``ingest``.
        options: others of ``ingest``.

    Raises:
        ChangeSomethingError: as ``ingest`` and ``stage_with_spark``, here or on a worker.
        TryAgainError: as those, or Spark failed; running again goes on from there.
    """
    home = home.absolute()  # workers need not have this process's working directory
    with spark_session() as spark:
        stage_with_spark(data_set, home / "ingest" / data_set.name, progress)
        if store.server is not None and not dry_run:
            make = partial(SparkWriter, spark, store.server)
            return ingest(store, data_set, home, progress, make_writer=make, **options)
    return ingest(store, data_set, home, progress, dry_run=dry_run, **options)


class SparkWriter(LoadWriter):
    """Writes rows of staged tables by tasks, as many at a time as Spark runs by default."""

    def __init__(
        self,
        spark: SparkSession,
        server: Server,
        store: GraphStore,
        staged: Stage,
        load: str,
        batch_rows: int,
        *,
        started: bool = False,
    ) -> None:
        super().__init__(store, staged, load, batch_rows, started=started)
        self._spark = spark.sparkContext
        self._server = server

    def write(
        self, table: Table, start: int, stop: int | None = None
    ) -> Iterator[tuple[int, Counts]]:
        """As of ``LoadWriter``; rows that a failed task had written count as unchanged."""
        stop = table.rows if stop is None else stop
        while start < stop:
            parts = parts_of(start, stop, self._spark.defaultParallelism, self.batch_rows)
            # The password goes with the function: what is given to parallelize lies in a file.
            work = partial(
                write_part,
                server=self._server,
                staged=self.stage,
                load=self.load,
                batch_rows=self.batch_rows,
                started=self.started,
                table=table,
            )
            with translated_errors():
                done = waited_for(self._spark.parallelize(parts, len(parts)).map(work).collect)
            for part in done:
                self.store.retries += part.retries
                if part.error is not None:
                    raise part.error
            counts = Counts()
            for part in done:
                counts += part.counts
            # The ledger knows: of a task that died after it had opened the load nothing came back.
            if not self.started:
                self.started = self.load in open_loads(self.store, self.stage, latest=True)
            start = parts[-1][1]
            yield start, counts


def parts_of(start: int, stop: int, tasks: int, batch_rows: int) -> list[tuple[int, int]]:
    """The next rows of ``start`` to ``stop``, shared out among ``tasks``: first row and end.

    A part is whole batches, and not more of them than hold PART_ROWS rows (one, if that is more).
    """
    batches = -(-(stop - start) // batch_rows)
    each = min(-(-batches // tasks), max(1, PART_ROWS // batch_rows)) * batch_rows
    end = min(stop, start + tasks * each)
    return [(first, min(first + each, end)) for first in range(start, end, each)]


@dataclass(frozen=True)
class WrittenPart:
    """What a task did."""

    counts: Counts
    retries: int = 0
    error: PersonarecError | None = None
    """What ended it. It is handed over, not raised: Spark would try again, and print its stack."""


def write_part(
    part: tuple[int, int],
    *,
    server: Server,
    staged: Stage,
    load: str,
    batch_rows: int,
    started: bool,
    table: Table,
) -> WrittenPart:
    """Write rows ``part`` (first, end) of a table over a new connection; runs on a worker."""
    counts = Counts()
    try:
        with server.connect() as store:
            writer = LoadWriter(store, staged, load, batch_rows, started=started)
            for _, step in writer.write(table, *part):
                counts += step
            return WrittenPart(counts, store.retries)
    except PersonarecError as error:
        return WrittenPart(counts, error=error)
    except OSError as error:
        reason = f"a worker cannot read {staged.folder / table.file}: {one_line(error)}"
        advice = "name a --home that all workers see"
        return WrittenPart(counts, error=ChangeSomethingError(f"{reason}; {advice}"))
