"""Late fusion with weights by the length of a session."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from personarec.evaluation.metrics import rank_all
from personarec.evaluation.sequences import Sequences
from personarec.retriever.fusion import fused_scorer
from personarec.retriever.length_weights import (
    LengthWeights,
    fused_by_length,
    search_length_weights,
)
from personarec.retriever.weights import search_weights

N_USERS, N_ITEMS = 300, 60
Scores = NDArray[np.float32]


class Table:
    """Evidence that knows a score for each session by its first item, where it is of a length."""

    def __init__(self, scores: Scores, short: bool) -> None:
        self.scores, self.short = scores, short

    def score(self, sessions: Sequences) -> Scores:
        found = self.scores[sessions.items[sessions.indptr[:-1]]].copy()
        other = (sessions.lengths < 4) != self.short
        found[other] = np.roll(found[other], 7, axis=1)
        return found


@pytest.fixture
def case() -> tuple[Scores, dict[str, Table], Sequences, NDArray[np.int32]]:
    """``short`` knows the next item after short sessions and misleads after long ones."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((N_USERS, N_ITEMS)).astype(np.float32)
    firsts = rng.integers(0, 20, N_USERS)
    lengths = np.repeat([2, 3, 6], N_USERS // 3)
    seen = Sequences.from_lists(
        [[f, *range(50, 49 + n)] for f, n in zip(firsts, lengths, strict=True)], N_ITEMS
    )
    valid = (20 + firsts).astype(np.int32)
    valid[::9] = -1
    tables = {}
    for name in ("short", "long"):
        scores = rng.standard_normal((N_ITEMS, N_ITEMS)).astype(np.float32)
        scores[np.arange(20), 20 + np.arange(20)] += 3
        tables[name] = Table(scores, name == "short")
    return base, tables, seen, valid


def test_each_length_gets_the_source_that_knows_it(
    case: tuple[Scores, dict[str, Table], Sequences, NDArray[np.int32]],
) -> None:
    base, evidence, seen, valid = case

    def scorer(users: NDArray[np.int64]) -> Scores:
        return base[users].copy()

    found = search_length_weights(scorer, evidence, seen, valid)
    assert found.limits == (3, 6)
    for group, knows in enumerate(("short", "short", "long")):
        weights = found.weights[group]
        assert weights[knows] > 3 * min(weights.values())
    one = search_weights(scorer, evidence, seen, valid)
    assert found.ndcg > one.ndcg
    exact = rank_all(fused_by_length(scorer, evidence, found, seen), seen, valid)
    assert found.ndcg == pytest.approx(exact.ndcg(10))
    assert found == search_length_weights(scorer, evidence, seen, valid)


def test_equal_weights_are_one_fusion(
    case: tuple[Scores, dict[str, Table], Sequences, NDArray[np.int32]],
) -> None:
    base, evidence, seen, _ = case
    weights = {"short": 0.3, "long": 0.2}
    users = np.arange(N_USERS)
    found = LengthWeights((3,), (weights, weights), 0.0)
    np.testing.assert_allclose(
        fused_by_length(lambda u: base[u].copy(), evidence, found, seen)(users),
        fused_scorer(lambda u: base[u].copy(), evidence, weights, seen)(users),
        rtol=1e-5,
    )


def test_sessions_of_one_length_are_one_group() -> None:
    seen = Sequences.from_lists([[0], [1], [2]], 5)
    found = search_length_weights(
        lambda u: np.zeros((len(u), 5), np.float32), {}, seen, np.array([3, 4, -1], np.int32)
    )
    assert (found.limits, found.weights) == ((), ({},))
