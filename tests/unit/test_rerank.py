"""Reranking: features by hand, a planted signal learned, and guards that fire."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError
from personarec.compare.asking import answer, answer_reordered
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.metrics import ndcg, rank_all
from personarec.evaluation.protocols import Queries
from personarec.evaluation.sequences import Sequences
from personarec.rerank.candidates import Candidates, gather
from personarec.rerank.features import NEWEST, ItemFeatures, Links
from personarec.rerank.lessons import Lessons
from personarec.rerank.model import (
    RerankConfig,
    Reranker,
    RerankNet,
    cross_fitted,
    folds,
)
from personarec.retriever.fusion import fused_scorer
from personarec.retriever.popularity import PopularityConfig, PopularityModel

N_ITEMS = 12
K = 8
QUICK = RerankConfig(epochs=6, patience=6, batch_size=64, learning_rate=0.02)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planted(n: int = 300, seed: int = 0) -> Candidates:
    """The held-out item has the greatest second feature and any place by the first."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, K, 3)).astype(np.float32)
    features[:, :, 0] = -np.sort(-features[:, :, 0], axis=1)
    place = features[:, :, 1].argmax(axis=1)
    items = np.tile(np.arange(K, dtype=np.int32), (n, 1))
    users = np.arange(n)
    return Candidates(
        ("fused", "a", "b"), users, place.astype(np.int32), items, features, place, place + 1.0
    )


@pytest.fixture
def known() -> tuple[Sequences, ItemFeatures, PopularityModel]:
    sessions = Sequences.from_lists([[0, 1, 2], [5], []], N_ITEMS)
    facts = csr_array((np.ones(3, np.float32), ([0, 7, 2], [0, 0, 1])), shape=(N_ITEMS, 2))
    steps = csr_array((np.full(2, 3.0, np.float32), ([1, 2], [9, 9])), shape=(N_ITEMS, N_ITEMS))
    counts = np.arange(N_ITEMS)
    return (
        sessions,
        ItemFeatures.of(counts, steps, facts),
        PopularityModel(counts, PopularityConfig()),
    )


def test_nearness_is_of_the_newest_item_that_links() -> None:
    straight = csr_array((np.ones(3), ([0, 1, 0], [5, 5, 6])), shape=(N_ITEMS, N_ITEMS))
    links = Links.straight(straight)
    old = [0, *range(7, 11), *range(7, 11), 7, 8]  # item 0 is older than what is looked at
    sessions = Sequences.from_lists([[0, 1, 2], [0], [0, 0], [], old], N_ITEMS)
    assert len(old) > NEWEST
    near = links.nearness(sessions)
    np.testing.assert_allclose(near[:, 5], [1 / 2, 1, 1, 0, 0])
    np.testing.assert_allclose(near[:, 6], [1 / 3, 1, 1, 0, 0])
    assert near[:, :5].sum() == 0


def test_many_shared_facts_are_not_a_younger_age() -> None:
    n_items, n_facts = 100, 300
    rows = np.repeat([3, 4], n_facts)
    facts = csr_array((np.ones(2 * n_facts), (rows, np.tile(np.arange(n_facts), 2))),
                      shape=(n_items, n_facts))  # fmt: skip
    common = csr_array(np.ones((n_items, 1)))
    links = Links.by_facts(csr_array(np.hstack([facts.toarray(), common.toarray()])))
    near = links.nearness(Sequences.from_lists([[3, 9, 9]], n_items))
    assert near[0, 4] == pytest.approx(1 / 3)
    assert near[0, 50] == 0  # the fact of all items is no link


def test_candidates_stand_as_the_fusion_has_them(known: tuple) -> None:  # type: ignore[type-arg]
    sessions, features, popularity = known
    base = np.random.default_rng(1).standard_normal((3, N_ITEMS)).astype(np.float32)
    targets = np.array([9, 0, 3], np.int32)
    users = np.arange(3)
    evidence, weights = {"popularity": popularity}, {"popularity": 0.4}
    found = gather(lambda u: base[u], evidence, weights, features, users, sessions, targets, k=4)
    fused = fused_scorer(lambda u: base[u], evidence, weights, sessions)
    ranking = rank_all(fused, sessions, targets)
    np.testing.assert_array_equal(found.ranks, ranking.ranks)
    inside = ranking.ranks <= 4
    np.testing.assert_array_equal(found.place, np.where(inside, ranking.ranks - 1, -1))
    column = found.features[:, :, found.names.index("fused")]
    np.testing.assert_allclose(column, -np.sort(-column, axis=1))
    assert not np.isin(found.items[0], sessions[0]).any()
    # The same order gives the same ranks, whether or not the held-out item is a candidate.
    np.testing.assert_array_equal(found.reordered(column), ranking.ranks)
    # Nothing of the user: another number for the same session changes no feature.
    moved = gather(
        lambda u: base[[2 - x for x in u]], evidence, weights, features, users,
        Sequences.from_lists([[], [5], [0, 1, 2]], N_ITEMS), k=4,
    )  # fmt: skip
    np.testing.assert_allclose(moved.features[::-1], found.features, rtol=1e-6)
    assert (moved.place == -1).all()
    assert np.isnan(moved.ranks).all()


def test_empty_session_and_small_catalogue(known: tuple) -> None:  # type: ignore[type-arg]
    sessions, features, popularity = known
    base = np.zeros((3, N_ITEMS), np.float32)
    found = gather(
        lambda u: base[u], {"popularity": popularity}, {"popularity": 1.0}, features,
        np.arange(3), sessions, np.array([9, 9, 9], np.int32), k=50,
    )  # fmt: skip
    assert np.isfinite(found.features).all()
    np.testing.assert_array_equal((found.items >= 0).sum(axis=1), [9, 11, 12])
    assert found.features[2, :, found.names.index("nearest: fact")].sum() == 0
    # What is no candidate stays behind whatever it is scored.
    wild = np.where(found.items < 0, 1e6, found.features[:, :, 0]).astype(np.float32)
    np.testing.assert_array_equal(found.reordered(wild), found.ranks)


def test_a_planted_signal_is_learned_and_nothing_is_made_of_noise() -> None:
    candidates = planted()
    scores = cross_fitted(candidates, QUICK, n=3)
    before = ndcg(candidates.ranks, 10).mean()
    assert ndcg(candidates.reordered(scores), 10).mean() > before + 0.2
    noise = np.random.default_rng(2).permutation(candidates.features[:, :, 1].ravel())
    mixed = candidates.features.copy()
    mixed[:, :, 1] = noise.reshape(mixed.shape[:2])
    blank = replace(candidates, features=mixed)
    assert ndcg(blank.reordered(cross_fitted(blank, QUICK, n=3)), 10).mean() < before + 0.05


def test_cross_fitted_scores_know_nothing_of_the_own_item() -> None:
    candidates = planted(120)
    users = np.arange(120) // 2
    candidates = replace(candidates, users=users)
    masks = list(folds(users, 3, 0))
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * 120
    fold = masks[0]
    assert all(fold[2 * u] == fold[2 * u + 1] for u in range(60))
    other = candidates.place.copy()
    other[fold] = (other[fold] + 1) % K
    scores = cross_fitted(candidates, QUICK, n=3)
    planted_scores = cross_fitted(replace(candidates, place=other), QUICK, n=3)
    np.testing.assert_array_equal(scores[fold], planted_scores[fold])
    assert not np.array_equal(scores[~fold], planted_scores[~fold])


def test_test_items_are_refused() -> None:
    candidates = planted(40)
    lessons = Lessons.gather(candidates.take, candidates.targets)
    test = np.full(40, -1, np.int32)
    lessons.teach(QUICK, test)
    test[7] = candidates.targets[7]
    with pytest.raises(LeakError, match=r"1 of 40 sessions .* user 7"):
        lessons.teach(QUICK, test)


def test_sessions_without_their_item_among_the_candidates() -> None:
    candidates = planted(60)
    outside = candidates.place.copy()
    outside[::2] = -1
    half = replace(candidates, place=outside, ranks=np.where(outside < 0, 99.0, outside + 1.0))
    model = Reranker.fit(half, QUICK)
    scores = model.score(half)
    np.testing.assert_array_equal(half.reordered(scores)[::2], 99.0)
    # They teach nothing, so the model is the same without them.
    np.testing.assert_array_equal(Reranker.fit(half.take(outside >= 0), QUICK).score(half), scores)
    with pytest.raises(ChangeSomethingError, match="of 1 users are among"):
        Reranker.fit(half.take(np.array([0, 1])), QUICK)


def test_other_features_are_refused() -> None:
    candidates = planted(80)
    model = Reranker.fit(candidates, QUICK)
    with pytest.raises(ValueError, match="trained with"):
        model.score(replace(candidates, names=("fused", "b", "a")))


def test_without_facts_nothing_is_known_by_them(known: tuple) -> None:  # type: ignore[type-arg]
    _, features, _ = known
    bare = ItemFeatures.of(np.arange(N_ITEMS), features.links["transition"].there)
    assert set(features.columns) - set(bare.columns) == {"facts"}
    assert set(features.links) - set(bare.links) == {"fact"}


def test_a_list_reordered_has_the_ranks_of_its_candidates(known: tuple) -> None:  # type: ignore[type-arg]
    sessions, features, popularity = known
    base = np.random.default_rng(3).standard_normal((3, N_ITEMS)).astype(np.float32)
    users = np.arange(3)
    evidence, weights = {"popularity": popularity}, {"popularity": 0.4}

    def gathered(asked: np.ndarray) -> Candidates:
        return gather(
            lambda u: base[u], evidence, weights, features, asked, sessions, targets, k=10
        )  # fmt: skip

    targets = np.zeros(3, np.int32)
    targets[:] = gathered(users).items[:, 2]
    targets[2] = base[2].argmin()  # behind the candidates
    found = gathered(users)
    net = RerankNet(len(found.names), 4, 0.0)
    torch.nn.init.constant_(net.fused, -1.0)  # the candidates in reverse
    model = Reranker(found.names, net.eval(), QUICK)
    queries = Queries(sessions, targets, users)
    plain = answer(fused_scorer(lambda u: base[u], evidence, weights, sessions), queries)
    whole = answer_reordered(gathered, model, queries, block=2)
    assert plain.ranks[2] > 10
    np.testing.assert_array_equal(whole.ranks, [7, 8, plain.ranks[2]])
    np.testing.assert_array_equal(whole.lists[1:], plain.lists[1:, ::-1])
    # The first session has nine items left.
    np.testing.assert_array_equal(whole.lists[0], [*plain.lists[0, 8::-1], -1])


# -- lessons ---------------------------------------------------------------------------------------


def half_outside(n: int) -> Candidates:
    """Planted, but the items of every other session are no candidates."""
    candidates = planted(n)
    place = candidates.place.copy()
    place[::2] = -1
    return replace(candidates, place=place, ranks=np.where(place < 0, 99.0, place + 1.0))


def lessons_of(candidates: Candidates, **changes: int) -> Lessons:
    return Lessons.gather(candidates.take, candidates.targets, **changes)


def test_only_what_can_teach_has_features_and_nothing_else_changes() -> None:
    candidates = half_outside(200)
    found = lessons_of(candidates)
    assert len(found.candidates) == 100
    np.testing.assert_array_equal(found.rows, np.arange(1, 200, 2))
    np.testing.assert_array_equal(found.ranks, candidates.ranks)
    judged = found.judge(QUICK)
    ranks = candidates.reordered(cross_fitted(candidates, QUICK, seed=QUICK.seed))
    assert judged.after == ndcg(ranks, 10).mean()
    assert judged.before == ndcg(candidates.ranks, 10).mean()
    taught = found.teach(QUICK, np.full(200, -1, np.int32))
    np.testing.assert_array_equal(
        taught.score(candidates), Reranker.fit(candidates, QUICK).score(candidates)
    )


def test_lessons_of_many_users_are_of_some_and_gathered_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidates = half_outside(60)
    asked = []

    def gathered(users: np.ndarray) -> Candidates:
        asked.append(len(users))
        return candidates.take(users)

    monkeypatch.setattr("personarec.rerank.lessons._BLOCK", 16)
    whole = Lessons.gather(gathered, candidates.targets)
    assert asked == [16, 16, 16, 12]
    np.testing.assert_array_equal(whole.candidates.features, candidates.features[1::2])
    some = lessons_of(candidates, seed=1, most=20)
    assert len(some.users) == 20
    np.testing.assert_array_equal(some.ranks, candidates.ranks[some.users])
    np.testing.assert_array_equal(some.users[some.rows], some.candidates.users)
    assert not np.array_equal(some.users, lessons_of(candidates, seed=2, most=20).users)


def test_a_rerank_is_kept_where_it_helps_and_nowhere_else() -> None:
    judged = lessons_of(planted()).judge(QUICK)
    assert judged.helps
    assert judged.gain.low > 0.1
    assert judged.gain.mean == pytest.approx(judged.after - judged.before)
    noise = planted()
    mixed = noise.features.copy()
    mixed[:, :, 1:] = np.random.default_rng(2).permutation(mixed[:, :, 1:])
    assert not lessons_of(replace(noise, features=mixed)).judge(QUICK).helps
    # Better, but by a chance that other users would not have.
    few = replace(judged, gain=replace(judged.gain, low=-0.001))
    assert few.gain.mean > 0
    assert not few.helps


def test_a_test_item_stops_the_lesson_even_where_it_would_teach_nothing() -> None:
    candidates = half_outside(40)
    test = np.full(40, -1, np.int32)
    found = lessons_of(candidates)
    assert candidates.place[8] < 0
    test[8] = candidates.targets[8]
    with pytest.raises(LeakError, match=r"1 of 40 sessions .* user 8"):
        found.teach(QUICK, test)
