"""Export one data set: read it in batches, write a whole folder or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kg.errors import ChangeSomethingError, TryAgainError
from kg.export.atomic import write_atomic
from kg.export.folder import MARKER, new_folder
from kg.export.ntriples import write_ntriples
from kg.export.parquet import write_parquet
from kg.export.reading import DataSetReader
from kg.ingest.stage import Progress
from kg.ingest.stats import require_data_set
from kg.schema import DOMAINS
from kg.store import GraphStore, statement

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FORMATS: dict[str, Callable[[DataSetReader, Path, bool], dict[str, int]]] = {
    "atomic": lambda data, folder, _interactions: write_atomic(data, folder),
    "parquet": lambda data, folder, _interactions: write_parquet(data, folder),
    "ntriples": write_ntriples,
}
"""Format -> what writes it into a folder: (data set, folder, with interactions) -> rows a file."""


@dataclass(frozen=True)
class ExportResult:
    """What was written where."""

    dataset: str
    format: str
    folder: Path
    files: dict[str, int]
    """File name -> rows, headers not counted."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def export_data_set(
    store: GraphStore,
    dataset: str,
    form: str,
    out: Path,
    progress: Progress,
    *,
    force: bool = False,
    interactions: bool = False,
) -> ExportResult:
    """Write a data set of the graph into a folder.

    Args:
        store: the graph.
        dataset: its name.
        form: one of FORMATS.
        out: the folder; new, empty, or with ``force`` an earlier export, which is replaced.
        progress: called with (what, done, total).
        force: replace an earlier export.
        interactions: for N-Triples, write who touched what too.

    Raises:
        ChangeSomethingError: there is no such data set, or the folder cannot be used.
        TryAgainError: the disk is full, or the data set changed meanwhile; nothing is left.
    """
    found = require_data_set(store, dataset)
    if not FILE_NAME.fullmatch(dataset):
        raise ChangeSomethingError(
            f"data set {dataset!r} has a name that cannot be a file's; load it under another"
        )
    before = _lock(store, dataset)
    with new_folder(out, force=force) as folder:
        data = DataSetReader(store, dataset, DOMAINS[found["domain"]], progress)
        files = FORMATS[form](data, folder, interactions)
        if _lock(store, dataset) != before:
            raise TryAgainError(
                f"data set {dataset} changed during the export, nothing was kept; "
                "run it again when nothing writes to it"
            )
        content = {
            "dataset": dataset,
            "domain": found["domain"],
            "contentHash": found["contentHash"],
            "format": form,
            "files": files,
        }
        (folder / MARKER).write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return ExportResult(dataset, form, out, files)


def _lock(store: GraphStore, dataset: str) -> object:
    return store.read(statement("data_set_lock"), dataset=dataset)
