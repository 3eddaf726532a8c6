"""Ingest on both engines: once, again, interrupted, together, and with something wrong."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import GraphAddress, quiet
from small import write_small

from kg.errors import ChangeSomethingError
from kg.ingest import dump, dump_hash, ingest, stats
from kg.ingest import load as load_module
from kg.ingest.journal import Journal
from kg.store import GraphStore, statement

# Of write_small with its defaults; equal on both engines, or one of them is wrong.
SMALL_HASH_FILE = "small.hash"


class KilledError(Exception):
    """Stands in for the moment a process dies."""


def test_first_load_creates_and_second_changes_nothing(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    first = ingest(store, data, tmp_path, quiet)
    total = sum(t.rows for t in first.stage.tables)
    assert (first.created, first.changed, first.unchanged) == (total, 0, 0)
    before = list(dump(store))
    second = ingest(store, data, tmp_path, quiet)
    assert (second.created, second.changed, second.unchanged, second.load) == (0, 0, total, None)
    assert list(dump(store)) == before
    assert len(stats(store)["loads"]) == 1
    assert len([line for line in before if line.startswith(b'["relation"')]) == sum(
        t.rows for t in first.stage.tables if t.kind == "relation"
    )


def test_both_engines_hold_the_same(
    store: GraphStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    # The engines run one after the other; the first leaves its hash for the second.
    note = tmp_path_factory.getbasetemp() / SMALL_HASH_FILE
    if note.exists():
        assert dump_hash(store) == note.read_text()
    note.write_text(dump_hash(store))
    assert len(dump_hash(store)) == 64


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_batch_size_does_not_matter(store: GraphStore, tmp_path: Path, rows: int) -> None:
    data = write_small(tmp_path / "data", users=4, items=5)
    ingest(store, data, tmp_path, quiet, batch_rows=rows)
    lines = list(dump(store))
    assert len(lines) == len(set(lines))
    assert ingest(store, data, tmp_path / "other", quiet).created == 0


@pytest.mark.parametrize("commits", [0, 1, 3, 8])
def test_goes_on_after_a_death_between_commit_and_journal(
    graph: GraphAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    data = write_small(tmp_path / "data")
    save, calls = Journal.save, []

    def dying_save(journal: Journal, path: Path) -> None:
        if len(calls) == commits:
            raise KilledError
        calls.append(path)
        save(journal, path)

    with graph.connect() as store:
        monkeypatch.setattr(Journal, "save", dying_save)
        with pytest.raises(KilledError):
            ingest(store, data, tmp_path, quiet, batch_rows=10)
        monkeypatch.undo()
        graph_environment(graph, monkeypatch)
        resumed = ingest(store, data, tmp_path, quiet, batch_rows=10)
        assert resumed.resumed
        interrupted = list(dump(store))
        assert interrupted == reference_dump(data, tmp_path / "reference")
        assert [x["status"] for x in stats(store)["loads"]] == ["complete"]


def graph_environment(graph: GraphAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in graph.environment.items():
        monkeypatch.setenv(name, value)


def reference_dump(data: object, home: Path) -> list[bytes]:
    """The dump of an undisturbed load into an embedded engine of its own."""
    from kg.store import connect

    with connect(None, home) as store:
        ingest(store, data, home, quiet)  # type: ignore[arg-type]
        return list(dump(store))


def test_journal_of_a_wiped_graph_is_not_believed(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small(tmp_path / "data")
    folder = tmp_path / "ingest" / "small"
    done = load_module._Load._finish

    def never_finishes(self: load_module._Load) -> None:
        raise KilledError

    monkeypatch.setattr(load_module._Load, "_finish", never_finishes)
    with pytest.raises(KilledError):
        ingest(store, data, tmp_path, quiet)
    monkeypatch.setattr(load_module._Load, "_finish", done)
    (journal,) = folder.glob("journal-*.json")
    saved = Journal.load_from(journal)
    assert saved is not None
    store.transaction(
        lambda tx: tx._tx.run("MATCH (n) DETACH DELETE n").consume()  # all of it, ledger too
    )
    again = ingest(store, data, tmp_path, quiet)
    assert not again.resumed
    assert again.created == sum(t.rows for t in again.stage.tables)


def test_changed_rows_change_and_nothing_else(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    ingest(store, data, tmp_path, quiet)
    file = tmp_path / "data" / "interactions.tsv"
    lines = file.read_text().splitlines()
    cells = lines[1].split("\t")
    lines[1] = "\t".join([*cells[:2], "0.5", cells[3]])
    file.write_text("\n".join(lines) + "\n")
    titles = tmp_path / "data" / "items.tsv"
    titles.write_text(titles.read_text().replace("Film 2 é", "Film Two"))
    result = ingest(store, data, tmp_path, quiet)
    assert (result.created, result.changed) == (0, 2)
    assert list(dump(store)) == reference_dump(data, tmp_path / "reference")


def test_what_a_source_no_longer_says_of_a_row_goes(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    ingest(store, data, tmp_path, quiet)
    file = tmp_path / "data" / "interactions.tsv"
    lines = file.read_text().splitlines()
    cells = lines[1].split("\t")
    lines[1] = "\t".join([*cells[:2], "", cells[3]])
    file.write_text("\n".join(lines) + "\n")
    titles = tmp_path / "data" / "items.tsv"
    titles.write_text(titles.read_text().replace("Film 2 é", ""))
    assert ingest(store, data, tmp_path, quiet).changed == 2
    assert ingest(store, data, tmp_path, quiet).changed == 0
    assert list(dump(store)) == reference_dump(data, tmp_path / "reference")


def test_two_data_sets_share_entities_and_nothing_else(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_small(tmp_path / "a", "a"), tmp_path, quiet)
    alone = list(dump(store, "a"))
    ingest(store, write_small(tmp_path / "b", "b", users=5, shift=2), tmp_path, quiet)
    assert list(dump(store, "a")) == alone
    counts = stats(store)["nodes"]
    assert counts["User"] == 12 + 5
    assert counts["Person"] == 3 + 4, "directors and actors are the same people in both"
    assert stats(store, "b")["nodes"]["User"] == 5


def test_a_name_taken_by_another_domain_is_refused(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "a", "a")
    ingest(store, data, tmp_path, quiet)
    other = type(data)("a", "products", data.sources[:1])
    with pytest.raises(ChangeSomethingError, match="domain movies, not products"):
        ingest(store, other, tmp_path, quiet)


def test_two_loads_at_once_agree(graph: GraphAddress, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data", users=40, items=20)
    errors: list[BaseException] = []
    with graph.connect() as store:
        store.ensure_schema()

        def load(home: Path) -> None:
            try:
                ingest(store, data, home, quiet, batch_rows=20)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=load, args=(tmp_path / f"h{i}",)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not errors
        lines = list(dump(store))
        assert lines == reference_dump(data, tmp_path / "reference")


def test_too_many_bad_rows_load_nothing(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    file = tmp_path / "data" / "interactions.tsv"
    file.write_text(file.read_text() + "u1\t\t4.0\t100\nbroken line\n")
    with pytest.raises(ChangeSomethingError, match=r"interactions\.tsv: 2 of \d+ .*item_id is"):
        ingest(store, data, tmp_path, quiet)
    assert list(dump(store)) == []
    result = ingest(store, data, tmp_path, quiet, max_bad=0.5)
    assert result.stage.total("quarantined") == 2
    assert [q["reason"] for q in result.stage.quarantine()] == [
        "item_id is empty",
        "1 columns instead of 4",
    ]


def test_a_relation_whose_end_vanished_is_an_error(store: GraphStore, tmp_path: Path) -> None:
    from kg.ingest.tables import RelationKind, RelationRow, Writer

    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    writer = Writer(store, "small", "test", lambda: None)
    row = RelationRow("small:u0", "small:nowhere", {"rating": 1.0})
    with pytest.raises(ChangeSomethingError, match="an end that is not in the graph"):
        writer.relations(RelationKind("RATED", "User", "Movie"), [row])
    (found,) = store.read(statement("count_relations", type="RATED", source="User"))
    assert found[0] == stats(store)["relations"]["RATED"]


def test_hostile_text_is_stored_inert(store: GraphStore, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    odd = ["'}) DETACH DELETE n //", "`x`", "é \u202eabc", "a\u200bb", "&amp;%20", "$id {{label}}"]
    lines = ["user_id\titem_id\trating\ttimestamp"]
    lines += [f"{text}\ti{i}\t1\t{i}" for i, text in enumerate(odd)]
    (folder / "interactions.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    sources = write_small(tmp_path / "unused").sources[0]
    data = type(write_small(tmp_path / "unused"))(
        "odd", "movies", (type(sources)("tsv-interactions", folder / "interactions.tsv"),)
    )
    ingest(store, data, tmp_path, quiet)
    users = {r[0] for r in store.read(statement("export_users"), dataset="odd")}
    assert users == {f"odd:{text}" for text in odd}
