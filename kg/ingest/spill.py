"""Records of each kind, kept on disk in parts until they are staged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from kg.loaders.records import Interaction, IriFact, Item, ItemFact, Label

FLUSH = 100_000  # records kept in memory before they go to disk

_KINDS: dict[type, dict[str, Any]] = {
    Interaction: {
        "user": pl.String,
        "item": pl.String,
        "rating": pl.Float64,
        "timestamp": pl.Int64,
        "row": pl.Int64,
    },
    Item: {"item": pl.String, "title": pl.String, "iri": pl.String, "genres": pl.List(pl.String)},
    IriFact: {"subject": pl.String, "predicate": pl.String, "object": pl.String},
    ItemFact: {"item": pl.String, "predicate": pl.String, "object": pl.String},
    Label: {"iri": pl.String, "text": pl.String},
}
_ORIGIN = {"file": pl.Int32, "line": pl.Int64}


class Spill:
    """Records of each kind, in parts on disk, so that memory does not grow with the input."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[type, list[tuple[Any, ...]]] = {kind: [] for kind in _KINDS}
        self._parts: dict[type, int] = dict.fromkeys(_KINDS, 0)

    def add(self, record: Any, file: int, line: int) -> None:
        rows = self._rows[type(record)]
        rows.append((*record, file, line))
        if len(rows) == FLUSH:
            self._flush(type(record))

    def _flush(self, kind: type) -> None:
        if rows := self._rows[kind]:
            schema = _KINDS[kind] | _ORIGIN
            path = self._folder / f"{kind.__name__}-{self._parts[kind]:05d}.parquet"
            pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
            self._parts[kind] += 1
            rows.clear()

    def frame(self, kind: type) -> pl.DataFrame:
        """All records of a kind, in the order they came."""
        self._flush(kind)
        parts = sorted(self._folder.glob(f"{kind.__name__}-*.parquet"))
        if not parts:
            return pl.DataFrame(schema=_KINDS[kind] | _ORIGIN)
        return pl.concat([pl.read_parquet(p) for p in parts])
