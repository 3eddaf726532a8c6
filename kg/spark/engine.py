"""The Spark engine of staging: reading on all workers, and the SQL of the reconciler on Spark."""

from __future__ import annotations

import pickle
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kg.errors import ChangeSomethingError
from kg.ingest.mending import mended_rows
from kg.ingest.quarantine import Quarantine
from kg.ingest.reading import unusable
from kg.ingest.sources import DataSetSources
from kg.ingest.spill import KINDS as RECORDS
from kg.ingest.spill import Spill
from kg.ingest.stage import Books, Progress, Stage
from kg.ingest.staging import stage
from kg.loaders import loader
from kg.loaders.records import Interaction, Rejected
from kg.loaders.source_file import SourceFile
from kg.spark.session import spark_session, translated_errors, waited_for
from kg.spark.splits import SPLIT_BYTES, Shift, Split, part_of, shifts, splits_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from kg.spark.sql import SparkSql

REJECTED = "rejected.pickle"
KINDS = tuple(kind.__name__ for kind in RECORDS)


def stage_with_spark(
    data_set: DataSetSources, folder: Path, progress: Progress, *, split_bytes: int = SPLIT_BYTES
) -> Stage:
    """Stage a data set under ``folder`` with Spark, or take the stage that is already there.

    The session is the one that runs in this process, or a new one with Spark's own settings
    (``spark-defaults.conf``, ``PYSPARK_SUBMIT_ARGS``), by default on this machine's cores.

    Args:
        data_set: what to stage; all workers must see its files.
        folder: where the stage goes; all workers must see it.
        progress: called with each step.
        split_bytes: about how much of a file one worker reads at a time.

    Raises:
        ChangeSomethingError: PySpark or Java is missing, a file cannot be read, or there is no
            interaction in any.
        TryAgainError: Spark failed.
    """
    with spark_session() as spark, translated_errors():
        # Workers need not have this process's working directory.
        return stage(data_set, folder.absolute(), progress, SparkEngine(spark, split_bytes))


class SparkEngine:
    """What staging needs of an engine: records from sources, and SQL."""

    def __init__(self, spark: SparkSession, split_bytes: int = SPLIT_BYTES) -> None:
        self._spark = spark
        self._split_bytes = split_bytes
        self._folders: list[str] = []
        self._before: list[tuple[int, int, int, int]] = []

    def read(
        self,
        data_set: DataSetSources,
        folder: Path,
        books: list[Books],
        quarantine: Quarantine,
        progress: Progress,
    ) -> dict[str, str]:
        """Read all sources on the workers; kinds of records, by a name that ``sql`` knows."""
        for source, name in zip(data_set.sources, data_set.names(), strict=True):
            if mended_rows(data_set.mended, name, source):
                raise ChangeSomethingError(
                    f"--engine spark does not take back mended rows ({data_set.mended}); "
                    "leave it out"
                )
        splits = splits_of(data_set.sources, self._split_bytes)
        progress("reading with Spark", 0, len(splits))
        job = self._spark.sparkContext.parallelize(splits, len(splits))
        read = job.map(partial(read_split, folder=str(folder)))
        found = sorted(waited_for(read.collect), key=lambda part: part.number)
        progress("reading with Spark", len(splits), len(splits))
        if errors := [part.error for part in found if part.error]:
            raise ChangeSomethingError(errors[0])
        before = shifts(splits, [p.records for p in found], [p.lines for p in found])
        for split, part, shift in zip(splits, found, before, strict=True):
            books[split.file].rows_in += part.records
            _quarantine(Path(part.folder), split.file, shift, quarantine)
        self._folders = [part.folder for part in found]
        self._before = [
            (split.number, split.file, shift.records, shift.lines)
            for split, shift in zip(splits, before, strict=True)
        ]
        return {kind: kind for kind in KINDS}

    def sql(self, folder: Path) -> SparkSql:
        """SQL over the records that were read; tables go under ``folder``."""
        from kg.spark.sql import SparkSql

        return SparkSql(self._spark, folder, self._records)

    def _records(self, kind: str) -> DataFrame:
        """Records of a kind with the numbers that they have in their whole file."""
        from pyspark.sql import functions as f

        before = self._spark.createDataFrame(
            self._before, "split INT, source INT, records LONG, lines LONG"
        )
        frame = self._spark.read.parquet(*(f"{p}/{kind}-*.parquet" for p in self._folders))
        joined = frame.withColumnRenamed("file", "split").join(f.broadcast(before), "split")
        mended = {
            "file": "source",
            "number": "number + records",
            "line": "line + lines",
            "row": "`row` + lines",
        }
        return joined.selectExpr(*(f"{mended.get(c, f'`{c}`')} AS `{c}`" for c in frame.columns))


@dataclass(frozen=True)
class ReadSplit:
    """What a worker made of a split."""

    number: int
    folder: str
    records: int
    lines: int
    error: str = ""


def read_split(split: Split, folder: str) -> ReadSplit:
    """Read one split through its loader; runs on a worker.

    Records and what is set aside go to a new folder under ``folder``: another worker may be at the
    same split. Their numbers are those within the split.
    """
    own = Path(tempfile.mkdtemp(prefix=f"split-{split.number}-", dir=folder))
    spill = Spill(own)
    records = 0
    with part_of(split) as (part, lines), (own / REJECTED).open("wb") as set_aside:
        try:
            path = SourceFile(part)
            read = loader(split.loader).read(path)
            for record in islice(read, split.surplus, None):
                records += 1
                line = path.line or records
                reason = "" if isinstance(record, Rejected) else unusable(record)
                if reason is not None:
                    pickle.dump((line, reason, record), set_aside)
                else:
                    spill.add(record, split.number, records, line)
        except ChangeSomethingError as error:
            message = str(error).replace(str(part), str(split.path))
            return ReadSplit(split.number, str(own), 0, 0, message)
    spill.files()
    return ReadSplit(split.number, str(own), records, lines)


def _quarantine(folder: Path, file: int, shift: Shift, quarantine: Quarantine) -> None:
    with (folder / REJECTED).open("rb") as rows, suppress(EOFError):
        while True:
            line, reason, record = pickle.load(rows)
            if isinstance(record, Rejected):
                quarantine.add(file, record.line + shift.lines, record.reason, record.text)
                continue
            if isinstance(record, Interaction):
                record = record._replace(row=record.row + shift.lines)
            quarantine.add(file, line + shift.lines, reason, str(record))
