"""A load tried without a write, what it set aside, and a data set taken out again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from small import write_small
from test_whole_road import ok, personarec

from kg.errors import ChangeSomethingError
from kg.ingest import dump, dump_hash, ingest, planned, remove, stats
from kg.ingest import load as load_module
from kg.ingest.sources import DataSetSources
from kg.store import GraphStore, statement
from kg.views import read_catalogue, read_users
from kg.views.personas import PersonaModel, Preference, neighbours, versions, write_personas


class KilledError(Exception):
    """Stands in for the moment a process dies."""


def everything(store: GraphStore) -> tuple[list[bytes], dict[str, Any]]:
    """All that a reader can see, the ledger and derived content too."""
    return list(dump(store, derived=True)), stats(store)


def try_out(
    store: GraphStore, data: DataSetSources, home: Path, patch: pytest.MonkeyPatch, **options: Any
) -> tuple[int, int, int]:
    """A dry run; any transaction that is not a read fails."""
    run = GraphStore.transaction

    def read_only(self: GraphStore, work: Any, *, read: bool = False) -> Any:
        assert read, "a dry run wrote"
        return run(self, work, read=True)

    before = everything(store)
    with patch.context() as patched:
        patched.setattr(GraphStore, "transaction", read_only)
        result = ingest(store, data, home, quiet, dry_run=True, **options)
    assert everything(store) == before
    assert (result.dry_run, result.load) == (True, None)
    assert not list((home / "ingest" / data.name).glob("journal-*"))
    return result.created, result.changed, result.unchanged


def change_sources(data: DataSetSources) -> None:
    """Another rating, another title, a rating taken away, and a new user."""
    ratings, titles = data.sources[0].path, data.sources[1].path
    lines = ratings.read_text("utf-8").splitlines()
    for number, value in ((1, "0.5"), (2, "")):
        cells = lines[number].split("\t")
        lines[number] = "\t".join([*cells[:2], value, cells[3]])
    ratings.write_text("\n".join([*lines, "new\ti1\t3.0\t1000001"]) + "\n", "utf-8")
    titles.write_text(titles.read_text("utf-8").replace("Film 2 é", "Film Two"), "utf-8")


# -- dry run ---------------------------------------------------------------------------------------


def test_dry_run_says_what_the_load_then_does(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small(tmp_path / "data")
    for prepare in (lambda: None, lambda: None, lambda: change_sources(data)):
        prepare()
        said = try_out(store, data, tmp_path, monkeypatch, batch_rows=7)
        done = ingest(store, data, tmp_path, quiet)
        assert said == (done.created, done.changed, done.unchanged)
        assert sum(said) == sum(t.rows for t in done.stage.tables)
    assert said[:2] == (2, 3), "a user and its rating; two ratings and a title"


def test_dry_run_knows_what_data_sets_share(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(store, write_small(tmp_path / "a", "a"), tmp_path, quiet)
    data = write_small(tmp_path / "b", "b", users=5, shift=2)
    said = try_out(store, data, tmp_path, monkeypatch)
    done = ingest(store, data, tmp_path, quiet)
    assert said == (done.created, done.changed, done.unchanged)
    assert said[2] > 0


def test_dry_run_of_an_interrupted_load_counts_what_is_left(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_small(tmp_path / "data")
    interrupt(store, data, tmp_path / "first", monkeypatch)
    result = ingest(store, data, tmp_path / "second", quiet, dry_run=True)
    assert result.resumed
    assert (result.created, result.changed) == (0, 0)
    assert [x["status"] for x in stats(store)["loads"]] == ["running"]


def interrupt(
    store: GraphStore, data: DataSetSources, home: Path, patch: pytest.MonkeyPatch
) -> None:
    def never_finishes(_self: load_module._Load) -> None:
        raise KilledError

    with patch.context() as patched:
        patched.setattr(load_module._Load, "_finish", never_finishes)
        with pytest.raises(KilledError):
            ingest(store, data, home, quiet)


def test_dry_run_refuses_what_a_load_refuses(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "a", "a")
    ingest(store, data, tmp_path, quiet)
    other = type(data)("a", "products", data.sources[:1])
    with pytest.raises(ChangeSomethingError, match="domain movies, not products"):
        ingest(store, other, tmp_path, quiet, dry_run=True)
    file = data.sources[0].path
    file.write_text(file.read_text("utf-8") + "u1\t\t4.0\t100\n", "utf-8")
    with pytest.raises(ChangeSomethingError, match="unusable"):
        ingest(store, data, tmp_path, quiet, dry_run=True, max_bad=0)


# -- remove ----------------------------------------------------------------------------------------


def with_personas(store: GraphStore, name: str, mark: str) -> PersonaModel:
    users = read_users(store, name)
    item = read_catalogue(store, name, "Movie").ids[0]
    model = PersonaModel(f"{name}-test-{mark}", name, "test", 4, "everything", len(users))
    vectors = np.random.default_rng(0).standard_normal((len(users), 4)).astype(np.float32)
    director = "http://dbpedia.org/resource/Director_0"
    likes = [Preference(u, "Person", director, "DIRECTED_BY", 0.5) for u in users]
    likes += [Preference(u, "Movie", item, "PREVIOUS_WORK", 0.25) for u in users]
    write_personas(store, model, users, vectors, likes, quiet)
    return model


@pytest.mark.parametrize("nodes", [pytest.param(1_000, marks=pytest.mark.slow), 4])
def test_remove_leaves_the_other_data_set_byte_for_byte(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    module = sys.modules[remove.__module__]
    monkeypatch.setattr(module, "NODES", nodes)
    monkeypatch.setattr(module, "RELATIONS", 5 * nodes)
    b = write_small(tmp_path / "b", "b", users=5, items=3, shift=2)
    ingest(store, b, tmp_path, quiet)
    with_personas(store, "b", "bbbb0000")
    alone, kept = everything(store), list(dump(store, "b", derived=True))
    a = write_small(tmp_path / "a", "a")
    ingest(store, a, tmp_path, quiet)
    both = dump_hash(store)
    model = with_personas(store, "a", "aaaa0000")
    assert "12 User, 9 Movie, 1 Load, 1 PersonaModel" in planned(store, "a")
    relations = sum(stats(store, "a")["relations"].values())

    result = remove(store, "a", tmp_path, quiet)
    assert result.nodes == {"Load": 1, "User": 12, "Movie": 9, "PersonaModel": 1}
    assert result.relations == relations
    assert result.orphans > 0
    assert list(dump(store, "b", derived=True)) == kept
    assert everything(store) == alone, "what only the removed one used is gone, the rest stays"
    assert not (tmp_path / "ingest" / "a").exists()
    assert (tmp_path / "ingest" / "b").exists()
    other = versions(store, "b")[0]
    assert len(neighbours(store, "b:u0", other, 3)) == 3
    if store.engine == "neo4j":
        names = {row[0] for row in store.read(statement("index_states"))}
        assert other.index in names
        assert model.index not in names

    ingest(store, a, tmp_path, quiet)
    assert dump_hash(store) == both
    for name in ("b", "a"):
        remove(store, name, tmp_path, quiet)
    assert everything(store) == ([], {"nodes": {}, "relations": {}, "loads": []})


def test_ingest_after_remove_gives_the_same(store: GraphStore, tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    ingest(store, data, tmp_path, quiet)
    before = dump_hash(store)
    with_personas(store, "small", "cccc0000")
    remove(store, "small", tmp_path, quiet)
    assert list(dump(store)) == []
    assert ingest(store, data, tmp_path, quiet).unchanged == 0
    assert dump_hash(store) == before
    with_personas(store, "small", "cccc0000")
    assert len(versions(store, "small")) == 1


@pytest.mark.parametrize("label", ["Load", "User", "Movie", "PersonaModel"])
def test_a_removal_that_dies_goes_on_and_misleads_nobody(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    from kg.ingest.remove import _Removal

    data = write_small(tmp_path / "data")
    ingest(store, data, tmp_path, quiet)
    before = dump_hash(store)
    with_personas(store, "small", "dddd0000")
    whole = _Removal.nodes

    def dies(self: _Removal, of: str) -> None:
        if of == label:
            raise KilledError
        whole(self, of)

    with monkeypatch.context() as patched:
        patched.setattr(_Removal, "nodes", dies)
        with pytest.raises(KilledError):
            remove(store, "small", tmp_path, quiet)
    assert [row[1] for row in store.read(statement("data_sets"))] == [None], "readers pass it by"
    if label == "Movie":
        ingest(store, data, tmp_path, quiet)  # a load instead puts back what is missing
        assert dump_hash(store) == before
    remove(store, "small", tmp_path, quiet)
    assert everything(store) == ([], {"nodes": {}, "relations": {}, "loads": []})


def test_orphans_stay_while_another_load_is_open(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = write_small(tmp_path / "b", "b", users=5, items=3)
    a = write_small(tmp_path / "a", "a")
    ingest(store, a, tmp_path, quiet)
    written, commits = load_module._write, []

    def dies_before_relations(writer: Any, table: Any, rows: Any) -> Any:
        if table.kind == "relation":
            raise KilledError
        commits.append(table)
        return written(writer, table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(load_module, "_write", dies_before_relations)
        with pytest.raises(KilledError):
            ingest(store, b, tmp_path, quiet)
    assert commits
    result = remove(store, "a", tmp_path, quiet)
    assert (result.orphans, result.kept_for) == (0, ["b"])
    assert ingest(store, b, tmp_path, quiet).resumed
    alone = list(dump(store, "b"))
    ingest(store, write_small(tmp_path / "c", "c", users=3, items=3), tmp_path, quiet)
    assert remove(store, "c", tmp_path, quiet).orphans > 0
    assert list(dump(store)) == alone, "the next removal took what the first had to keep"


def test_remove_of_what_is_not_there_is_one_line(store: GraphStore, tmp_path: Path) -> None:
    for call in (
        lambda: remove(store, "nothing", tmp_path, quiet),
        lambda: planned(store, "nothing"),
    ):
        with pytest.raises(ChangeSomethingError, match="'nothing' is not in the graph") as refused:
            call()
        assert "\n" not in str(refused.value)


# -- by the command line ---------------------------------------------------------------------------


def refused(graph: GraphAddress, *arguments: str) -> str:
    code, out, err = personarec(graph, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("personarec: ")
    assert err.count("\n") == 1
    return err


def test_commands(graph: GraphAddress, tmp_path: Path) -> None:
    data = write_small(tmp_path / "small")
    file = data.sources[0].path
    file.write_text(file.read_text("utf-8") + "u1\t\t4.0\t100\nbroken [line]\n", "utf-8")
    folder = str(tmp_path / "small")
    assert "never staged" in refused(graph, "kg", "quarantine", "--dataset", "small")
    assert "not in the graph" in refused(graph, "kg", "remove", "--dataset", "small", "--yes")

    load = ("kg", "ingest", "--dataset", folder, "--max-bad", "0.5")
    said = ok(graph, *load, "--dry-run")
    assert (said["dry_run"], said["load"]) == (True, None)
    assert "dry run, nothing written" in personarec(graph, *load, "--dry-run")[1]
    with graph.connect() as store:
        assert everything(store) == ([], {"nodes": {}, "relations": {}, "loads": []})
    done = ok(graph, *load)
    assert done["created"] == said["created"] > 0

    rows = ok(graph, "kg", "quarantine", "--dataset", folder)
    assert [r["reason"] for r in rows["rows"]] == ["item_id is empty", "1 columns instead of 4"]
    assert rows["rows"][1]["text"] == "broken [line]"
    assert Path(rows["file"]).is_file()
    code, shown, _ = personarec(graph, "kg", "quarantine", "--dataset", "small", "--limit", "1")
    assert code == 0
    assert f"2 rows set aside (1 shown): {rows['file']}" in shown
    assert "item_id is empty" in shown
    assert "broken" not in shown

    err = refused(graph, "kg", "remove", "--dataset", "small")
    assert "would remove 12 User, 9 Movie, 1 Load nodes" in err
    assert "--yes" in err
    assert ok(graph, "kg", "stats")["nodes"]["User"] == 12
    gone = ok(graph, "kg", "remove", "--dataset", "small", "--yes")
    assert gone["nodes"] == {"Load": 1, "User": 12, "Movie": 9}
    assert gone["orphans"] > 0
    assert ok(graph, "kg", "stats") == {"nodes": {}, "relations": {}, "loads": []}
    assert "never staged" in refused(graph, "kg", "quarantine", "--dataset", "small")
    assert personarec(graph, *load)[0] == 0
    code, shown, _ = personarec(graph, "kg", "remove", "--dataset", "small", "--yes")
    assert code == 0
    assert shown.startswith("removed data set small: 1 Load, 12 User, 9 Movie nodes")
