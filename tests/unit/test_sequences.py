import numpy as np
import pytest

from kg.views.interactions import Interactions
from personarec.evaluation.sequences import Sequences


@pytest.fixture
def three() -> Sequences:
    return Sequences.from_lists([[0, 1, 2], [], [3, 1]], n_items=5)


def test_from_interactions_keeps_the_order_and_users_without_any() -> None:
    stamps = np.arange(3, dtype=np.int64)
    interactions = Interactions(
        ("a", "b", "c"),
        ("x", "y"),
        np.array([0, 0, 2], dtype=np.int32),
        np.array([1, 0, 1], dtype=np.int32),
        stamps,
        stamps,
    )
    sequences = Sequences.from_interactions(interactions)
    assert [list(sequences[user]) for user in range(3)] == [[1, 0], [], [1]]
    assert sequences.n_items == 2


def test_last_and_take(three: Sequences) -> None:
    assert list(three.last(0, 2)) == [1, 2]
    assert list(three.last(0, 9)) == [0, 1, 2]
    assert list(three.last(1, 2)) == []
    taken = three.take(np.array([2, 1, 2]))
    assert [list(taken[row]) for row in range(3)] == [[3, 1], [], [3, 1]]


def test_append_leaves_out_minus_one(three: Sequences) -> None:
    longer = three.append(np.array([4, 4, -1], dtype=np.int32))
    assert [list(longer[user]) for user in range(3)] == [[0, 1, 2, 4], [4], [3, 1]]
    assert list(three[0]) == [0, 1, 2]
    with pytest.raises(ValueError, match="2 items for 3 users"):
        three.append(np.array([1, 2], dtype=np.int32))


def test_recency_weighs_the_newest_most_and_adds_repeats() -> None:
    matrix = Sequences.from_lists([[0, 1, 0], []], n_items=2).recency(0.5).toarray()
    np.testing.assert_allclose(matrix, [[1.25, 0.5], [0, 0]])


@pytest.mark.parametrize(
    ("indptr", "items"), [([0, 2], [0]), ([1, 1], [0]), ([0, 1], [5]), ([0, 1], [-1]), ([], [])]
)
def test_arrays_that_do_not_fit_are_refused(indptr: list[int], items: list[int]) -> None:
    with pytest.raises(ValueError, match=r"indptr|item indices"):
        Sequences(np.array(indptr, dtype=np.int64), np.array(items, dtype=np.int32), n_items=5)


def test_an_item_that_stands_twice_leaves_the_sequences_as_they_were() -> None:
    sessions = Sequences.from_lists([[0, 2, 0], [1]], 3)
    first = sessions.recency(0.5).toarray()
    np.testing.assert_allclose(first, [[1.25, 0, 0.5], [0, 1, 0]])
    assert sessions.indptr.tolist() == [0, 3, 4]
    np.testing.assert_array_equal(sessions.recency(0.5).toarray(), first)
