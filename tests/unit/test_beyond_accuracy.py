"""Coverage, novelty, diversity and Gini by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from personarec.evaluation.beyond_accuracy import gini, list_quality

FACTS = csr_array(np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8], [0, 0]], np.float32))
COUNTS = np.array([3, 0, 0, 1, 7])


def test_by_hand() -> None:
    lists = np.array([[0, 1, 2], [0, 2, -1]], np.int32)
    found = list_quality(lists, COUNTS, FACTS)
    assert found.coverage == pytest.approx(3 / 5)
    # Shares of 11 interactions and one more for each of five items: 4, 1 and 1 of 16.
    assert found.novelty == pytest.approx((2 + 4 + 4 + 2 + 4) / 5)
    # First list: pairs at cosine 1, 0, 0; second: one pair at cosine 0.
    assert found.diversity == pytest.approx((2 / 3 + 1) / 2)
    assert found.gini == pytest.approx(gini(np.array([2, 1, 2, 0, 0])))


def test_diversity_against_every_pair() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((20, 6)).astype(np.float32)
    dense[3] = 0
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    lists = np.stack([rng.permutation(20)[:7] for _ in range(5)]).astype(np.int32)
    means = []
    for own in lists:
        known = [i for i in own if i != 3]
        means.append(
            np.mean([1 - dense[a] @ dense[b] for k, a in enumerate(known) for b in known[:k]])
        )
    found = list_quality(lists, np.ones(20, int), csr_array(dense))
    assert found.diversity == pytest.approx(np.mean(means), abs=1e-6)


def test_lists_without_facts_have_no_diversity() -> None:
    found = list_quality(np.array([[4, -1]], np.int32), COUNTS, FACTS)
    assert np.isnan(found.diversity)


def test_gini_of_known_distributions() -> None:
    assert gini(np.array([5, 5, 5, 5])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)  # (n − 1) / n
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert gini(np.zeros(3, int)) == 0
