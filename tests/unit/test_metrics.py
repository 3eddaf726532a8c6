from itertools import permutations
from math import inf, nan

import numpy as np
import pytest
from ranx import Qrels, Run, evaluate

from personarec.evaluation.metrics import hit_rate, mrr, ndcg, rank_all, target_ranks
from personarec.evaluation.sequences import Sequences

N_USERS, N_ITEMS = 60, 40


def case(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, Sequences]:
    """Scores, targets and seen items; with ties about eight items share each score."""
    rng = np.random.default_rng(seed)
    if ties:
        scores = rng.integers(0, 5, size=(N_USERS, N_ITEMS)).astype(np.float32)
    else:
        flat = rng.permutation(N_USERS * N_ITEMS).reshape(N_USERS, N_ITEMS)
        scores = flat.astype(np.float32)
    order = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)
    seen = Sequences.from_lists([row[: rng.integers(0, 6)] for row in order], N_ITEMS)
    return scores, order[:, 10].astype(np.int32), seen


def public(scores: np.ndarray, targets: np.ndarray, seen: Sequences, k: int) -> dict[str, float]:
    """The same metrics from ranx, over the unseen items."""
    qrels = Qrels({f"u{u}": {f"i{t}": 1} for u, t in enumerate(targets)})
    run = Run(
        {
            f"u{u}": {f"i{i}": float(s) for i, s in enumerate(row) if i not in set(seen[u])}
            for u, row in enumerate(scores)
        }
    )
    found = evaluate(qrels, run, [f"hit_rate@{k}", f"ndcg@{k}", f"mrr@{k}"])
    return {name.split("@")[0]: float(value) for name, value in found.items()}


def ours(ranks: np.ndarray, k: int) -> dict[str, float]:
    return {
        "hit_rate": hit_rate(ranks, k).mean(),
        "ndcg": ndcg(ranks, k).mean(),
        "mrr": mrr(ranks, k).mean(),
    }


@pytest.mark.slow  # ranx compiles itself for half a minute
@pytest.mark.parametrize("k", [1, 5, 10, 40])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_ranx_without_ties(seed: int, k: int) -> None:
    scores, targets, seen = case(seed, ties=False)
    expected = public(scores, targets, seen, k)
    assert ours(target_ranks(scores.copy(), targets, seen), k) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_ties_lie_between_both_ways_to_break_them_in_ranx(k: int) -> None:
    # ranx breaks ties by its sort; nudging only the target makes it win or lose all of its own.
    scores, targets, seen = case(2, ties=True)
    rows = np.arange(N_USERS)
    nudge = np.zeros_like(scores)
    nudge[rows, targets] = 0.25
    best = public(scores + nudge, targets, seen, k)
    worst = public(scores - nudge, targets, seen, k)
    middle = ours(target_ranks(scores.copy(), targets, seen), k)
    for name, value in middle.items():
        assert worst[name] <= value <= best[name]
    # And exactly in the middle of the two ranks, not merely somewhere between.
    ranks = [target_ranks(scores + sign * nudge, targets, seen) for sign in (1, -1, 0)]
    np.testing.assert_array_equal(ranks[2], (ranks[0] + ranks[1]) / 2)


@pytest.mark.slow
def test_a_tied_rank_is_the_mean_over_all_ways_to_break_the_ties() -> None:
    scores = np.array([[3, 2, 2, 2, 2, 1]], dtype=np.float32)
    seen = Sequences.from_lists([[4]], 6)
    places = []
    for order in permutations(range(3)):
        broken = scores.copy()
        broken[0, 1:4] += np.array(order) * 0.1
        run = Run({"u": {f"i{i}": float(s) for i, s in enumerate(broken[0]) if i != 4}})
        places.append(1 / evaluate(Qrels({"u": {"i2": 1}}), run, "mrr"))
    rank = target_ranks(scores.copy(), np.array([2], dtype=np.int32), seen)
    assert rank[0] == pytest.approx(np.mean(places)) == 3


def test_a_model_that_scores_all_alike_gains_nothing() -> None:
    scores = np.zeros((1, 101), dtype=np.float32)
    none = Sequences.from_lists([[]], 101)
    assert target_ranks(scores, np.array([0], dtype=np.int32), none)[0] == 51


def test_seen_items_are_masked_but_a_repeated_target_stays() -> None:
    scores = np.array([[9, 8, 7, 6]], dtype=np.float32)
    seen = Sequences.from_lists([[0, 1, 2]], 4)
    assert target_ranks(scores.copy(), np.array([3], dtype=np.int32), seen)[0] == 1
    assert target_ranks(scores.copy(), np.array([2], dtype=np.int32), seen)[0] == 1
    assert target_ranks(scores[:, ::-1].copy(), np.array([2], dtype=np.int32), seen)[0] == 2


@pytest.mark.parametrize("batch_size", [1, 7, 16, 1000])
def test_batch_size_does_not_matter(batch_size: int) -> None:
    scores, targets, seen = case(3, ties=True)
    targets[::5] = -1
    ranking = rank_all(lambda users: scores[users], seen, targets, batch_size)
    kept = np.flatnonzero(targets >= 0)
    np.testing.assert_array_equal(ranking.users, kept)
    whole = target_ranks(scores[kept], targets[kept], seen.take(kept))
    np.testing.assert_array_equal(ranking.ranks, whole)
    assert ranking.hit_rate(10) == ours(whole, 10)["hit_rate"]
    assert ranking.ndcg(10) == ours(whole, 10)["ndcg"]
    assert ranking.mrr() == (1 / whole).mean()


@pytest.mark.parametrize(("place", "value"), [(0, nan), (1, nan), (1, inf)])
def test_scores_that_are_no_numbers_are_refused(place: int, value: float) -> None:
    scores = np.zeros((1, 3), dtype=np.float32)
    scores[0, place] = value
    with pytest.raises(ValueError, match="numbers"):
        target_ranks(scores, np.array([1], dtype=np.int32), Sequences.from_lists([[]], 3))
