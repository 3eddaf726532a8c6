import numpy as np
import pytest
from scipy.sparse import csr_array

from personarec.evaluation.leakage import (
    LeakError,
    refuse_known_users,
    refuse_late,
    refuse_later_purchases,
    refuse_leak,
    refuse_long,
    refuse_popularity,
    refuse_transitions,
)
from personarec.evaluation.sequences import Sequences
from personarec.retriever.transitions import transition_counts

FIT = Sequences.from_lists([[0, 1, 2], [3, 4, 0], [1, 2]], n_items=6)
HELD_OUT = np.array([5, 1, -1], dtype=np.int32)


def test_clean_inputs_pass() -> None:
    refuse_leak("sequences", FIT, HELD_OUT)
    refuse_leak("RATED", FIT.recency(1.0), HELD_OUT)
    refuse_long("sequences", FIT, FIT)
    refuse_transitions("NEXT", transition_counts(FIT), transition_counts(FIT))
    refuse_transitions("NEXT", transition_counts(FIT)[:2], transition_counts(FIT))


def test_a_held_out_item_planted_in_sequences_fires() -> None:
    leaky = FIT.append(np.array([5, -1, -1], dtype=np.int32))
    with pytest.raises(LeakError, match=r"fit: 1 test interactions .* user 0, item 5"):
        refuse_leak("fit", leaky, HELD_OUT, "test")


def test_a_held_out_item_planted_in_a_matrix_fires_but_a_stored_zero_does_not() -> None:
    matrix = FIT.recency(0.7).tolil()
    matrix[1, 1] = 0.001
    leaky = csr_array(matrix)
    with pytest.raises(LeakError, match=r"persona: 1 held-out .* user 1, item 1"):
        refuse_leak("persona", leaky, HELD_OUT)
    leaky.data[leaky.data == np.float32(0.001)] = 0
    refuse_leak("persona", leaky, HELD_OUT)


def test_longer_or_other_sequences_fire() -> None:
    leaky = FIT.append(np.array([-1, 2, -1], dtype=np.int32))
    with pytest.raises(LeakError, match=r"1 users have more items .* user 1"):
        refuse_long("fit", leaky, FIT)
    other = Sequences.from_lists([[0, 1, 2], [3, 4], [2]], n_items=6)
    with pytest.raises(LeakError, match="user 2 are not"):
        refuse_long("fit", other, FIT)


def test_transitions_into_held_out_items_fire() -> None:
    leaky = transition_counts(FIT.append(HELD_OUT))
    with pytest.raises(LeakError, match=r"NEXT: 2 transitions at gap 1 .* 0 → 1"):
        refuse_transitions("NEXT", leaky, transition_counts(FIT))
    with pytest.raises(LeakError, match="at 3 gaps, 2 are allowed"):
        refuse_transitions("NEXT", transition_counts(FIT), transition_counts(FIT)[:2])


def test_a_transition_counted_once_too_often_fires() -> None:
    counts = transition_counts(FIT)
    counts[1].data[0] += 1
    with pytest.raises(LeakError, match="1 transitions at gap 2"):
        refuse_transitions("NEXT", counts, transition_counts(FIT))


def test_other_users_than_those_held_out_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users, held-out has 2"):
        refuse_leak("fit", FIT, HELD_OUT[:2])


def test_an_interaction_after_the_cut_fires() -> None:
    times = np.array([1, 2, 8, 1, 5, 9, 3, 4], dtype=np.int64)
    indptr = np.array([0, 3, 6, 8], dtype=np.int64)
    before = Sequences.from_lists([[0, 1], [3, 4], [1, 2]], n_items=6)
    refuse_late("fit", before, times, indptr, cut=8)
    planted = Sequences.from_lists([[0, 1], [3, 4, 0], [1, 2]], n_items=6)
    with pytest.raises(LeakError, match=r"fit: 1 users .* at or after the cut \(8\).* user 1"):
        refuse_late("fit", planted, times, indptr, cut=8)


def test_a_fitted_user_who_should_be_a_stranger_fires() -> None:
    fitted = Sequences.from_lists([[0, 1], [], [1]], n_items=6)
    refuse_known_users("fit", fitted, np.array([1]))
    with pytest.raises(LeakError, match=r"RATED: 1 of the users .* user 2"):
        refuse_known_users("RATED", fitted.recency(1.0), np.array([1, 2, 2]))


def test_popularity_of_held_out_interactions_fires() -> None:
    counts = np.bincount(FIT.items, minlength=6)
    refuse_popularity("popularity", counts, FIT)
    counts[5] += 2
    with pytest.raises(LeakError, match=r"popularity: 2 interactions more .* of item 5"):
        refuse_popularity("popularity", counts, FIT)


def test_later_purchases_among_the_facts_fire() -> None:
    refuse_later_purchases("facts", ["AUTHOR", "SUBJECT_IS"])
    with pytest.raises(LeakError, match="facts: ALSO_BOUGHT were derived from later purchases"):
        refuse_later_purchases("facts", ["AUTHOR", "ALSO_BOUGHT"])
