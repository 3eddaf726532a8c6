"""The graph around a node, readers by a part of their key, and a query by hand in its limits."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from conftest import quiet
from small import DBR, write_small

from kg.errors import ChangeSomethingError
from kg.ingest import ingest
from kg.schema import UnknownNameError
from kg.store import GraphStore, connect
from kg.store.embedded import EmbeddedEngine
from kg.store.query import read_only_query
from kg.views.export import read_users
from kg.views.neighbourhood import Relations, find_users, neighbourhood
from kg.views.personas import PersonaModel, Preference, use_personas, write_personas
from personarec.web.page.drawing import Drawing
from personarec.web.page.routes import TOOK_TOO_LONG, complaint

DIRECTOR = f"{DBR}Director_1"
ENDLESS = (
    "MATCH (a), (b), (c), (d), (e), (f) WHERE a.id + b.id + c.id + d.id + e.id + f.id = 'none' "
    "RETURN count(a) AS n"
)


def test_a_node_and_its_strongest_neighbours(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    users = read_users(store, "small")
    first, second = (
        PersonaModel(f"small-test-{n}", "small", "test", 2, "everything", len(users))
        for n in ("aaaa0000", "bbbb1111")
    )
    for model, weight in ((first, 0.2), (second, 0.9)):
        liked = [
            Preference("small:u1", "Person", DIRECTOR, "DIRECTED_BY", weight),
            Preference("small:u2", "Person", DIRECTOR, "DIRECTED_BY", 0.5),
        ]
        vectors = np.ones((len(users), 2), np.float32)
        write_personas(store, model, users, vectors, liked, progress=quiet)
    use_personas(store, "small", first.id)

    # Of a film: facts out, readers in; where it is not looked for first, it is still found.
    film = neighbourhood(store, ["User", "Movie"], "small:i1", first.id, 2)
    assert film is not None
    assert (film.node.label, film.node.name) == ("Movie", "Film 1 é")
    assert film.properties["dataset"] == "small"
    by_type = {(r.relation, r.outgoing): r for r in film.relations}
    directed = by_type["DIRECTED_BY", True]
    assert [(n.node.label, n.node.id, n.node.name) for n in directed.neighbours] == [
        ("Person", DIRECTOR, "Director 1")
    ]
    assert by_type["PREVIOUS_WORK", True].neighbours[0].node.id == "small:i0"
    assert by_type["PREVIOUS_WORK", False].neighbours[0].node.id == "small:i2"
    rated = by_type["RATED", False]
    assert rated.total > len(rated.neighbours) == 2  # cut, and counted all the same
    assert rated.neighbours[0].strength >= rated.neighbours[1].strength

    # Preferences are those of one version, strongest first.
    def liking(model: PersonaModel | None) -> Relations | None:
        found = neighbourhood(store, ["Person"], DIRECTOR, model.id if model else None, 5)
        assert found is not None
        return next((r for r in found.relations if r.relation == "PREFERS"), None)

    for model, order in ((first, ["u2", "u1"]), (second, ["u1", "u2"])):
        group = liking(model)
        assert group is not None
        assert [n.node.id for n in group.neighbours] == [f"small:{u}" for u in order]
        assert group.neighbours[0].through == "DIRECTED_BY"
        assert group.total == 2
    assert liking(None) is None

    # A reader's vector is no property that people see.
    reader = neighbourhood(store, ["User"], "small:u1", first.id, 5)
    assert reader is not None
    assert first.property_name not in reader.properties

    assert neighbourhood(store, ["User", "Movie"], "small:nobody", None, 5) is None
    with pytest.raises(UnknownNameError):
        neighbourhood(store, ["Movie`) DETACH DELETE n //"], "small:i1", None, 5)

    assert find_users(store, "small", "U1", 3) == ["small:u1", "small:u10", "small:u11"]
    assert find_users(store, "small", "", 2) == ["small:u0", "small:u1"]
    assert find_users(store, "other", "", 2) == []

    check_drawing(store)
    check_time_limit(store)


def check_drawing(store: GraphStore) -> None:
    """Nodes, relations and paths of rows become one drawing, whatever the engine."""
    _, rows = read_only_query(
        store,
        "MATCH (u:User {id: 'small:u1'})-[r:RATED]->(m:Movie {id: 'small:i1'})-[f:DIRECTED_BY]->(p)"
        " RETURN r, u, m, f, p",
        {},
        5,
    )
    drawing = Drawing()
    (row,) = drawing.rows(rows)
    assert row[1] == {
        "node": {"ref": "User:small:u1", "label": "User", "id": "small:u1", "name": None}
    }
    drawn = drawing.as_dict()
    assert {n["ref"] for n in drawn["nodes"]} == {
        "User:small:u1", "Movie:small:i1", f"Person:{DIRECTOR}",
    }  # fmt: skip
    assert {(e["from"], e["relation"], e["to"]) for e in drawn["edges"]} == {
        ("User:small:u1", "RATED", "Movie:small:i1"),
        ("Movie:small:i1", "DIRECTED_BY", f"Person:{DIRECTOR}"),
    }
    path = "MATCH p = (:User {id: 'small:u1'})-[:RATED]->(:Movie {id: 'small:i1'}) RETURN p"
    _, paths = read_only_query(store, path, {}, 5)
    drawing = Drawing()
    ((drawn_path,),) = drawing.rows(paths)
    assert [n["id"] for n in drawn_path["path"]] == ["small:u1", "small:i1"]
    assert len(drawing.as_dict()["edges"]) == 1


def check_time_limit(store: GraphStore) -> None:
    began = time.monotonic()
    with pytest.raises(ChangeSomethingError) as caught:
        read_only_query(store, ENDLESS, {}, 5, seconds=1)
    assert time.monotonic() - began < 20
    assert complaint(caught.value) == TOOK_TOO_LONG
    # The next one is under no limit of the last.
    assert read_only_query(store, "MATCH (u:User) RETURN count(u) AS n", {}, 5)[1] == [[12]]
    with pytest.raises(ChangeSomethingError) as caught:
        read_only_query(store, "MATCH (u:User RETURN u", {}, 5, seconds=5)
    assert complaint(caught.value).startswith("the graph does not take this query: ")
    with pytest.raises(ChangeSomethingError) as caught:
        read_only_query(store, "MATCH (u:User) DELETE u", {}, 5, seconds=5)
    assert complaint(caught.value).startswith("this box only reads, and this says DELETE; ")


def test_a_limit_left_by_a_killed_process_is_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded engine keeps its limit in its files."""
    query = "UNWIND range(1, 400) AS a UNWIND range(1, 400) AS b WITH a WHERE a < 0 RETURN a"
    home = tmp_path / "home"
    engine = EmbeddedEngine(home / "graph")
    engine._set_limit(0.001)
    engine.close()
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedEngine, "_set_limit", lambda self, seconds: None)
        with connect(None, home) as store, pytest.raises(ChangeSomethingError, match="timeout"):
            read_only_query(store, query, {}, 5)
    with connect(None, home) as store:
        assert read_only_query(store, query, {}, 5)[1] == []
