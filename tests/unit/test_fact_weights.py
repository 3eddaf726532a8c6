import numpy as np
import pytest
from scipy.sparse import csr_array, hstack

from personarec.evaluation.sequences import Sequences
from personarec.personas.fact_weights import positions, prefixes, relation_weights
from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.evidence import EvidenceData, build_evidence
from personarec.retriever.transitions import transition_counts

N_ITEMS, CAMPS = 60, 6
RELATIONS = ("AUTHOR",) * CAMPS + ("PUBLISHER",) * CAMPS


@pytest.fixture
def data() -> EvidenceData:
    """Readers stay with an author; the publisher is drawn by lot."""
    rng = np.random.default_rng(0)
    author, publisher = np.arange(N_ITEMS) % CAMPS, rng.integers(0, CAMPS, N_ITEMS)
    facts = csr_array(
        hstack([csr_array(np.eye(CAMPS, dtype=np.float32)[own]) for own in (author, publisher)])
    )
    lists = [rng.permutation(np.flatnonzero(author == u % CAMPS))[:6] for u in range(120)]
    known = Sequences.from_lists(lists, N_ITEMS)
    return EvidenceData(known, facts, RELATIONS, tuple(transition_counts(known)))


def test_the_relation_that_readers_follow_weighs_most(data: EvidenceData) -> None:
    equal = FactModel.from_matrix(data.facts)
    found = relation_weights(equal, RELATIONS, data.sequences)
    assert found["AUTHOR"] == 1
    assert found["PUBLISHER"] < 0.5
    assert found == relation_weights(equal, RELATIONS, data.sequences)


def test_learned_weights_are_in_the_model_and_scale_its_columns(data: EvidenceData) -> None:
    model = build_evidence("facts", data, {"learned": True})
    assert isinstance(model, FactModel)
    weights = relation_weights(FactModel.from_matrix(data.facts), RELATIONS, data.sequences)
    assert model.config.weights == weights
    told = FactModel.from_matrix(data.facts, FactConfig(weights=weights), RELATIONS)
    np.testing.assert_array_equal(model.items.toarray(), told.items.toarray())


@pytest.mark.parametrize("lists", [[[1], [2], []], []])
def test_nothing_to_learn_from_leaves_them_equal(data: EvidenceData, lists: list) -> None:  # type: ignore[type-arg]
    short = Sequences.from_lists(lists, N_ITEMS)
    equal = FactModel.from_matrix(data.facts)
    assert relation_weights(equal, RELATIONS, short) == {"AUTHOR": 1, "PUBLISHER": 1}
    assert relation_weights(equal, ("AUTHOR",) * 12, data.sequences) == {"AUTHOR": 1}


def test_positions_show_what_came_before_and_nothing_after() -> None:
    known = Sequences.from_lists([[5, 6, 7, 8], [9], [], [1, 2]], 10)
    users, places = positions(known, 2)
    assert list(zip(users, places, strict=True)) == [(0, 2), (0, 3), (3, 1)]
    visible, came = prefixes(known, users, places, most=2)
    assert [list(visible[row]) for row in range(3)] == [[5, 6], [6, 7], [1]]
    assert came.tolist() == [7, 8, 2]
