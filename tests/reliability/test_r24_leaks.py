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
