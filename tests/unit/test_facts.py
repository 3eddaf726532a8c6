import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfTransformer

from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactConfig, FactModel


@pytest.fixture
def facts() -> csr_array:
    dense = (np.random.default_rng(0).random((30, 12)) < 0.2).astype(np.float32)
    dense[3] = 0  # an item nothing is known of
    dense[:, 5] = 0  # a fact of no item
    return csr_array(dense)


def test_vectors_equal_those_of_scikit_learn(facts: csr_array) -> None:
    expected = TfidfTransformer().fit_transform(facts).toarray()
    model = FactModel.from_matrix(facts)
    np.testing.assert_allclose(model.items.toarray(), expected, rtol=1e-5)
    assert model.items[[3]].nnz == 0


def test_persona_is_a_decaying_sum_and_score_its_overlap(facts: csr_array) -> None:
    model = FactModel.from_matrix(facts)
    a = model.items.toarray()
    sessions = Sequences.from_lists([[0, 1, 2], [3], []], n_items=30)
    persona = a[2] + 0.7 * a[1] + 0.49 * a[0]
    found = model.personas(sessions)
    assert found.shape == (3, 12)
    np.testing.assert_allclose(found.toarray(), [persona, np.zeros(12), np.zeros(12)], rtol=1e-5)
    np.testing.assert_allclose(model.score(sessions)[0], a @ persona, rtol=1e-4, atol=1e-6)


def test_shuffling_keeps_the_rows_and_loses_their_items(facts: csr_array) -> None:
    model = FactModel.from_matrix(facts)
    control = model.shuffled(1)
    a, b = model.items.toarray(), control.items.toarray()
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(np.sort(a.sum(axis=1)), np.sort(b.sum(axis=1)))
    np.testing.assert_array_equal(model.shuffled(1).items.toarray(), b)
    assert not np.array_equal(model.shuffled(2).items.toarray(), b)


def test_weights_count_and_input_is_left_alone(facts: csr_array) -> None:
    before = facts.toarray()
    heavy = facts.copy()
    heavy.data[:] = 3
    np.testing.assert_allclose(
        FactModel.from_matrix(heavy).items.toarray(),
        FactModel.from_matrix(facts).items.toarray(),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(facts.toarray(), before)
    heavy.data[0] = -1
    with pytest.raises(ValueError, match="negative"):
        FactModel.from_matrix(heavy)


RELATIONS = ("GENRE_IS",) * 6 + ("STARRING",) * 6


def test_relations_weigh_as_told(facts: csr_array) -> None:
    plain = FactModel.from_matrix(facts).items.toarray()
    config = FactConfig(weights={"STARRING": 2.0})
    model = FactModel.from_matrix(facts, config, RELATIONS)
    expected = plain * np.repeat([1.0, 2.0], 6)
    length = np.sqrt(np.square(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        model.items.toarray(), expected / np.where(length > 0, length, 1), rtol=1e-5
    )
    # A relation of weight 0 is out, and an item of no other fact says nothing.
    silent = FactModel.from_matrix(facts, FactConfig(weights={"STARRING": 0}), RELATIONS)
    assert not silent.items[:, 6:].toarray().any()
    assert np.isfinite(silent.items.toarray()).all()


def test_weights_without_the_columns_relations_are_refused(facts: csr_array) -> None:
    config = FactConfig(weights={"STARRING": 2.0})
    with pytest.raises(ValueError, match="relation of each column"):
        FactModel.from_matrix(facts, config)
    with pytest.raises(ValueError, match="relation of each column"):
        FactModel.from_matrix(facts, config, RELATIONS[1:])
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="STARRING"):
            FactConfig(weights={"STARRING": wrong})
