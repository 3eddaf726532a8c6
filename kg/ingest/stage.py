"""A finished stage: deduplicated tables on disk, and the books of how they came about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from kg.errors import ChangeSomethingError

Progress = Callable[[str, int, int | None], None]
"""Called with (what, done, total or None)."""


@dataclass
class Books:
    """The account of one source file."""

    source: str
    loader: str
    rows_in: int = 0
    merged: int = 0
    duplicates: int = 0
    conflicts: int = 0
    """Those duplicates that said something else than the row they lost to."""
    quarantined: int = 0
    unused: int = 0
    """Those quarantined that are well formed and merely have no place in this graph."""
    filtered: int = 0
    """Rows outside the k-core that was asked for."""


@dataclass(frozen=True)
class Table:
    """One staged table: nodes of a label, or relations of a type between two labels.

    Nodes have a column ``id``, relations ``source`` and ``target``; the rest are properties.
    """

    kind: str
    label: str
    file: str
    rows: int
    source_label: str = ""
    target_label: str = ""


@dataclass
class Stage:
    """A finished stage in a folder."""

    folder: Path
    data_set: str
    domain: str
    content_hash: str
    tables: list[Table] = field(default_factory=list)
    books: list[Books] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Sum of one column of the books."""
        return sum(getattr(b, name) for b in self.books)

    def totals(self) -> dict[str, int]:
        """The books of all sources together, by the names that the ledger has for them."""
        names = ("rows_in", "merged", "duplicates", "filtered", "quarantined")
        return {name.replace("rows_in", "rowsIn"): self.total(name) for name in names}

    def quarantine(self) -> Iterator[dict[str, Any]]:
        """The rows set aside: source, line, reason, text."""
        with (self.folder / "quarantine.jsonl").open("rb") as file:
            yield from map(orjson.loads, file)


def load_stage(folder: Path) -> Stage | None:
    """The stage in a folder, or None where there is no whole one."""
    try:
        document = json.loads((folder / "stage.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return Stage(
        folder,
        document["data_set"],
        document["domain"],
        document["content_hash"],
        [Table(**t) for t in document["tables"]],
        [Books(**b) for b in document["books"]],
    )


def last_stage(home: Path, dataset: str) -> Stage:
    """What was last staged of a data set. Raises ChangeSomethingError when nothing was."""
    folders = (home / "ingest" / dataset).glob("stage-*") if dataset else ()
    stages = [s for s in map(load_stage, folders) if s is not None and s.data_set == dataset]
    if not stages:
        raise ChangeSomethingError(
            f"data set {dataset!r} was never staged under {home}; "
            f"run personarec kg ingest --dataset {dataset} first, or name another --home"
        )
    return max(stages, key=lambda s: s.folder.stat().st_mtime_ns)
