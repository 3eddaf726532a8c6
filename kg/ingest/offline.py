"""Offline load: a staged data set as files for Neo4j's own bulk importer.

``neo4j-admin database import full`` fills a database that is new, with its server stopped, many
times faster than transactions do. The files hold what an online load would leave, ledger included,
so that ``kg ingest`` on the filled server changes nothing.

Format: https://neo4j.com/docs/operations-manual/5/tools/neo4j-admin/neo4j-admin-import/. For each
staged table a header file and a data file; texts in quotes, so that an empty text is not null.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from kg.errors import ChangeSomethingError, PersonarecError, TryAgainError, one_line
from kg.ingest.load import check_quarantine, new_load_id
from kg.ingest.sources import DataSetSources
from kg.ingest.stage import Progress, Stage, Table
from kg.ingest.staging import stage
from kg.partial import partial_path, remove

ARGUMENTS = "import.args"
SMALL_FIELD = 1024 * 1024
"""Bytes of a text that surely fit the importer's buffer of 4 MiB."""

_TYPES: dict[Any, str] = {pl.String: "string", pl.Int64: "long", pl.Float64: "double"}


def ingest_offline(
    data_set: DataSetSources,
    home: Path,
    folder: Path,
    progress: Progress,
    *,
    max_bad: float = 0.01,
    database: str = "neo4j",
) -> ImportFiles:
    """Stage a data set and write it as importer files; no graph is touched.

    Args:
        data_set: what to load.
        home: the project's home folder; the stage goes under ``ingest/NAME``.
        folder: where the files go; must be new or empty.
        progress: called as rows are read and written.
        max_bad: as of an online load.
        database: name of the database in the command.

    Raises:
        ChangeSomethingError: a source cannot be read, too many of its rows are unusable, or the
            folder is not empty.
        TryAgainError: the files could not be written.
    """
    require_empty(folder)
    staged = stage(data_set, home / "ingest" / data_set.name, progress)
    check_quarantine(staged, max_bad)
    return write_import_files(staged, folder, progress, database=database)


@dataclass(frozen=True)
class ImportFiles:
    """Files for the bulk importer, complete in their folder."""

    stage: Stage
    folder: Path
    load: str
    """Id of the load that the files enter in the ledger."""
    nodes: int
    relations: int
    command: str
    """The shell command that imports them, to be run where the server is."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.stage.data_set,
            "folder": str(self.folder),
            "load": self.load,
            "nodes": self.nodes,
            "relations": self.relations,
            "command": self.command,
            "books": [asdict(b) for b in self.stage.books],
        }


def require_empty(folder: Path) -> None:
    """Raise ChangeSomethingError unless the folder is new or empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ChangeSomethingError(
            f"--offline {folder} is there and not an empty folder; name another one"
        )


def write_import_files(
    staged: Stage, folder: Path, progress: Progress, *, database: str = "neo4j"
) -> ImportFiles:
    """Write a stage as importer files, all or nothing: they appear by one rename.

    Args:
        staged: what the database is to hold.
        folder: where the files go; must be new or empty.
        progress: called with rows written.
        database: name of the database in the command.

    Raises:
        ChangeSomethingError: the folder is not empty.
        TryAgainError: the files could not be written.
    """
    require_empty(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(folder)
    try:
        partial.mkdir()
        result = _Files(staged, partial, progress).write(folder, database)
        partial.rename(folder)
    except OSError as error:
        raise TryAgainError(
            f"cannot write the import files to {folder}: {one_line(error)}; free space or name "
            "another folder, and run it again"
        ) from error
    finally:
        remove(partial)  # renamed away where all went well
    return result


class _Files:
    def __init__(self, staged: Stage, folder: Path, progress: Progress) -> None:
        self.stage = staged
        self.folder = folder
        self.progress = progress
        now = datetime.now(UTC)
        self.load = new_load_id()
        self.now = now.isoformat(timespec="seconds")
        self.arguments: list[str] = []
        self.longest = 0
        self.lines_in_fields = False

    def write(self, folder: Path, database: str) -> ImportFiles:
        total = sum(t.rows for t in self.stage.tables)
        done = 0
        for table in self.stage.tables:
            self.progress("writing files", done, total)
            self._table(table)
            done += table.rows
        self.progress("writing files", done, total)
        self._ledger(created=total)
        if self.lines_in_fields:  # slower, so only where needed
            self.arguments.append("--multiline-fields=true")
        if self.longest > SMALL_FIELD:  # twice, because each quote in it is doubled
            self.arguments.append(f"--read-buffer-size={4 * SMALL_FIELD + 2 * self.longest}")
        text = "".join(f"{a}\n" for a in self.arguments)
        (self.folder / ARGUMENTS).write_text(text, "utf-8")
        nodes = sum(t.rows for t in self.stage.tables if t.kind == "node")
        command = (
            f"cd {shlex.quote(str(folder))} && "
            f"neo4j-admin database import full {shlex.quote(database)} @{ARGUMENTS}"
        )
        return ImportFiles(self.stage, folder, self.load, nodes, total - nodes, command)

    def _table(self, table: Table) -> None:
        frame = pl.scan_parquet(self.stage.folder / table.file)
        if table.kind == "node":
            option = f"--nodes={table.label}"
            fields = {"id": f"id:ID({table.label})"}
        else:
            option = f"--relationships={table.label}"
            # In a staged table of relations the property that is called source is source_.
            frame = frame.rename({"source": "start", "target": "end", "source_": "source"})
            fields = {
                "start": f":START_ID({table.source_label})",
                "end": f":END_ID({table.target_label})",
            }
        frame = frame.with_columns(loadId=pl.lit(self.load))
        self._data(option, Path(table.file).stem, frame, fields)

    def _ledger(self, created: int) -> None:
        """The data set and its load, as a load that created everything leaves them."""
        stage = self.stage
        data_set = {
            "id": stage.data_set,
            "domain": stage.domain,
            "contentHash": stage.content_hash,
        }
        load = {
            "id": self.load,
            "dataset": stage.data_set,
            "status": "complete",
            "contentHash": stage.content_hash,
            "startedAt": self.now,
            "finishedAt": self.now,
            **stage.totals(),
            "created": created,
            "changed": 0,
        }
        times = {c: f"{c}:datetime" for c in ("startedAt", "finishedAt")}
        for label, row, fields in (("DataSet", data_set, {}), ("Load", load, times)):
            fields = {"id": f"id:ID({label})", **fields}
            self._data(f"--nodes={label}", f"node-{label}", pl.LazyFrame([row]), fields)

    def _data(self, option: str, name: str, frame: pl.LazyFrame, fields: dict[str, str]) -> None:
        """A header file and a data file; what ``fields`` does not name is a plain property."""
        schema = frame.collect_schema()
        header = [fields.get(c) or f"{c}:{_type(name, c, schema[c])}" for c in schema]
        (self.folder / f"{name}-header.csv").write_text(",".join(header) + "\n", "utf-8")
        self._look_at(frame, [c for c in schema if schema[c] == pl.String])
        frame.sink_csv(
            self.folder / f"{name}.csv",
            include_header=False,
            quote_style="non_numeric",  # an empty text in quotes, a null as nothing
            sync_on_close="all",
        )
        self.arguments.append(f"{option}={name}-header.csv,{name}.csv")

    def _look_at(self, frame: pl.LazyFrame, texts: list[str]) -> None:
        longest, lines = (
            frame.select(
                longest=pl.max_horizontal(*(pl.col(c).str.len_bytes().max() for c in texts)),
                lines=pl.any_horizontal(*(pl.col(c).str.contains(r"[\r\n]").any() for c in texts)),
            )
            .collect(engine="streaming")
            .row(0)
        )
        self.longest = max(self.longest, longest or 0)
        self.lines_in_fields |= bool(lines)


def _type(table: str, column: str, dtype: pl.DataType) -> str:
    for known, name in _TYPES.items():
        if dtype == known:
            return name
    raise PersonarecError(
        f"staged table {table}: column {column} is of type {dtype}, for which the import files "
        "have no form; this is a defect of personarec, please report it"
    )
