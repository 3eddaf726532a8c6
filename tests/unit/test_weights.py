import numpy as np
import pytest
from numpy.typing import NDArray

from personarec.evaluation.metrics import ndcg, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.retriever import weights
from personarec.retriever.fusion import components, fused_scorer
from personarec.retriever.weights import Pool, search_weights

N_USERS, N_ITEMS = 300, 80
Scores = NDArray[np.float32]


class Table:
    """Evidence that knows a score for each session by its first item."""

    def __init__(self, scores: Scores) -> None:
        self.scores = scores

    def score(self, sessions: Sequences) -> Scores:
        return self.scores[sessions.items[sessions.indptr[:-1]]]


@pytest.fixture
def case() -> tuple[Scores, dict[str, Table], Sequences, NDArray[np.int32]]:
    """Users of one first item have one held-out item; ``good`` says it faintly, ``noise`` not."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((N_USERS, N_ITEMS)).astype(np.float32)
    firsts = rng.integers(0, 20, N_USERS)
    seen = Sequences.from_lists([[first, 70 + first % 5] for first in firsts], N_ITEMS)
    valid = (20 + firsts).astype(np.int32)
    valid[::9] = -1
    good = rng.standard_normal((N_ITEMS, N_ITEMS)).astype(np.float32)
    good[np.arange(20), 20 + np.arange(20)] += 2
    noise = rng.standard_normal((N_ITEMS, N_ITEMS)).astype(np.float32)
    return base, {"noise": Table(noise), "good": Table(good)}, seen, valid


Case = tuple[Scores, dict[str, Table], Sequences, NDArray[np.int32]]


def test_weight_goes_to_the_source_that_knows(case: Case) -> None:
    base, evidence, seen, valid = case
    found = search_weights(lambda users: base[users], evidence, seen, valid)
    alone = search_weights(lambda users: base[users], {}, seen, valid)
    assert alone.weights == {}
    assert found.weights["good"] > 5 * found.weights["noise"]
    assert found.ndcg > 2 * alone.ndcg
    assert found == search_weights(lambda users: base[users], evidence, seen, valid)


def test_what_is_reported_is_the_exact_ranking(case: Case) -> None:
    base, evidence, seen, valid = case
    found = search_weights(lambda users: base[users], evidence, seen, valid)
    scorer = fused_scorer(lambda users: base[users], evidence, found.weights, seen)
    ranking = rank_all(scorer, seen, valid)
    assert found.ndcg == pytest.approx(ranking.ndcg(10))
    assert found.hit_rate == pytest.approx(ranking.hit_rate(10))


@pytest.mark.parametrize("batch_size", [16, 512])
def test_the_pool_ranks_like_the_catalogue(case: Case, batch_size: int) -> None:
    base, evidence, seen, valid = case
    users = np.flatnonzero(valid >= 0)
    pool = Pool.gather(lambda u: base[u], evidence, seen, valid, users, batch_size)
    for noise, good in ((0.1, 0.7), (0.0, 3.0), (1.0, 0.0)):
        chosen = {"noise": noise, "good": good}
        exact = rank_all(fused_scorer(lambda u: base[u], evidence, chosen, seen), seen, valid)
        totals = pool.parts[0] + np.float32(noise) * pool.parts[1]
        totals += np.float32(good) * pool.parts[2]
        found = pool.ndcg(totals, pool.owners)
        np.testing.assert_allclose(found, ndcg(exact.ranks, 10), atol=1e-6)
    # Not all pairs are held: those that no weights put in another order are left out.
    # Each user's first row is the held-out item, and no seen item is a candidate.
    parts = components(lambda u: base[u], evidence, users, seen.take(users))
    for place, part in enumerate(parts):
        own = part[np.arange(len(users)), valid[users]]
        np.testing.assert_array_equal(pool.parts[place][pool.starts], own)
    assert len(pool.owners) < 0.9 * len(users) * (N_ITEMS - 2)


def test_ties_stand_in_their_middle() -> None:
    pool = Pool(np.array([0, 3]), np.array([[1, 1, 0, 2, 3, 3]], np.float32))
    found = pool.ndcg(pool.parts[0], pool.owners)
    np.testing.assert_allclose(found, 1 / np.log2(1 + np.array([1.5, 3])))


def test_of_many_users_some_are_drawn(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    base, evidence, seen, valid = case
    looked_at = []
    gather = Pool.gather

    def counted(*given: object, **more: object) -> Pool:
        looked_at.append(len(given[-1]))  # type: ignore[arg-type]
        return gather(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(weights, "MOST_USERS", 50)
    monkeypatch.setattr(Pool, "gather", counted)
    found = search_weights(lambda users: base[users], evidence, seen, valid)
    assert looked_at == [50]
    assert found.weights["good"] > found.weights["noise"]


def test_nobody_to_choose_by_leaves_the_sequence_model_alone(case: Case) -> None:
    base, evidence, seen, _ = case
    nobody = np.full(N_USERS, -1, np.int32)
    found = search_weights(lambda users: base[users], evidence, seen, nobody)
    assert found.weights == {"noise": 0.0, "good": 0.0}
    assert found.ndcg == 0
