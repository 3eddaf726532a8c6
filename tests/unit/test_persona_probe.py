import numpy as np
import pytest

from personarec.evaluation.leakage import LeakError
from personarec.evaluation.persona_probe import (
    RIDGES,
    fit_maps,
    newest,
    prefixes,
    probe,
    rank_sessions,
    sampled_targets,
)
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.personas.encoder import DensePersonas

N = 30


def walkers(users: int = 120) -> Split:
    """Each item is followed by the next of its third: what comes is written in what was."""
    rng = np.random.default_rng(0)
    lists = []
    for user in range(users):
        start, third = rng.integers(10), user % 3
        lists.append([int(10 * third + (start + k) % 10) for k in range(5)])
    train = Sequences.from_lists([r[:3] for r in lists], N)
    return Split(
        train,
        np.array([r[3] for r in lists], np.int32),
        np.array([r[4] for r in lists], np.int32),
    )


def of_thirds(split: Split) -> DensePersonas:
    """Personas that know the third and nothing else."""
    items = np.zeros((N, 3), np.float32)
    items[np.arange(N), np.arange(N) // 10] = 1
    return DensePersonas.fitted(items, split.train)


def test_prefixes_are_places_with_something_visible() -> None:
    known = Sequences.from_lists([[1, 2, 3], [], [4], [5, 6]], 10)
    visible, targets, users = prefixes(known, 9, 0)
    found = [(int(u), list(visible[k]), int(targets[k])) for k, u in enumerate(users)]
    assert found == [(0, [1], 2), (0, [1, 2], 3), (3, [5], 6)]


def test_prefixes_of_long_sequences_are_drawn() -> None:
    known = Sequences.from_lists([list(range(20)), [3, 4]], 20)
    visible, targets, users = prefixes(known, 5, 0)
    assert np.bincount(users).tolist() == [5, 1]
    for place, target in enumerate(targets[:5]):
        assert visible[place].tolist() == list(range(target))
    assert not np.array_equal(targets, prefixes(known, 5, 1)[1])


def test_newest_keeps_the_end() -> None:
    known = newest(Sequences.from_lists([[1, 2, 3, 4], [5], []], 9), 2)
    assert [known[u].tolist() for u in range(3)] == [[3, 4], [5], []]


def test_the_map_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    personas = rng.standard_normal((50, 4)).astype(np.float32) + 3
    targets = rng.integers(6, size=50).astype(np.int32)
    (found,) = fit_maps(personas, targets, 7, (0.5,))
    centred = personas - personas.mean(axis=0)
    alpha = 0.5 * float((centred**2).sum()) / 4
    expected = Ridge(alpha).fit(personas, np.eye(7)[targets]).predict(personas)
    np.testing.assert_allclose(found.score(personas), expected, atol=1e-4)


def test_a_constant_persona_is_popularity_to_the_map() -> None:
    targets = np.array([0, 1, 1, 2], np.int32)
    for found in fit_maps(np.ones((4, 3), np.float32), targets, 4):
        np.testing.assert_allclose(
            found.score(np.ones((1, 3), np.float32))[0], [0.25, 0.5, 0.25, 0]
        )


def test_a_persona_that_knows_something_is_told_from_one_that_does_not() -> None:
    split = walkers()
    knows = probe(of_thirds(split), split, fitted=split.train)
    nothing = DensePersonas(np.ones((N, 2), np.float32), np.ones(2, np.float32))
    ignorant = probe(nothing, split, fitted=split.train)
    # Of 26 unseen items six are of the right third.
    assert knows.ranking.ranks.max() <= 10
    assert knows.ranking.hit_rate(10) == 1 > ignorant.ranking.hit_rate(10)
    assert knows.recall(10) == 1
    assert knows.edges.shape == (2, 120)
    assert set(knows.choice) == {"own", *(f"ridge {r:g}" for r in RIDGES)}
    assert knows.choice[knows.reading] == max(knows.choice.values())


def test_slices() -> None:
    known = Sequences.from_lists([[0, 1, 2, 3], [0, 1, 2]], 9)
    split = Split(known, np.array([4, 4], np.int32), np.array([8, 3], np.int32))
    found = probe(of_nine(known), split, fitted=known)
    assert found.cold.tolist() == [True, False]
    assert found.few.tolist() == [False, True]


def of_nine(known: Sequences) -> DensePersonas:
    return DensePersonas.fitted(np.eye(9, 4, dtype=np.float32), known)


def test_short_sessions_show_less_and_mask_all() -> None:
    """A persona of the newest items only; what is older is still no candidate."""
    known = Sequences.from_lists([[0, 1, 2, 3]], 9)
    split = Split(known, np.array([4], np.int32), np.array([8], np.int32))
    shown = []

    def score(sessions: Sequences) -> np.ndarray:
        shown.append(sessions.lengths.tolist())
        return np.tile(-np.arange(9, dtype=np.float32), (len(sessions), 1))

    found = probe(of_nine(known), split, fitted=known, readings={"mine": score})
    assert [3] in shown
    assert found.short.ranks.tolist() == [4]  # 5, 6 and 7 are better; 0 to 4 were seen
    assert found.edges.tolist() == [[1.0], [5.0]]


def test_a_model_that_saw_held_out_items_is_refused() -> None:
    split = walkers()
    with pytest.raises(LeakError, match="more items"):
        probe(of_thirds(split), split, fitted=split.fit(refit=True))


def test_a_sample_of_users_keeps_their_targets() -> None:
    targets = np.array([3, -1, 5, 6, 7], np.int32)
    drawn = sampled_targets(targets, 2, 0)
    assert (drawn >= 0).sum() == 2
    assert (drawn[drawn >= 0] == targets[drawn >= 0]).all()
    assert sampled_targets(targets, 4, 0) is targets


def test_ranks_do_not_depend_on_who_else_is_asked() -> None:
    split = walkers()
    model = of_thirds(split)
    whole = rank_sessions(model.score, split.train, split.valid)
    part = rank_sessions(model.score, split.train, sampled_targets(split.valid, 20, 0))
    np.testing.assert_array_equal(whole.ranks[np.isin(whole.users, part.users)], part.ranks)
