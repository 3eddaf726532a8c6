import numpy as np
import pytest
from numpy.typing import NDArray

from personarec.evaluation.metrics import rank_all
from personarec.evaluation.sequences import Sequences
from personarec.retriever.fusion import choose_weights, fused_scorer, standardise

N_USERS, N_ITEMS = 70, 60
GRID = {"a": (0.0, 0.2, 1.0), "b": (0.0, 0.5)}


class Table:
    """Evidence that knows a score for each session by its first item."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        return self.scores[sessions.items[sessions.indptr[:-1]]]


@pytest.fixture
def case() -> tuple[NDArray[np.float32], dict[str, Table], Sequences, NDArray[np.int32]]:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((N_USERS, N_ITEMS)).astype(np.float32)
    order = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)
    seen = Sequences.from_lists([row[: rng.integers(1, 6)] for row in order], N_ITEMS)
    valid = order[:, 10].astype(np.int32)
    valid[::9] = -1
    evidence = {
        "a": Table((rng.random((N_ITEMS, N_ITEMS)) < 0.1).astype(np.float32)),  # many ties
        "b": Table(rng.random((N_ITEMS, N_ITEMS)).astype(np.float32)),
    }
    return base, evidence, seen, valid


def test_standardised_over_unseen_items() -> None:
    scores = np.array([[5, 1, 2, 3], [7, 7, 7, 100]], dtype=np.float32)
    standardise(scores, Sequences.from_lists([[0, 0], [3]], 4))
    np.testing.assert_allclose(scores[0, 1:], np.array([-1, 0, 1]) * 1.5**0.5, rtol=1e-5)
    assert scores[0, 0] == pytest.approx(3 * 1.5**0.5, rel=1e-5)
    np.testing.assert_array_equal(scores[1], 0)  # no spread: no opinion


@pytest.mark.parametrize("batch_size", [8, 512])
def test_every_trial_equals_ranking_its_total(case: tuple, batch_size: int) -> None:  # type: ignore[type-arg]
    base, evidence, seen, valid = case
    best, trials = choose_weights(
        lambda users: base[users], evidence, seen, valid, GRID, batch_size
    )
    assert len(trials) == 6
    for trial in trials:
        scorer = fused_scorer(lambda users: base[users], evidence, trial.weights, seen)
        ranking = rank_all(scorer, seen, valid)
        assert trial.ndcg == pytest.approx(ranking.ndcg(10))
        assert trial.hit_rate == pytest.approx(ranking.hit_rate(10))
    assert best.ndcg == max(trial.ndcg for trial in trials)


def test_weight_goes_to_the_evidence_that_knows(case: tuple) -> None:  # type: ignore[type-arg]
    base, evidence, seen, valid = case
    oracle = np.zeros((N_ITEMS, N_ITEMS), dtype=np.float32)
    users = np.flatnonzero(valid >= 0)
    oracle[seen.items[seen.indptr[users]], valid[users]] = 1
    evidence["a"] = Table(oracle)
    best, trials = choose_weights(lambda block: base[block], evidence, seen, valid, GRID)
    assert best.weights["a"] == 1.0
    assert best.ndcg > 2 * trials[0].ndcg


def test_without_evidence_the_sequence_score_stands_alone(case: tuple) -> None:  # type: ignore[type-arg]
    base, _, seen, valid = case
    best, trials = choose_weights(lambda users: base[users], {}, seen, valid)
    assert best.weights == {}
    assert len(trials) == 1
    assert best.ndcg == pytest.approx(rank_all(lambda users: base[users], seen, valid).ndcg(10))


def test_wrong_grids_are_refused(case: tuple) -> None:  # type: ignore[type-arg]
    base, evidence, seen, valid = case
    with pytest.raises(ValueError, match="no weights for b"):
        choose_weights(lambda users: base[users], evidence, seen, valid, {"a": (1.0,)})
    with pytest.raises(ValueError, match="negative"):
        choose_weights(
            lambda users: base[users], evidence, seen, valid, {"a": (-1.0,), "b": (0.0,)}
        )
