"""R21: vectors that an index would take in silence are refused; an index that is late is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import quiet
from integration.small import write_small

from kg.errors import ChangeSomethingError, TryAgainError
from kg.ingest import dump_hash, ingest
from kg.store import GraphStore, Statement
from kg.views import read_users
from kg.views.personas import PersonaModel, current_model, neighbours, write_personas


def model(name: str, size: int, users: tuple[str, ...]) -> PersonaModel:
    return PersonaModel(f"small-test-{name}", "small", "test", size, "everything", len(users))


def vectors(users: tuple[str, ...], size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((len(users), size)).astype(np.float32)


@pytest.fixture
def users(store: GraphStore, tmp_path: Path) -> tuple[str, ...]:
    ingest(store, write_small(tmp_path / "data", users=20), tmp_path, quiet)
    return read_users(store, "small")


@pytest.mark.parametrize("fault", ["NaN", "infinity", "zero", "dimension", "users"])
def test_bad_vectors_change_nothing(store: GraphStore, users: tuple[str, ...], fault: str) -> None:
    write_personas(store, model("aaaa0000", 16, users), users, vectors(users, 16), [], quiet)
    before = dump_hash(store, derived=True)
    bad = vectors(users, 16)
    if fault == "dimension":
        bad = bad[:, :15]
    elif fault == "users":
        bad = bad[1:]
    else:
        bad[7] = 0
        bad[7, 3] = {"NaN": np.nan, "infinity": -np.inf, "zero": 0}[fault]
    with pytest.raises(ChangeSomethingError):
        write_personas(store, model("bbbb1111", 16, users), users, bad, [], quiet)
    assert dump_hash(store, derived=True) == before


def test_a_new_dimension_has_an_index_of_its_own(store: GraphStore, users: tuple[str, ...]) -> None:
    for name, size in (("aaaa0000", 16), ("bbbb1111", 24)):
        made = vectors(users, size)
        write_personas(store, model(name, size, users), users, made, [], quiet)
    for name, size in (("aaaa0000", 16), ("bbbb1111", 24)):
        unit = vectors(users, size)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        expected = np.argsort(-(unit @ unit[0]))[1:6]
        found = neighbours(store, users[0], model(name, size, users), 5)
        assert [f.user for f in found] == [users[i] for i in expected]


def test_an_index_that_does_not_come_online_moves_no_reader(
    store: GraphStore, users: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.engine == "embedded":
        pytest.skip("the embedded engine builds its index within the statement that makes it")
    old, new = model("aaaa0000", 16, users), model("bbbb1111", 16, users)
    write_personas(store, old, users, vectors(users, 16), [], quiet)
    read = GraphStore.read

    def never_online(self: GraphStore, query: Statement, **parameters: Any) -> list[list[Any]]:
        rows = read(self, query, **parameters)
        return [[r[0], "POPULATING"] for r in rows] if query.name == "index_states" else rows

    with monkeypatch.context() as patch:
        patch.setattr(GraphStore, "read", never_online)
        patch.setattr(GraphStore._await_index, "__defaults__", (0.3,))
        with pytest.raises(TryAgainError, match="is not online after"):
            write_personas(store, new, users, vectors(users, 16), [], quiet)
    assert current_model(store, "small") == old
    write_personas(store, new, users, vectors(users, 16), [], quiet)
    assert current_model(store, "small") == new
