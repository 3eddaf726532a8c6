"""Personas and transitions in the graph, on both engines."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import quiet
from numpy.typing import NDArray
from scipy import sparse
from small import write_small

from kg.errors import ChangeSomethingError
from kg.ingest import dump_hash, ingest, require_data_set, stats
from kg.store import GraphStore, statement
from kg.views import read_catalogue, read_facts, read_interactions, read_transitions, read_users
from kg.views.personas import (
    PersonaModel,
    Preference,
    check_vectors,
    current_model,
    neighbours,
    preferences_of,
    read_personas,
    require_model,
    require_user,
    use_personas,
    versions,
    write_personas,
)
from kg.views.transitions import write_transitions
from personarec.evaluation.sequences import Sequences
from personarec.graphs import from_dgl, to_dgl
from personarec.retriever.transitions import transition_counts
from personarec.training.data import read_data

SIZE = 16


def loaded(store: GraphStore, tmp_path: Path, users: int = 12) -> tuple[str, ...]:
    ingest(store, write_small(tmp_path / "data", users=users), tmp_path, quiet)
    return read_users(store, "small")


def model(name: str, users: tuple[str, ...]) -> PersonaModel:
    return PersonaModel(f"small-test-{name}", "small", "test", SIZE, "everything", len(users))


def vectors_for(users: tuple[str, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((len(users), SIZE)).astype(np.float32)


def director(user: str, n: int, weight: float = 0.5) -> Preference:
    entity = f"http://dbpedia.org/resource/Director_{n}"
    return Preference(user, "Person", entity, "DIRECTED_BY", weight)


def persona_properties(store: GraphStore) -> set[str]:
    rows = store.read(statement("dump_nodes", label="User"))
    return {key for _, properties in rows for key in properties if key.startswith("persona")}


def test_a_version_is_read_back_exactly(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path)
    before = dump_hash(store)
    vectors = vectors_for(users)
    likes = [director(u, i % 3, 0.25 + i / 100) for i, u in enumerate(users)]
    write_personas(store, model("aaaa0000", users), users, vectors, likes, quiet)
    assert require_model(store, "small") == model("aaaa0000", users)
    np.testing.assert_array_equal(read_personas(store, model("aaaa0000", users), users), vectors)
    (preference,) = preferences_of(store, users[1], model("aaaa0000", users))
    assert preference == {
        "relation": "DIRECTED_BY", "name": "Director 1", "weight": 0.26,
        "id": "http://dbpedia.org/resource/Director_1",
    }  # fmt: skip
    assert dump_hash(store) == before, "what was ingested stays as it was"


def test_writing_a_version_again_changes_nothing(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path)
    arguments = (model("aaaa0000", users), users, vectors_for(users), [director(users[0], 1)])
    write_personas(store, *arguments, quiet)
    once = dump_hash(store, derived=True)
    write_personas(store, *arguments, quiet)
    assert dump_hash(store, derived=True) == once


def test_versions_switch_and_the_oldest_goes(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path)
    names = ("aaaa0000", "bbbb1111", "cccc2222")
    for seed, name in enumerate(names):
        likes = [director(u, seed) for u in users]
        write_personas(store, model(name, users), users, vectors_for(users, seed), likes, quiet)
    assert versions(store, "small") == [model(n, users) for n in names[1:]]
    assert stats(store)["relations"]["PREFERS"] == 2 * len(users)
    assert persona_properties(store) == {"personabbbb1111", "personacccc2222"}
    use_personas(store, "small", model("bbbb1111", users).id)
    assert current_model(store, "small") == model("bbbb1111", users)
    with pytest.raises(ChangeSomethingError, match="no persona version 'gone'"):
        use_personas(store, "small", "gone")
    # The version that readers are on stays when a new one is written, though it is not the newest.
    new = model("dddd3333", users)
    write_personas(store, new, users, vectors_for(users, 3), [], quiet)
    assert versions(store, "small") == [model("bbbb1111", users), new]


def test_a_user_who_came_after_the_personas_is_told_so(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path)
    old = model("aaaa0000", users)
    write_personas(store, old, users, vectors_for(users), [], quiet)
    ingest(store, write_small(tmp_path / "more", users=len(users) + 1), tmp_path, quiet)
    (new,) = set(read_users(store, "small")) - set(users)
    with pytest.raises(ChangeSomethingError, match=f"{new} has no persona of version {old.id}"):
        neighbours(store, new, old)


def test_a_reader_sees_the_old_version_until_the_new_is_whole(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = loaded(store, tmp_path)
    old, new = model("aaaa0000", users), model("bbbb1111", users)
    write_personas(store, old, users, vectors_for(users), [], quiet)

    def dies(*_: object, **__: object) -> None:
        assert current_model(store, "small") == old
        raise RuntimeError("killed before the index")

    with monkeypatch.context() as patch:
        patch.setattr(GraphStore, "create_vector_index", dies)
        with pytest.raises(RuntimeError):
            write_personas(store, new, users, vectors_for(users, 1), [], quiet)
    assert current_model(store, "small") == old
    np.testing.assert_array_equal(read_personas(store, old, users), vectors_for(users))
    # Another version is written instead: what the dead one left goes.
    other = model("cccc2222", users)
    write_personas(store, other, users, vectors_for(users, 2), [], quiet)
    assert current_model(store, "small") == other
    assert persona_properties(store) == {"personaaaaa0000", "personacccc2222"}
    assert stats(store)["nodes"]["PersonaModel"] == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v[:, :-1], "shape"),
        (lambda v: np.where(np.arange(SIZE) == 2, np.nan, v), "zero or not finite"),
        (lambda v: np.where(np.arange(SIZE) == 2, np.inf, v), "zero or not finite"),
        (lambda v: v * (np.arange(len(v)) != 3)[:, None], "first that of u3"),
    ],
)
def test_bad_vectors_are_refused_before_anything_is_written(spoil: object, message: str) -> None:
    users = tuple(f"u{i}" for i in range(5))
    bad = spoil(vectors_for(users))  # type: ignore[operator]
    with pytest.raises(ChangeSomethingError, match=message):
        check_vectors(model("aaaa0000", users), users, bad)


def test_neighbours_are_the_nearest_by_cosine(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path, users=60)
    vectors = vectors_for(users)
    likes = [director(u, i % 3) for i, u in enumerate(users)]
    version = model("aaaa0000", users)
    write_personas(store, version, users, vectors, likes, quiet)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for me in (0, 17, 41):
        cosine = unit @ unit[me]
        expected = [users[i] for i in np.argsort(-cosine) if i != me][:5]
        found = neighbours(store, users[me], version, 5)
        assert [f.user for f in found] == expected
        np.testing.assert_allclose([f.cosine for f in found], np.sort(cosine)[::-1][1:6], atol=1e-4)
        for neighbour in found:
            place = users.index(neighbour.user)
            names = [s["name"] for s in neighbour.shared]
            assert names == ([f"Director {me % 3}"] if place % 3 == me % 3 else [])


def test_unknown_user_and_data_set_are_said(store: GraphStore, tmp_path: Path) -> None:
    loaded(store, tmp_path)
    assert require_user(store, "small", "u1") == "small:u1"
    with pytest.raises(ChangeSomethingError, match=r"no user 'nobody'.*small:u0"):
        require_user(store, "small", "nobody")
    with pytest.raises(ChangeSomethingError, match="'other' is not in the graph"):
        require_data_set(store, "other")
    with pytest.raises(ChangeSomethingError, match="has no personas yet"):
        require_model(store, "small")


def test_transitions_are_exactly_the_counts(store: GraphStore, tmp_path: Path) -> None:
    loaded(store, tmp_path)
    catalogue = read_catalogue(store, "small", "Movie")
    sequences = Sequences.from_interactions(read_interactions(store, "small", catalogue))
    counts = transition_counts(sequences)
    write_transitions(store, "small", catalogue, counts, "run", quiet)
    for stored, counted in zip(read_transitions(store, catalogue), counts, strict=True):
        assert abs(sparse.csr_array(stored) - counted).sum() == 0
    again = write_transitions(store, "small", catalogue, counts, "run", quiet)
    assert (again.created, again.changed, again.deleted) == (0, 0, 0)
    # Fewer transitions: the rest must go, or held-out ones would stay behind.
    shorter = transition_counts(Sequences.from_lists([[0, 1]], len(catalogue.ids)))
    write_transitions(store, "small", catalogue, shorter, "run", quiet)
    assert stats(store)["relations"]["NEXT"] == 1


def test_interactions_come_in_order_of_time_then_row(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    catalogue = read_catalogue(store, "small", "Movie")
    found = read_interactions(store, "small", catalogue)
    expected: dict[str, list[str]] = {}
    rows = (tmp_path / "data" / "interactions.tsv").read_text().splitlines()[1:]
    for line in sorted(rows, key=lambda r: int(r.split("\t")[3])):  # stable: ties stay in row order
        user, item, *_ = line.split("\t")
        expected.setdefault(f"small:{user}", []).append(f"small:{item}")
    for u, user in enumerate(found.users):
        start, end = found.indptr[u], found.indptr[u + 1]
        assert [found.items[i] for i in found.item[start:end]] == expected[user]


def test_facts_come_as_typed_matrices(store: GraphStore, tmp_path: Path) -> None:
    loaded(store, tmp_path)
    catalogue = read_catalogue(store, "small", "Movie")
    graph = read_facts(store, catalogue)
    assert graph.nodes["Movie"][: len(catalogue.ids)] == catalogue.ids
    assert graph.nodes["Movie"][len(catalogue.ids) :] == (
        "http://dbpedia.org/resource/Film_before",
    )
    directed = graph.relations["Movie", "DIRECTED_BY", "Person"]
    people = graph.nodes["Person"]
    for i in range(9):
        row = directed[[catalogue.ids.index(f"small:i{i}")]].nonzero()[1]
        assert [people[p] for p in row] == [f"http://dbpedia.org/resource/Director_{i % 3}"]


def test_the_training_graph_goes_to_dgl_and_back(store: GraphStore, tmp_path: Path) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("DGL NOT TESTED: its last usable release has wheels up to Python 3.11")
    loaded(store, tmp_path)
    data = read_data(store, "small")
    graph = data.training_graph(data.split.train)
    rated = graph.relations["User", "RATED", "Movie"]
    # Held-out interactions are in the database, and must not be in here.
    assert rated.nnz == len(data.split.train.items) < len(data.interactions)
    back = from_dgl(to_dgl(graph), graph.nodes)
    assert back.content_hash() == graph.content_hash()
