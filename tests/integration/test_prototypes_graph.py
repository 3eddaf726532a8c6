"""Prototypes, personas without a vector and the commands of both, in the graph, on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import GraphAddress, quiet
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from small import write_small
from test_whole_road import ok, personarec

from kg.errors import ChangeSomethingError
from kg.ingest import dump, dump_hash, ingest, remove, stats
from kg.store import GraphStore, Statement, statement
from kg.views import read_users
from kg.views.personas import (
    MOST_DIMENSIONS,
    PersonaModel,
    Preference,
    current_model,
    neighbours,
    preferences_of,
    read_personas,
    use_personas,
    versions,
    write_personas,
)
from kg.views.prototypes import (
    Characteristic,
    Prototype,
    Prototypes,
    entity_names,
    prototypes_of_user,
    read_agreement,
    read_places,
    read_prototypes,
    readers_of_prototype,
)
from personarec.commands.personas import print_persona
from personarec.datasets.manifest import resolve

DIRECTOR = "http://dbpedia.org/resource/Director_{}"
SIZE = 4


def loaded(store: GraphStore, tmp_path: Path) -> tuple[str, ...]:
    ingest(store, write_small(tmp_path / "data"), tmp_path, quiet)
    return read_users(store, "small")


def model(mark: str, users: tuple[str, ...], size: int = SIZE) -> PersonaModel:
    return PersonaModel(f"small-test-{mark}", "small", "test", size, "everything", len(users))


def vectors(users: tuple[str, ...], seed: int = 0, size: int = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((len(users), size)).astype(np.float32)


def likes(users: tuple[str, ...]) -> list[Preference]:
    return [
        Preference(u, "Person", DIRECTOR.format(i % 3), "DIRECTED_BY", 0.9 - i / 100)
        for i, u in enumerate(users)
    ]


def prototypes(users: tuple[str, ...], number: int = 3) -> Prototypes:
    kinds = tuple(
        Prototype(
            f"Kind {n}",
            10 - n,
            (n / 4, -n / 4),
            (
                Characteristic("DIRECTED_BY", "Person", DIRECTOR.format(n % 3), 0.75, 3.0, 1e-5),
                Characteristic("PREVIOUS_WORK", "Movie", "small:i1", 0.5, 2.0, 0.01),
                Characteristic("SUBSEQUENT_WORK", "Movie", "small:i1", 0.5, 2.0, 0.02),
            ),
        )
        for n in range(number)
    )
    weights = np.zeros((len(users), number), np.float32)
    weights[np.arange(len(users)), np.arange(len(users)) % number] = 0.75
    weights[np.arange(len(users)), (np.arange(len(users)) + 1) % number] = 0.25
    places = np.linspace(-1, 1, 2 * len(users), dtype=np.float32).reshape(-1, 2)
    return Prototypes(kinds, weights, places, 0.875)


def write(store: GraphStore, mark: str, users: tuple[str, ...], seed: int = 0) -> PersonaModel:
    made = model(mark, users)
    write_personas(
        store, made, users, vectors(users, seed), likes(users), quiet, prototypes(users, 3 + seed)
    )
    return made


def everything(store: GraphStore) -> list[bytes]:
    return list(dump(store, derived=True))


def test_prototypes_are_read_back_and_change_nothing_of_the_load(
    store: GraphStore, tmp_path: Path
) -> None:
    users = loaded(store, tmp_path)
    before = dump_hash(store)
    made = write(store, "aaaa0000", users)
    assert dump_hash(store) == before
    once = everything(store)
    assert sum(b'"PersonaPrototype"' in line for line in once) == 3 + 24 + 9
    write(store, "aaaa0000", users)
    assert everything(store) == once

    found = read_prototypes(store, made)
    assert [p.name for p in found] == ["Kind 0", "Kind 1", "Kind 2"]
    assert [(p.size, p.place) for p in found][1] == (9, (0.25, -0.25))
    first = found[2].facts[0]
    assert first == ("DIRECTED_BY", "Director 2", DIRECTOR.format(2), 0.75, 3.0, 1e-5)
    assert [f.relation for f in found[0].facts] == [
        "DIRECTED_BY", "PREVIOUS_WORK", "SUBSEQUENT_WORK",
    ]  # fmt: skip
    assert read_agreement(store, made) == 0.875
    assert [(r.name, r.weight) for r in prototypes_of_user(store, users[1], made)] == [
        ("Kind 1", 0.75), ("Kind 2", 0.25),
    ]  # fmt: skip
    assert readers_of_prototype(store, found[0].id, 5)[0] == (users[0], 0.75)
    places = read_places(store, made)
    assert [p.user for p in places] == list(users)
    assert places[4].prototype == found[1].id
    np.testing.assert_allclose((places[4].x, places[4].y), prototypes(users).places[4], atol=1e-7)
    assert stats(store, "small")["nodes"]["PersonaPrototype"] == 3
    names = entity_names(store, [("Person", DIRECTOR.format(1)), ("Movie", "small:i0")])
    assert list(names.values()) == ["Director 1", "Film 0 é"]


def test_prototypes_go_with_their_version_and_with_the_data_set(
    store: GraphStore, tmp_path: Path
) -> None:
    users = loaded(store, tmp_path)
    for seed, mark in enumerate(("aaaa0000", "bbbb1111", "cccc2222")):
        write(store, mark, users, seed)
    found = stats(store)
    assert found["nodes"]["PersonaPrototype"] == 4 + 5
    assert found["relations"]["RESEMBLES"] == 2 * 2 * len(users)
    kept = {k for _, p in store.read(statement("dump_nodes", label="User")) for k in p}
    assert {k for k in kept if "place" in k} == {"personabbbb1111_place", "personacccc2222_place"}
    assert read_prototypes(store, model("aaaa0000", users)) == []
    assert read_places(store, model("aaaa0000", users)) == []
    gone = remove(store, "small", tmp_path, quiet)
    assert gone.nodes["PersonaPrototype"] == 9
    assert everything(store) == []
    assert stats(store) == {"nodes": {}, "relations": {}, "loads": []}


class KilledError(Exception):
    """The process ended here."""


def dying(before: Callable[[Statement, dict[str, Any]], bool]) -> Callable[..., Any]:
    """``GraphStore.transaction``'s statements until one that ``before`` names."""
    write_of = GraphStore.write

    def write_or_die(self: GraphStore, query: Statement, **parameters: Any) -> Any:
        if before(query, parameters):
            raise KilledError
        return write_of(self, query, **parameters)

    return write_or_die


# Each step of a write and of the removal of the oldest version, in their order.
STEPS = {
    "the vectors": ("write_vectors", "persona{}"),
    "the prototypes": ("delete_prototypes", ""),
    "the places": ("write_vectors", "persona{}_place"),
    "it is complete": ("merge_persona_model", "complete"),
    "the switch": ("set_current_persona", ""),
    "the old one's removal": ("delete_preferences", ""),
    "the old one's prototypes": ("delete_prototypes", "old"),
    "the old one's end": ("delete_persona_model", ""),
}


@pytest.mark.slow
def test_a_write_that_dies_anywhere_leaves_one_whole_version(
    store: GraphStore, tmp_path: Path
) -> None:
    users = loaded(store, tmp_path)
    marks = [f"{n:08x}" for n in range(1, 20)]
    current = write(store, marks.pop(0), users, seed=0)
    write(store, marks.pop(0), users, seed=0)
    use_personas(store, "small", current.id)
    for step, (name, what) in STEPS.items():
        mark = marks.pop(0)

        def here(
            query: Statement, parameters: dict[str, Any], name: str = name, what: str = what,
            mark: str = mark,
        ) -> bool:  # fmt: skip
            text = query.text + str(parameters.get("properties", ""))
            wanted = f"`{what.format(mark)}`" if what.startswith("persona") else what
            old = what == "old"
            own = parameters.get("model", "").endswith(mark)
            return query.name == name and ((old and not own) or (not old and wanted in text))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GraphStore, "write", dying(here))
            with pytest.raises(KilledError):
                write(store, mark, users, seed=1)
        switched = list(STEPS).index(step) > list(STEPS).index("the switch")
        now = current_model(store, "small")
        assert now is not None
        assert now == (model(mark, users) if switched else current), step
        assert len(read_prototypes(store, now)) == (4 if switched else 3), step
        assert len(read_places(store, now)) == len(users), step
        assert len(preferences_of(store, users[0], now)) == 1, step
        # Again, with fewer prototypes: nothing of what the dead one left stays.
        current = write(store, mark, users, seed=0)
        nodes = stats(store)["nodes"]
        if not switched and step != "the switch":
            assert len(read_prototypes(store, current)) == 3, step
        assert nodes["PersonaModel"] == len(versions(store, "small")) == 2, step
        assert nodes["PersonaPrototype"] == sum(
            len(read_prototypes(store, v)) for v in versions(store, "small")
        ), step
        use_personas(store, "small", current.id)


# -- without a vector ------------------------------------------------------------------------------


def test_personas_that_are_lists_of_facts_have_no_vector(store: GraphStore, tmp_path: Path) -> None:
    users = loaded(store, tmp_path)
    bare = model("aaaa0000", users, 0)
    write_personas(store, bare, users, vectors(users, size=0), likes(users), quiet)
    properties = {k for _, p in store.read(statement("dump_nodes", label="User")) for k in p}
    assert not [k for k in properties if k.startswith("persona")]
    if store.engine == "neo4j":
        assert bare.index not in {r[0] for r in store.read(statement("index_states"))}
    near = neighbours(store, users[0], bare, 2)
    assert [n.user for n in near] == [users[3], users[6]]  # the same director, weights falling
    assert near[0].cosine == pytest.approx(0.9 * 0.87)
    assert near[0].shared[0]["name"] == "Director 0"
    with pytest.raises(ChangeSomethingError, match="without a vector"):
        read_personas(store, bare, users)
    for mark in ("bbbb1111", "cccc2222"):
        write(store, mark, users)
    assert [v.dimension for v in versions(store, "small")] == [SIZE, SIZE]
    write_personas(store, bare, users, vectors(users, size=0), likes(users), quiet)
    remove(store, "small", tmp_path, quiet)
    assert everything(store) == []


def test_the_longest_vector_fits_and_a_longer_one_is_refused_before_the_write(
    store: GraphStore, tmp_path: Path
) -> None:
    users = loaded(store, tmp_path)
    longest = model("aaaa0000", users, MOST_DIMENSIONS)
    made = vectors(users, size=MOST_DIMENSIONS)
    write_personas(store, longest, users, made, [], quiet)
    np.testing.assert_array_equal(read_personas(store, longest, users), made)
    unit = made / np.linalg.norm(made, axis=1, keepdims=True)
    nearest = users[int(np.argsort(-(unit @ unit[0]))[1])]
    assert neighbours(store, users[0], longest, 1)[0].user == nearest
    before = dump_hash(store, derived=True)
    size = MOST_DIMENSIONS + 1
    with pytest.raises(ChangeSomethingError, match=r"4097 dimensions.*nothing was written"):
        write_personas(
            store, model("bbbb1111", users, size), users, vectors(users, size=size), [], quiet
        )
    assert dump_hash(store, derived=True) == before


# -- commands --------------------------------------------------------------------------------------


def planted_tastes() -> dict[str, str]:
    lines = files("personarec.datasets.demo").joinpath("tastes.tsv").read_text("utf-8").splitlines()
    return {f"demo:{line.split(chr(9))[0]}": line.split("\t")[1] for line in lines[1:]}


def refused(graph: GraphAddress, *arguments: str) -> str:
    code, _, err = personarec(graph, *arguments)
    assert code == 1
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("encoder", ["propagation", "relational"])
def test_from_learning_to_a_map_by_commands(
    encoder: str, graph: GraphAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with graph.connect() as store:
        ingest(store, resolve("demo"), graph.home, quiet)
    learned = ok(graph, "personas", "train", "--encoder", encoder)
    assert ok(graph, "personas", "list") == [], "nothing is in the graph before it is written"
    assert ok(graph, "personas", "write")["current"] == learned["version"]

    # The planted tastes are found, as many as there are, and shuffled ones are not.
    document = ok(graph, "personas", "prototypes")
    assert len(document["prototypes"]) == 10
    assert document["agreement"] > 0.9
    assert all(len(p["facts"]) >= 3 for p in document["prototypes"]), "all are characterised"
    assert any("Agatha Christie" in p["name"] for p in document["prototypes"])
    tastes = planted_tastes()
    with graph.connect() as store:
        current = current_model(store, "demo")
        assert current is not None
        places = read_places(store, current)
    truth = [tastes[p.user] for p in places]
    found = [p.prototype for p in places]
    assert adjusted_rand_score(truth, found) > 0.8
    shuffled = np.random.default_rng(0).permutation(found)
    assert abs(adjusted_rand_score(truth, shuffled)) < 0.05

    persona = ok(graph, "personas", "show", "DEMOR00011")
    assert sum(p["weight"] for p in persona["prototypes"]) == pytest.approx(1, abs=1e-5)
    assert len(persona["neighbours"]) == 5
    print_persona(persona)
    words = capsys.readouterr().out
    assert f"{persona['prototypes'][0]['weight']:.0%}  {persona['prototypes'][0]['name']}" in words
    assert persona["neighbours"][0]["user"] in words
    picture = tmp_path / "map.svg"
    assert ok(graph, "personas", "map", "--out", str(picture))["users"] == 300
    assert picture.read_text("utf-8").count("<circle") == 300

    # A sparse persona beside it, and the way back.
    facts = ok(graph, "personas", "train", "--encoder", "facts", "--prototypes", "4")
    assert (facts["dimension"], len(facts["prototypes"])) == (0, 4)
    code, words, _ = personarec(graph, "personas", "write", facts["version"])
    assert code == 0
    assert "without a vector" in words
    listed = ok(graph, "personas", "list")
    assert [(v["encoder"], v["index"] is None, v["current"]) for v in listed] == [
        (encoder, False, False), ("facts", True, True),
    ]  # fmt: skip
    ok(graph, "personas", "use", learned["version"])
    assert ok(graph, "personas", "show", "DEMOR00011") == persona


def test_what_cannot_be_is_refused_in_one_line(graph: GraphAddress, tmp_path: Path) -> None:
    with graph.connect() as store:
        loaded(store, tmp_path)
    train = ("personas", "train", "--encoder")
    assert "did you mean svd?" in refused(graph, *train, "sdv")
    assert "did you mean scaled?" in refused(graph, *train, "svd", "--set", "sclaed=true")
    assert "--set must be NAME=VALUE" in refused(graph, *train, "svd", "--set", "scaled")
    assert "svd trains in one process" in refused(graph, *train, "svd", "--nproc", "2")
    assert "run personarec personas train first" in refused(graph, "personas", "write")
    assert "no learned personas other" in refused(graph, "personas", "write", "other")
    first = ok(graph, *train, "svd", "--dim", "4")
    again = ok(graph, *train, "svd", "--dim", "4")
    assert (again["version"], first["fresh"], again["fresh"]) == (first["version"], True, False)
    half = graph.home / "personas" / f"{first['version']}.1.partial"
    half.mkdir()
    (half / "personas.json").touch()  # as a killed process leaves it
    assert f"(there: {first['version']})" in refused(graph, "personas", "write", half.name)
    with graph.connect() as store:
        ingest(store, write_small(tmp_path / "more", users=13), graph.home, quiet)
    assert "other users than those" in refused(graph, "personas", "write")
    ok(graph, *train, "svd", "--dim", "4")
    assert ok(graph, "personas", "write")["prototypes"] == []
    assert "no prototypes and so no map" in refused(
        graph, "personas", "map", "--out", str(tmp_path / "map.svg")
    )
    assert "gives lists of facts and no vector" in refused(
        graph, "train", "--dataset", "small", "--encoder", "facts", "--rows", "persona"
    )


def test_train_with_another_encoder(graph: GraphAddress, tmp_path: Path) -> None:
    with graph.connect() as store:
        ingest(store, write_small(tmp_path / "data", users=40), graph.home, quiet)
    common = ("train", "--dataset", "small", "--epochs", "1", "--threads", "1", "--workers", "1")
    rows = ok(graph, *common, "--encoder", "facts", "--rows", "popularity,persona")
    assert [r["name"] for r in rows] == ["popularity"], "no token without a vector"
    dense = ("--encoder", "shuffled:svd", "--dim", "6", "--set", "scaled=true")
    ok(graph, *common, *dense, "--rows", "popularity,persona")
    with graph.connect() as store:
        current = current_model(store, "small")
    assert current is not None
    assert (current.encoder, current.dimension <= 6) == ("shuffled:svd", True)
    run = json.loads((graph.home / "runs" / "small.latest.json").read_text("utf-8"))["run"]
    saved = json.loads((graph.home / "runs" / run / "config.json").read_text("utf-8"))
    assert saved["encoder_settings"] == {"dim": 6, "scaled": True}
