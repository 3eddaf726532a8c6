"""Real data, where it is at hand, through the real loaders on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import quiet

from kg.ingest import DataSetSources, Source, dump_hash, ingest, stats
from kg.store import GraphStore
from personarec.datasets.manifest import resolve


def test_movielens_with_dbpedia(
    store: GraphStore,
    tmp_path: Path,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = resolve(str(shared_data / "movielens-dbpedia"))
    assert (data.name, data.domain) == ("movielens-dbpedia", "movies")
    first = ingest(store, data, tmp_path, quiet)
    found = stats(store)
    assert (found["nodes"]["User"], found["nodes"]["Movie"]) == (671, 9125)
    assert found["relations"]["RATED"] == 100_004
    facts = {k: v for k, v in found["relations"].items() if k not in ("RATED", "GENRE_IS")}
    assert sum(facts.values()) == 31_427
    assert first.stage.total("quarantined") == 0
    again = ingest(store, data, tmp_path, quiet)
    assert (again.created, again.changed, again.load) == (0, 0, None)
    # The engines run one after the other; the first leaves its hash for the second.
    note = tmp_path_factory.getbasetemp() / "movielens.hash"
    if note.exists():
        assert dump_hash(store) == note.read_text()
    note.write_text(dump_hash(store))


def test_amazon_reviews_with_their_broken_line(
    store: GraphStore, tmp_path: Path, shared_data: Path
) -> None:
    file = shared_data / "amazon-raw" / "movies_v2_2018_sample.json"
    data = DataSetSources("raw", "movies", (Source("amazon-reviews", file),))
    result = ingest(store, data, tmp_path, quiet)
    (book,) = result.stage.books
    assert (book.rows_in, book.quarantined) == (634, 1)
    assert book.merged + book.duplicates == 633
    (bad,) = result.stage.quarantine()
    assert (bad["line"], bad["reason"]) == (634, "blank line (is the file cut short?)")
    assert stats(store)["relations"]["RATED"] == book.merged
