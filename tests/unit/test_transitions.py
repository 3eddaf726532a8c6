import numpy as np
import pytest
from pydantic import ValidationError

from personarec.evaluation.sequences import Sequences
from personarec.retriever.transitions import TransitionConfig, TransitionModel, transition_counts

FIT = Sequences.from_lists([[0, 1, 2, 3], [0, 1], [4], []], n_items=6)


def test_counts_per_gap_stay_inside_a_user() -> None:
    first, second, third = transition_counts(FIT)
    expected = np.zeros((6, 6))
    expected[0, 1], expected[1, 2], expected[2, 3] = 2, 1, 1
    np.testing.assert_array_equal(first.toarray(), expected)
    assert {(r, c) for r, c in zip(*second.nonzero(), strict=True)} == {(0, 2), (1, 3)}
    assert {(r, c) for r, c in zip(*third.nonzero(), strict=True)} == {(0, 3)}
    assert first.dtype.kind == "i"


def test_counts_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 9, size=rng.integers(0, 12)) for _ in range(50)]
    expected = np.zeros((3, 9, 9))
    for row in lists:
        for gap in (1, 2, 3):
            for a, b in zip(row, row[gap:], strict=False):
                expected[gap - 1, a, b] += 1
    counts = transition_counts(Sequences.from_lists(lists, 9))
    np.testing.assert_array_equal([count.toarray() for count in counts], expected)


def test_score_is_the_formula() -> None:
    counts = transition_counts(FIT)
    c1, c2, c3 = (count.toarray() for count in counts)
    forward = c1 + 0.6 * c2 + 0.36 * c3
    t = forward + 0.5 * forward.T
    row, column = t.sum(axis=1), t.sum(axis=0)
    row[row == 0], column[column == 0] = 1, 1
    t = t / np.sqrt(row)[:, None] / np.sqrt(column)
    model = TransitionModel.from_counts(counts)
    found = model.score(Sequences.from_lists([[2, 0, 1], [], [5]], n_items=6))
    persona = np.array([0.6, 1, 0.36, 0, 0, 0])
    np.testing.assert_allclose(found, [persona @ t, np.zeros(6), np.zeros(6)], rtol=1e-5)
    assert found.dtype == np.float32


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        TransitionConfig(decay=0.5)  # type: ignore[call-arg]
