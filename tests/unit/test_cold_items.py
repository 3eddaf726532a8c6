import numpy as np
import pytest
from scipy.sparse import csr_array

from personarec.evaluation.sequences import Sequences
from personarec.personas.facts import FactModel
from personarec.retriever.cold_items import NEIGHBOURS, ColdItems
from personarec.retriever.fusion import components, fused_scorer

N_ITEMS = 40
COUNTS = np.ones(N_ITEMS, np.int64)
COUNTS[[3, 17, 39]] = 0
"""Item 39 has no facts either."""


@pytest.fixture
def facts() -> csr_array:
    dense = (np.random.default_rng(0).random((N_ITEMS, 8)) < 0.4).astype(np.float32)
    dense[39] = 0
    return FactModel.from_matrix(csr_array(dense)).items


def test_a_cold_item_scores_like_the_items_of_its_facts(facts: csr_array) -> None:
    cold = ColdItems.find(facts, COUNTS)
    assert cold.items.tolist() == [3, 17]
    scores = np.random.default_rng(1).random((5, N_ITEMS)).astype(np.float32)
    filled = scores.copy()
    cold.fill(filled)
    a = facts.toarray()
    for item in (3, 17):
        alike = a @ a[item] * (COUNTS > 0)
        best = np.argsort(-alike, kind="stable")[:NEIGHBOURS]
        expected = scores[:, best] @ alike[best] / alike[best].sum()
        np.testing.assert_allclose(filled[:, item], expected, rtol=1e-5)
    warm = np.delete(np.arange(N_ITEMS), [3, 17])
    np.testing.assert_array_equal(filled[:, warm], scores[:, warm])


def test_the_total_is_still_the_sum_of_its_parts(facts: csr_array) -> None:
    cold = ColdItems.find(facts, COUNTS)
    base = np.random.default_rng(2).standard_normal((2, N_ITEMS)).astype(np.float32)
    seen = Sequences.from_lists([[0, 1], [5]], N_ITEMS)
    evidence = {"facts": FactModel.from_matrix(facts)}
    users = np.arange(2)
    total = fused_scorer(lambda u: base[u], evidence, {"facts": 0.5}, seen, cold)(users)
    sequence, part = components(lambda u: base[u], evidence, users, seen, cold)
    np.testing.assert_allclose(total, sequence + np.float32(0.5) * part, rtol=1e-5)
    plain = fused_scorer(lambda u: base[u], evidence, {"facts": 0.5}, seen)(users)
    cold.fill(plain)
    np.testing.assert_allclose(total, plain, rtol=1e-4, atol=1e-5)


def test_without_cold_items_or_facts_nothing_changes(facts: csr_array) -> None:
    scores = np.random.default_rng(1).random((2, N_ITEMS)).astype(np.float32)
    nothing = csr_array((N_ITEMS, 0), dtype=np.float32)
    for found in (ColdItems.find(facts, np.ones(N_ITEMS, int)), ColdItems.find(nothing, COUNTS)):
        filled = scores.copy()
        found.fill(filled)
        np.testing.assert_array_equal(filled, scores)
