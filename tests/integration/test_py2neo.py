"""Exploration through py2neo: on the real Neo4j, and on the embedded engine's Bolt port."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import py2neo
import pytest
from conftest import GraphAddress, quiet
from small import DBR, write_small

from kg import explore as package
from kg.errors import ChangeSomethingError, TryAgainError
from kg.explore import explore
from kg.ingest import dump_hash, ingest
from kg.schema import NODE_TYPES, RELATION_TYPES, NodeType, Property, Role
from kg.store import GraphStore
from kg.views import read_catalogue, read_users
from kg.views.personas import PersonaModel, Preference, preferences_of, write_personas
from kg.views.transitions import write_transitions
from personarec.evaluation.sequences import Sequences
from personarec.retriever.transitions import transition_counts

OLD, NEW = "small-test-aaaa0000", "small-test-bbbb1111"


@pytest.fixture
def filled(store: GraphStore, tmp_path: Path) -> GraphStore:
    """The small films, with two persona versions and transitions."""
    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    users = read_users(store, "small")
    vectors = np.random.default_rng(0).standard_normal((len(users), 8)).astype(np.float32)
    for name, weight in ((OLD, 0.25), (NEW, 0.5)):
        likes = [
            Preference(u, "Person", f"{DBR}{who}", relation, weight + step)
            for u in users
            for who, relation, step in (
                ("Director_1", "DIRECTED_BY", 0.1), ("Director_1", "STARRING", 0.0),
                ("Actor_2", "STARRING", 0.05),
            )
        ]  # fmt: skip
        model = PersonaModel(name, "small", "test", 8, "everything", len(users))
        write_personas(store, model, users, vectors, likes, quiet)
    catalogue = read_catalogue(store, "small", "Movie")
    counts = transition_counts(Sequences.from_lists([[0, 1], [0, 1]], len(catalogue.ids)))
    write_transitions(store, "small", catalogue, counts, "run", quiet)
    return store


@pytest.fixture
def opened(filled: GraphStore, graph: GraphAddress) -> Iterator[Any]:
    """The same graph, through py2neo."""
    with explore(graph.uri, graph.home) as found:
        yield found


def test_looking_around(opened: Any, filled: GraphStore) -> None:
    check_walk(opened)
    check_preferences(opened, filled)
    check_transitions_and_vector(opened)


def check_walk(opened: Any) -> None:
    """From a reader to films, people and back."""
    from kg.explore import DataSet, Movie, Person, User

    reader = User.match(opened, "small:u1").first()
    assert (reader.id, reader.dataset) == ("small:u1", "small")
    assert [type(m) for m in reader.rated] == [Movie] * 4
    ratings = {m.title: reader.rated.get(m, "rating") for m in reader.rated}
    assert ratings == {"Film 1 é": 3.0, "Film 3 é": 4.0, "Film 5 é": 5.0, "Film 7 é": 3.0}
    film = next(m for m in reader.rated if m.title == "Film 1 é")
    (director,) = film.directed_by
    assert (type(director), director.name) == (Person, "Director 1")
    assert [m.title for m in director.directed_by_from] == ["Film 1 é", "Film 4 é", "Film 7 é"]
    assert reader in film.rated_from
    assert User.match(opened).count() == 12
    (data_set,) = DataSet.match(opened)
    assert (data_set.id, data_set.personaModel) == ("small", NEW)


def check_preferences(opened: Any, filled: GraphStore) -> None:
    """Every relation of every version is there, and the current version's alone by preferences."""
    from kg.explore import User

    reader = User.match(opened, "small:u1").first()
    # Two versions of three facts; two facts lead to one person.
    assert len(reader.prefers) == 6
    assert {p["model"] for _, (_, p), _ in reader.prefers.triples()} == {OLD, NEW}
    found = [
        {"relation": r, "name": fact.name, "id": fact.id, "weight": w}
        for r, fact, w in reader.preferences()
    ]
    model = PersonaModel(NEW, "small", "test", 8, "everything", 12)
    assert found == preferences_of(filled, "small:u1", model)
    assert [f["weight"] for f in found] == [0.6, 0.55, 0.5]


def check_transitions_and_vector(opened: Any) -> None:
    """NEXT with its counts, and the vector under the name that its version gives."""
    from kg.explore import Movie, PersonaModel, User

    film = Movie.match(opened, "small:i0").first()
    (following,) = film.next
    assert following.id == "small:i1"
    assert film.next.get(following, "gap1") == 2
    assert [m.id for m in following.next_from] == ["small:i0"]
    version = PersonaModel.match(opened, NEW).first()
    vector = User.match(opened, "small:u1").first().__node__[version.property]
    assert len(vector) == version.dimension == 8


def test_a_data_set_without_personas_is_said(
    store: GraphStore, graph: GraphAddress, tmp_path: Path
) -> None:
    from kg.explore import User

    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    with explore(graph.uri, graph.home) as opened:
        reader = User.match(opened, "small:u1").first()
        assert len(reader.prefers) == 0
        with pytest.raises(ChangeSomethingError, match="personarec train --dataset small"):
            list(reader.preferences())
        assert User.match(opened, "small:nobody").first() is None


def write_by_query(graph: Any) -> None:
    graph.run("CREATE (n:User {id: 'by query'})").stats()


def write_by_create(graph: Any) -> None:
    graph.create(py2neo.Node("User", id="by create"))


def write_by_push(graph: Any) -> None:
    from kg.explore import Movie

    film = Movie.match(graph, "small:i0").first()
    film.title = "planted"
    graph.push(film)


WRITES = (write_by_query, write_by_create, write_by_push)


def test_neo4j_refuses_to_write_and_the_embedded_engine_does_not(
    opened: Any, filled: GraphStore
) -> None:
    for write in WRITES:
        before = dump_hash(filled, derived=True)
        if filled.engine == "neo4j":
            with pytest.raises(py2neo.ClientError, match="read access mode"):
                write(opened)
            assert dump_hash(filled, derived=True) == before
        else:  # what the documentation warns of: when this fails, it may say better
            write(opened)
            assert dump_hash(filled, derived=True) != before


SCHEMA_CALLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("create_uniqueness_constraint", ("User", "other")),
    ("drop_uniqueness_constraint", ("User", "other")),
    ("get_uniqueness_constraints", ("User",)),
    ("create_index", ("User", "other")),
    ("drop_index", ("User", "other")),
    ("get_indexes", ("User",)),
)


def test_what_the_documentation_says_does_not_work(opened: Any) -> None:
    from kg.explore import Load

    for call, arguments in SCHEMA_CALLS:
        with pytest.raises(py2neo.Neo4jError):
            getattr(opened.schema, call)(*arguments)
    (load,) = Load.match(opened)
    assert load.startedAt.year >= 2026, "a time with a zone can be read"
    with pytest.raises(TypeError, match="utcoffset"):
        opened.query("RETURN $at AS at", {"at": datetime.now(UTC)})


# -- without a graph -------------------------------------------------------------------------------


def test_the_classes_are_the_schema() -> None:
    from kg.explore.models import MODELS

    assert set(MODELS) == {n.label for n in NODE_TYPES}
    for node in NODE_TYPES:
        model = MODELS[node.label]
        assert {p.name for p in node.properties} <= set(vars(model))
        if node.role is Role.LEDGER:
            assert not [a for a in vars(model).values() if hasattr(a, "relationship_type")]
    ends = {
        (name, a.relationship_type, a.direction)
        for name, model in MODELS.items()
        for a in vars(model).values()
        if hasattr(a, "relationship_type")
    }
    assert {r for _, r, _ in ends} == {r.name for r in RELATION_TYPES}
    assert {("User", "PREFERS", 1), ("Book", "PREFERS", -1), ("Genre", "PREFERS", -1)} <= ends
    assert {("Book", "NEXT", 1), ("Book", "NEXT", -1), ("Book", "SUBSEQUENT_WORK", -1)} <= ends
    assert ("User", "RATED", -1) not in ends


def test_two_attributes_of_one_name_are_refused() -> None:
    from kg.explore.models import attributes_of

    twice = NodeType("User", Role.USER, "planted", (Property("rated", "string", "planted"),))
    with pytest.raises(ValueError, match="User has two attributes rated"):
        attributes_of(twice)


def test_missing_py2neo_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "py2neo", None)
    with pytest.raises(ChangeSomethingError, match=r"pip install 'personarec\[py2neo\]'") as caught:
        explore(None, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ChangeSomethingError, match=r"personarec\[py2neo\]"):
        _ = package.User
    with pytest.raises(AttributeError, match="Nothing"):
        _ = package.Nothing


def test_a_wrong_address_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match=r"no graph in .*; name a server or another"):
        explore(None, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(ChangeSomethingError, match="--graph must be"):
        explore("http://localhost:7474", tmp_path)
    with pytest.raises(TryAgainError, match="no graph server answers"):
        explore("bolt://127.0.0.1:1", tmp_path)
