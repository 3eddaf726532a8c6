"""The data set's lock: who wrote last is known, and a writer that is alone need not look."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from small import write_small

from kg.ingest import dump, dump_hash, ingest, stats
from kg.ingest import load as load_module
from kg.ingest.tables import Counts, NodeRow, RelationKind, RelationRow, Writer
from kg.store import GraphStore, Transaction

RATED = RelationKind("RATED", "User", "Movie")


def writer(store: GraphStore, load: str) -> Writer:
    made = Writer(store, "d", load, lambda: None)
    made.alone_since(store.transaction(made.begin))
    return made


def user(key: str) -> NodeRow:
    return NodeRow(f"d:{key}", {"dataset": "d", "source": "s"})


def test_the_lock_says_who_held_it_before(store: GraphStore) -> None:
    store.ensure_schema()
    one = Writer(store, "d", "one", lambda: None)
    first = store.transaction(one.begin)
    assert first is not None
    assert store.transaction(one.begin) is None, "the data set is there by now"
    before, token = store.transaction(one.lock)
    assert before is not None
    assert before != first
    assert store.transaction(one.lock)[0] == token


def test_each_of_two_sees_what_the_other_left(graph: GraphAddress, store: GraphStore) -> None:
    """Whoever comes second has waited, or been sent back: none sees what was before the other."""
    store.ensure_schema()
    Writer(store, "d", "zero", lambda: None)
    store.transaction(Writer(store, "d", "zero", lambda: None).begin)
    seen: list[tuple[str | None, str]] = []

    def many(name: str) -> None:
        own = Writer(store, "d", name, lambda: None)
        seen.extend(store.transaction(own.lock) for _ in range(20))

    threads = [threading.Thread(target=many, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 40
    assert len({before for before, _ in seen}) == 40
    assert len({before for before, _ in seen} - {token for _, token in seen}) == 1


def test_a_writer_that_is_alone_does_not_look_and_one_that_is_not_does(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ensure_schema()
    looked: list[str] = []
    honest = Transaction.rows

    def rows(self: Transaction, query: object, **parameters: object) -> object:
        looked.append(query.name)  # type: ignore[attr-defined]
        return honest(self, query, **parameters)  # type: ignore[arg-type]

    one = writer(store, "one")
    one.nodes("User", [user("u0")])
    monkeypatch.setattr(Transaction, "rows", rows)
    one.nodes("User", [user("u1")])
    assert looked == ["data_set_lock"]
    other = writer(store, "two")
    assert other.nodes("User", [user("u1"), user("u2")]) == Counts(1, 0, 0, 1)
    looked.clear()
    # The other one wrote u2: were it not looked for, it would be created again.
    assert one.nodes("User", [user("u2"), user("u3")]) == Counts(1, 0, 0, 1)
    assert "found_nodes" in looked
    looked.clear()
    assert one.nodes("User", [user("u3")]) == Counts(0, 0, 0, 1)
    assert "found_nodes" in looked, "once not alone, never again"


def test_what_is_shared_is_looked_for_by_a_writer_that_is_alone(
    store: GraphStore, tmp_path: Path
) -> None:
    ingest(store, write_small(tmp_path / "a", "a"), tmp_path, quiet)
    found = ingest(store, write_small(tmp_path / "b", "b"), tmp_path, quiet, batch_rows=5)
    assert found.unchanged > 0
    assert found.created + found.unchanged == sum(t.rows for t in found.stage.tables)


def test_a_data_set_taken_over_in_the_middle_is_the_same_in_the_end(
    graph: GraphAddress, store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one load writes, another one does all of it; the first then finds everything there."""
    data = write_small(tmp_path / "data")
    with_another: list[int] = []
    honest = load_module._Load._commit

    def commit(self: load_module._Load, table: int, row: int, counts: Counts) -> None:
        honest(self, table, row, counts)
        if len(with_another) == 0 and self.journal.created > 10:
            with_another.append(self.journal.created)
            ingest(store, data, tmp_path / "other", quiet)

    monkeypatch.setattr(load_module._Load, "_commit", commit)
    result = ingest(store, data, tmp_path / "one", quiet, batch_rows=5)
    assert result.created == with_another[0]
    content = list(dump(store))
    assert len(content) == len(set(content)) == sum(t.rows for t in result.stage.tables)
    monkeypatch.undo()
    assert ingest(store, data, tmp_path / "three", quiet).created == 0
    assert {load["status"] for load in stats(store)["loads"]} <= {"complete", "failed"}
    assert dump_hash(store)


def test_relations_of_a_source_that_another_wrote_are_seen(store: GraphStore) -> None:
    store.ensure_schema()
    one = writer(store, "one")
    one.nodes("User", [user("u")])
    one.nodes("Movie", [NodeRow("d:m", {"dataset": "d", "source": "s"})])
    row = RelationRow("d:u", "d:m", {"rating": 1.0, "source": "s"})
    writer(store, "two").relations(RATED, [row])
    assert one.relations(RATED, [row]) == Counts(0, 0, 0, 1)
