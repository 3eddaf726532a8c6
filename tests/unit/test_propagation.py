"""The untrained propagation persona."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from kg.views import HeteroGraph, binary_matrix
from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.personas.propagation import DensePersonas, PropagationConfig, fit_propagation

CONFIG = PropagationConfig(embedding_size=8, feature_size=16)


def two_camps(users: int = 20, items: int = 12) -> tuple[Sequences, sparse.csr_array]:
    """Users of two camps read the items of their half; facts name the half."""
    rng = np.random.default_rng(0)
    half = items // 2
    lists = [rng.choice(half, 4, replace=False) + half * (u % 2) for u in range(users)]
    facts = np.zeros((items, 4), np.float32)
    facts[:half, 0] = facts[half:, 1] = 1
    facts[np.arange(items), 2 + np.arange(items) % 2] = 1
    return Sequences.from_lists(lists, items), sparse.csr_array(facts)


def graph_of(sequences: Sequences, outside: int = 0) -> HeteroGraph:
    """RATED of the sequences; ``outside`` more works that nobody rated."""
    items = tuple(f"i{i}" for i in range(sequences.n_items + outside))
    users = tuple(f"u{i}" for i in range(len(sequences)))
    rated = binary_matrix(
        np.repeat(np.arange(len(users)), sequences.lengths),
        sequences.items,
        (len(users), len(items)),
    )
    return HeteroGraph({"User": users, "Book": items}, {("User", "RATED", "Book"): rated})


def fitted(outside: int = 0) -> tuple[DensePersonas, Sequences]:
    sequences, facts = two_camps()
    weights = FactModel.from_matrix(facts).items
    return fit_propagation(graph_of(sequences, outside), "Book", weights, CONFIG), sequences


def test_personas_tell_the_camps_apart() -> None:
    personas, sequences = fitted()
    vectors = personas.personas(sequences)
    assert vectors.dtype == np.float32
    assert vectors.shape == (20, personas.size)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    same = np.equal.outer(np.arange(20) % 2, np.arange(20) % 2)
    assert cosine[same].mean() > cosine[~same].mean() + 0.5


def test_same_input_same_personas() -> None:
    (first, sequences), (second, _) = fitted(), fitted()
    np.testing.assert_array_equal(first.personas(sequences), second.personas(sequences))


def test_works_outside_the_data_set_change_nothing() -> None:
    (inside, sequences), (with_more, _) = fitted(), fitted(outside=3)
    np.testing.assert_allclose(with_more.personas(sequences), inside.personas(sequences), atol=1e-5)


def test_a_session_gets_the_persona_of_a_user_who_saw_the_same() -> None:
    personas, sequences = fitted()
    session = Sequences.from_lists([sequences[3]], sequences.n_items)
    np.testing.assert_allclose(
        personas.personas(session)[0], personas.personas(sequences)[3], rtol=1e-6
    )


def test_an_empty_session_gets_the_centre_and_nothing_else() -> None:
    personas, sequences = fitted()
    empty = Sequences.from_lists([[]], sequences.n_items)
    np.testing.assert_array_equal(personas.personas(empty)[0], personas.center)


def test_users_vectors_have_mean_squared_length_one() -> None:
    personas, sequences = fitted()
    assert (personas.personas(sequences) ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)


def test_works_without_any_fact() -> None:
    sequences, _ = two_camps()
    none = sparse.csr_array((sequences.n_items, 0), dtype=np.float32)
    vectors = fit_propagation(graph_of(sequences), "Book", none, CONFIG).personas(sequences)
    assert np.isfinite(vectors).all()
    assert vectors.any(axis=1).all()


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        PropagationConfig(dimension=3)  # type: ignore[call-arg]


def test_a_single_fact_that_all_items_have_is_no_feature() -> None:
    sequences, _ = two_camps()
    same = sparse.csr_array(np.ones((sequences.n_items, 1), np.float32))
    found = fit_propagation(graph_of(sequences), "Book", same, CONFIG)
    assert found.size > 0
    assert np.isfinite(found.items).all()
