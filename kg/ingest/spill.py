"""Records of each kind, kept on disk in parts until they are staged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from kg.loaders.records import (
    Abstract,
    Interaction,
    IriFact,
    Item,
    ItemFact,
    ItemPair,
    Label,
    Link,
    UserFact,
)

FLUSH = 50_000  # records kept in memory before they go to disk

KINDS: dict[type, dict[str, Any]] = {
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
    ItemPair: {"item": pl.String, "predicate": pl.String, "other": pl.String},
    UserFact: {"user": pl.String, "predicate": pl.String, "object": pl.String},
    Link: {"item": pl.String, "iri": pl.String, "method": pl.String, "score": pl.Float64},
    Label: {"iri": pl.String, "text": pl.String},
    Abstract: {"iri": pl.String, "text": pl.String},
}
_ORIGIN = {"file": pl.Int32, "number": pl.Int64, "line": pl.Int64}


class Spill:
    """Records of each kind, in parts on disk, so that memory does not grow with the input."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[type, list[tuple[Any, ...]]] = {kind: [] for kind in KINDS}
        self._parts: dict[type, int] = dict.fromkeys(KINDS, 0)

    def add(self, record: Any, file: int, number: int, line: int) -> None:
        """Keep a record.

        Args:
            record: one of the kinds.
            file: number of its source.
            number: its place among the source's records.
            line: the line of the source that it came from; one line may give several.
        """
        rows = self._rows[type(record)]
        rows.append((*record, file, number, line))
        if len(rows) == FLUSH:
            self._flush(type(record))

    def _flush(self, kind: type) -> None:
        rows = self._rows[kind]
        if rows or not self._parts[kind]:
            schema = KINDS[kind] | _ORIGIN
            path = self._folder / f"{kind.__name__}-{self._parts[kind]:05d}.parquet"
            pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
            self._parts[kind] += 1
            rows.clear()

    def files(self) -> dict[str, str]:
        """Every kind's name -> pattern of its Parquet files; there is at least one of each."""
        for kind in KINDS:
            self._flush(kind)
        return {kind.__name__: str(self._folder / f"{kind.__name__}-*.parquet") for kind in KINDS}
