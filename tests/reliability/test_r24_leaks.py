"""R24: what is written after the moment to predict must not get in: texts of reviews never do.

Held-out interactions as edges, in sequences, matrices, transitions and personas are planted in
``unit/test_leakage.py`` and ``integration/test_whole_road.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

from conftest import quiet

from kg.ingest import DataSetSources, Source, dump, ingest
from kg.store import GraphStore
from personarec.training.data import read_data

SENTINEL = "s3ntinel of a review that nobody has written yet"
LATER = "LATERPURCHASE"


def test_texts_of_reviews_and_later_purchases_reach_nothing(
    store: GraphStore, tmp_path: Path
) -> None:
    folder, home = tmp_path / "data", tmp_path / "home"
    folder.mkdir()
    reviews = [
        {
            "reviewerID": f"u{u}", "asin": f"i{i}", "overall": 5.0, "unixReviewTime": u + i,
            "reviewText": SENTINEL, "summary": SENTINEL, "reviewerName": SENTINEL,
        }
        for u in range(5) for i in range(4)
    ]  # fmt: skip
    later = {"also_buy": [LATER], "also_view": [LATER], "related": {"bought_together": [LATER]}}
    items = [{"asin": f"i{i}", "title": f"Title {i}", **later} for i in range(4)]
    for name, rows in (("reviews", reviews), ("items", items)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = (
        Source("amazon-reviews", folder / "reviews"), Source("amazon-metadata", folder / "items"),
    )  # fmt: skip
    ingest(store, DataSetSources("leak", "books", sources), home, quiet)
    lines = b"".join(dump(store, derived=True))
    assert b"Title 3" in lines
    assert lines.count(b'"RATED"') == len(reviews)
    for planted in (SENTINEL, LATER):
        assert planted.encode() not in lines
        files = [p for p in home.rglob("*") if p.is_file() and "graph" not in p.parts]
        assert files
        assert [p for p in files if planted.encode() in p.read_bytes()] == []


def test_later_purchases_that_were_asked_for_are_not_learned_from(
    store: GraphStore, tmp_path: Path
) -> None:
    keys = [f"B00000000{i}" for i in range(4)]
    items = [
        {
            "asin": key, "title": f"Title {key}", "brand": "Acme", "also_buy": [other],
            "related": {"bought_together": [other]},
        }
        for key, other in zip(keys, reversed(keys), strict=True)
    ]  # fmt: skip
    (tmp_path / "items").write_text("".join(json.dumps(row) + "\n" for row in items))
    rows = [f"u{u}\t{key}\t4\t{u + i}" for u in range(5) for i, key in enumerate(keys)]
    header = "user_id\titem_id\trating\ttimestamp"
    (tmp_path / "interactions").write_text("\n".join([header, *rows]) + "\n")
    sources = (
        Source("tsv-interactions", tmp_path / "interactions"),
        Source("amazon-metadata", tmp_path / "items"), Source("amazon-also", tmp_path / "items"),
    )  # fmt: skip
    ingest(store, DataSetSources("also", "books", sources), tmp_path / "home", quiet)
    assert b'"ALSO_BOUGHT"' in b"".join(dump(store))
    data = read_data(store, "also")
    assert data.left_out == ("ALSO_BOUGHT", "BOUGHT_TOGETHER")
    assert data.remark.endswith("later purchases: ALSO_BOUGHT, BOUGHT_TOGETHER")
    assert {column.relation for column in data.fact_columns} == {"BRAND"}
    assert {name for _, name, _ in data.graph.relations} == {"BRAND"}
