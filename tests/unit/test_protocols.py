"""Splits with their test queries: by time, and by user."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import ChangeSomethingError
from kg.views.interactions import Interactions
from personarec.evaluation import protocols
from personarec.evaluation.protocols import (
    LEAVE_ONE_OUT,
    PREFIX_LENGTHS,
    TEMPORAL,
    UNSEEN_USERS,
    make_protocol,
)
from personarec.evaluation.sequences import Sequences


def interactions(lists: list[list[tuple[int, int]]], n_items: int = 30) -> Interactions:
    """Users with (item, time) each, in order."""
    user = np.repeat(np.arange(len(lists)), [len(row) for row in lists]).astype(np.int32)
    item = np.array([i for row in lists for i, _ in row], np.int32)
    time = np.array([t for row in lists for _, t in row], np.int64)
    users, items = tuple(f"u{i}" for i in range(len(lists))), tuple(map(str, range(n_items)))
    return Interactions(users, items, user, item, time, np.arange(len(item), dtype=np.int64))


def many(n_users: int = 40, n_items: int = 30, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    return interactions(
        [
            [
                (int(i), int(t))
                for i, t in zip(
                    rng.permutation(n_items)[: rng.integers(1, 14)],
                    np.sort(rng.integers(0, 1000, 14)),
                    strict=False,
                )
            ]
            for _ in range(n_users)
        ]
    )


def test_leave_one_out_asks_for_the_last_item_after_all_others() -> None:
    data = interactions([[(1, 1), (2, 2), (3, 3), (4, 4)], [(5, 1), (6, 2)]])
    protocol = make_protocol(LEAVE_ONE_OUT, data)
    assert [list(protocol.test.visible[0])] == [[1, 2, 3]]
    assert list(protocol.test.targets) == [4]
    assert list(protocol.test.users) == [0]
    assert protocol.cuts is None


def test_temporal_split_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "VALIDATORS", 10)
    rows = [[(u, t) for t in range(u % 2, 20, 2)] for u in range(10)]
    data = interactions([[(t % 30, t) for _, t in row] for row in rows])
    protocol = make_protocol(TEMPORAL, data)
    assert protocol.cuts == (16, 18)  # 100 interactions of times 0 to 19, 5 each
    assert [list(protocol.split.train[u]) for u in (0, 1)] == [
        list(range(0, 16, 2)), list(range(1, 16, 2)),
    ]  # fmt: skip
    assert protocol.split.refitted is not None
    assert list(protocol.split.refitted[1]) == list(range(1, 18, 2))
    assert list(protocol.split.valid[:2]) == [16, 17]
    assert list(protocol.test.targets[:2]) == [18, 19]
    assert list(protocol.test.visible[1]) == list(range(1, 18, 2))


def test_few_validate_by_their_last_items() -> None:
    rows = [[(u, t) for t in range(u % 2, 20, 2)] for u in range(10)]
    data = interactions([[(t % 30, t) for _, t in row] for row in rows])
    protocol = make_protocol(TEMPORAL, data)
    assert protocol.cuts == (None, 18)
    assert [list(protocol.split.train[u]) for u in (0, 1)] == [
        list(range(0, 16, 2)), list(range(1, 16, 2)),
    ]  # fmt: skip
    assert list(protocol.split.valid[:2]) == [16, 17]
    assert "each user's last item before them validates" in protocol.words


def test_a_user_is_asked_for_a_few_later_items_at_random() -> None:
    # One user has 60 of the newest items, of which ten are asked for; another one has two.
    early = [[(i, i + u % 2) for i in range(12)] for u in range(60)]
    rows = [*early, [(0, 0), *((i % 30, 100 + i) for i in range(60))], [(5, 0), (6, 1), (7, 150)]]
    protocol = make_protocol(TEMPORAL, interactions(rows))
    assert np.bincount(protocol.test.users)[60:].tolist() == [10, 1]
    own = protocol.test.users == 60
    shown = protocol.test.visible.lengths[own]
    assert len(set(shown.tolist())) == 10
    assert shown.min() < 20
    assert shown.max() > 40
    assert protocol.split.test[60] == protocol.test.targets[own][0]


@pytest.mark.parametrize("validators", [1, 200])
@given(st.integers(0, 60))
def test_temporal_split_never_looks_ahead(validators: int, seed: int) -> None:
    data = many(seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols, "VALIDATORS", validators)
        protocol = make_protocol(TEMPORAL, data)
    assert protocol.cuts is not None
    whole, (first, second) = Sequences.from_interactions(data), protocol.cuts
    assert (first is None) == (validators == 200)
    for report in (False, True):
        fitted = protocol.split.fit(refit=report)
        for user in range(len(whole)):
            times = data.timestamp[data.indptr[user] : data.indptr[user + 1]]
            cut = second if report or first is None else first
            known = list(whole[user][times < cut])
            if first is None and not report and len(known) > 2:
                assert protocol.split.valid[user] == known.pop()
            assert list(fitted[user]) == known
    for place, user in enumerate(protocol.test.users):
        shown = len(protocol.test.visible[place])
        assert shown >= 1
        assert list(protocol.test.visible[place]) == list(whole[user][:shown])
        assert whole[user][shown] == protocol.test.targets[place]
        assert data.timestamp[data.indptr[user] + shown] >= second
    late = [
        u
        for u in range(len(whole))
        if len(whole[u]) > 1 and data.timestamp[data.indptr[u + 1] - 1] >= second
    ]
    # A new user too, once one item is there to show.
    assert np.unique(protocol.test.users).tolist() == late


@pytest.mark.parametrize("validators", [1, 200])
@given(st.integers(0, 60))
def test_unseen_users_are_in_no_training(validators: int, seed: int) -> None:
    data = many(seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols, "VALIDATORS", validators)
        protocol = make_protocol(UNSEEN_USERS, data)
    whole = Sequences.from_interactions(data)
    fitted = protocol.split.fit(refit=True)
    asked = np.unique(protocol.test.users)
    assert (fitted.lengths[asked] == 0).all()
    assert (protocol.split.train.lengths[asked] == 0).all()
    assert (protocol.split.valid[asked] == -1).all()
    strangers = np.flatnonzero((fitted.lengths == 0) & (whole.lengths > 0))
    assert len(strangers) <= np.ceil(0.2 * len(whole))
    for place, user in enumerate(protocol.test.users):
        shown = len(protocol.test.visible[place])
        assert shown in PREFIX_LENGTHS
        assert whole[user][shown] == protocol.test.targets[place]
    if validators == 1:
        assert np.count_nonzero(protocol.split.valid >= 0) <= np.ceil(0.2 * len(whole))
    for user in set(range(len(whole))) - set(strangers):
        assert list(fitted[user]) == list(whole[user])
        train, valid = list(protocol.split.train[user]), protocol.split.valid[user]
        if valid < 0:
            assert train == list(whole[user])
        else:
            assert len(train) in PREFIX_LENGTHS or validators == 200
            rest = list(whole[user][: len(train) + 1] if validators == 1 else whole[user])
            assert [*train, valid] == rest


def test_who_validates_as_a_stranger_is_asked_after_any_of_the_lengths() -> None:
    data = interactions([[(i, i) for i in range(12)] for _ in range(1000)])
    split = make_protocol(UNSEEN_USERS, data).split
    shown = split.train.lengths[split.valid >= 0]
    assert set(shown.tolist()) == set(PREFIX_LENGTHS)


def test_a_user_of_one_item_cannot_validate() -> None:
    data = interactions([[(0, u)] if u % 2 else [(0, u), (1, u + 1)] for u in range(3000)])
    split = make_protocol(UNSEEN_USERS, data).split
    whole = Sequences.from_interactions(data)
    assert (whole.lengths[split.valid >= 0] == 2).all()
    alone = (whole.lengths == 1) & (split.fit(refit=True).lengths > 0)
    assert (split.train.lengths[alone] == 1).all()


def test_same_data_same_split() -> None:
    first, second = (make_protocol(UNSEEN_USERS, many()) for _ in range(2))
    np.testing.assert_array_equal(first.test.users, second.test.users)


@pytest.mark.parametrize("time", [0, 1_500_000_000])
def test_no_times_is_said_in_one_line(time: int) -> None:
    """All times 0 where a source has none, or each user's places from the same start."""
    data = interactions([[(i, time + i) for i in range(5)] for _ in range(4)])
    with pytest.raises(ChangeSomethingError, match="a bare order only: take --split"):
        make_protocol(TEMPORAL, data)


def test_nobody_to_test_is_said_in_one_line() -> None:
    data = interactions([[(0, 1), (1, 2)], [(2, 5)]])
    with pytest.raises(ChangeSomethingError, match=r"leave-one-out split .* leaves nobody to test"):
        make_protocol(LEAVE_ONE_OUT, data)
    later = interactions([[(0, 1), (1, 2)], [(2, 3), (3, 4)], [(4, 9)]])
    with pytest.raises(ChangeSomethingError, match="leaves nobody to test"):
        make_protocol(TEMPORAL, later)


def test_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(ChangeSomethingError, match="did you mean global-temporal"):
        make_protocol("global-tempral", many())
