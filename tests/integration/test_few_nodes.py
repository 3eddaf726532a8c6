"""Users and items of a data set: the same by one list, where they are few, as by rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import quiet
from small import write_small

from kg.ingest import ingest
from kg.store import GraphStore
from kg.views import export, read_catalogue, read_users


def test_few_nodes_are_the_same_as_many(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small(tmp_path / "one", "one", users=12, items=9)
    with (tmp_path / "one" / "interactions.tsv").open("a", encoding="utf-8") as file:
        file.write("u1\tuntitled\t1.0\t5\n")
    ingest(store, data, tmp_path, quiet)
    ingest(store, write_small(tmp_path / "two", "two", users=3), tmp_path, quiet)
    found = []
    for most in (50_000, 12, 11, 10, 9, 0):  # 10 items and 12 users
        monkeypatch.setattr(export, "FEW", most)
        found.append((read_users(store, "one"), read_catalogue(store, "one", "Movie")))
    users, catalogue = found[0]
    assert users == tuple(sorted(f"one:u{n}" for n in range(12)))
    titles = dict(zip(catalogue.ids, catalogue.titles, strict=True))
    assert len(titles) == 10
    assert titles["one:untitled"] is None
    assert titles["one:i3"] == "Film 3 é"
    assert found == [found[0]] * len(found)
