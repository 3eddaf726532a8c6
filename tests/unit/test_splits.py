import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kg.views.interactions import Interactions
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import leave_one_out


def interactions(lists: list[list[int]], n_items: int = 10) -> Interactions:
    user = np.repeat(np.arange(len(lists)), [len(row) for row in lists]).astype(np.int32)
    item = np.array([item for row in lists for item in row], dtype=np.int32)
    order = np.arange(len(item), dtype=np.int64)
    users, items = (
        tuple(f"{kind}{i}" for i in range(n))
        for kind, n in zip("ui", (len(lists), n_items), strict=True)
    )
    return Interactions(users, items, user, item, order, order)


def test_last_two_are_held_out_and_short_users_stay_whole() -> None:
    split = leave_one_out(interactions([[1, 2, 3, 4], [5, 6], [7, 8, 9], []]))
    assert [list(split.train[user]) for user in range(4)] == [[1, 2], [5, 6], [7], []]
    assert list(split.valid) == [3, -1, 8, -1]
    assert list(split.test) == [4, -1, 9, -1]


def test_refit_adds_validation_but_never_test() -> None:
    split = leave_one_out(interactions([[1, 2, 3, 4], [5, 6]]))
    assert split.fit(refit=False) is split.train
    refit = split.fit(refit=True)
    assert [list(refit[user]) for user in range(2)] == [[1, 2, 3], [5, 6]]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8))
def test_nothing_is_lost_and_nothing_moves(lists: list[list[int]]) -> None:
    given_ = interactions(lists)
    split = leave_one_out(given_)
    whole = split.train.append(split.valid).append(split.test)
    np.testing.assert_array_equal(whole.items, Sequences.from_interactions(given_).items)
    np.testing.assert_array_equal(whole.indptr, given_.indptr)
