"""Links of items to resources, as the linker writes them: links.tsv and effective-links.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kg.loaders.records import Link, Record, Rejected
from kg.loaders.tsv import number, read_table, required

LINKS_HEADER = ("item_id", "iri", "method", "score", "runner_up", "margin")


def read_links(path: Path) -> Iterator[Record | Rejected]:
    """``item_id iri method score runner_up margin``; the last three may be empty.

    Runner-up and margin are for people who look at the links; the graph does not take them.
    """

    def parse(_row: int, cells: list[str]) -> Link:
        item, iri, method, score, _runner_up, _margin = cells
        sure = number(score, "score") if score.strip() else None
        if sure is not None and not 0 <= sure <= 1:
            raise ValueError(f"score is not between 0 and 1: {score[:50]!r}")
        return Link(
            required(item, "item_id"), required(iri, "iri"), required(method, "method"), sure
        )

    return read_table(path, LINKS_HEADER, parse)
