"""What a stage says of a data set's items, as far as linking is concerned.

Only what the data set's own source said is evidence. Facts that came through an earlier link
(authors, directors, subjects of the linked resource) are left out: a link must not confirm itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Stage
from kg.linking.score import Query
from kg.schema import DOMAINS, MINTED, name_from_iri

SOURCE_METHOD = "source"
"""Method of a link that the data set itself gave."""
BATCH_ROWS = 10_000


class StagedItem(NamedTuple):
    """An item of the stage by its own id, without the data set's prefix."""

    item: str
    title: str
    iri: str
    method: str


def read_items(staged: Stage) -> Iterator[StagedItem]:
    """The items, by id. Raises ChangeSomethingError: the stage has no items."""
    label = DOMAINS[staged.domain]
    path = staged.folder / f"node-{label}.parquet"
    if not path.is_file():
        raise ChangeSomethingError(
            f"the stage of data set {staged.data_set} holds no {label}; run personarec kg ingest"
        )
    start = len(staged.data_set) + 1
    for row in _rows(path, ["id", "title", "iri", "linkMethod"]):
        iri = row.get("iri") or ""
        method = row.get("linkMethod") or (SOURCE_METHOD if iri else "")
        yield StagedItem(row["id"][start:], row.get("title") or "", iri, method)


def queries(staged: Stage) -> Iterator[Query]:
    """The items that the data set gave no link for, with their brands and categories."""
    creators = _minted(staged, "BRAND")
    words = _minted(staged, "IN_CATEGORY")
    for key, names in _minted(staged, "GENRE_IS").items():
        words[key] = [*words.get(key, []), *names]
    for item in read_items(staged):
        if item.method != SOURCE_METHOD:
            text = " ".join(words.get(item.item, ())) or None
            yield Query(item.item, item.title, tuple(creators.get(item.item, ())), text)


def related_items(staged: Stage, relation: str) -> set[str]:
    """Items that have a relation of a type, to anything."""
    return {item for item, _ in _related(staged, relation)}


def _minted(staged: Stage, relation: str) -> dict[str, list[str]]:
    """Item -> names of its targets that the data set's own source named by a word."""
    found: dict[str, list[str]] = defaultdict(list)
    for item, target in _related(staged, relation):
        if target.startswith(MINTED):
            found[item].append(name_from_iri(target))
    return found


def _related(staged: Stage, relation: str) -> Iterator[tuple[str, str]]:
    """(item, target) of a relation type; the item by its own id."""
    start = len(staged.data_set) + 1
    for table in staged.tables:
        if table.kind == "relation" and table.label == relation:
            for row in _rows(staged.folder / table.file, ["source", "target"]):
                yield row["source"][start:], row["target"]


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of a staged table with those of the columns that it has, a batch in memory at a time."""
    import polars as pl

    frame = pl.scan_parquet(path)
    frame = frame.select([c for c in columns if c in frame.collect_schema().names()])
    start = 0
    while len(batch := frame.slice(start, BATCH_ROWS).collect()):
        yield from batch.to_dicts()
        start += BATCH_ROWS
