"""Ranks and lists of test queries, reranking, and the rows' declarations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.compare.asking import answer, reranked
from personarec.compare.document import choose, corrected
from personarec.compare.rows import PERSONA, ROWS, SASREC, SHUFFLED, chosen_rows
from personarec.compare.words import figure, interval, signed
from personarec.evaluation.metrics import Scorer, rank_all
from personarec.evaluation.protocols import Queries
from personarec.evaluation.sequences import Sequences
from personarec.retriever.best import best_of_each
from personarec.retriever.evidence import EVIDENCE

N_ITEMS = 40


def queries(seed: int = 0, n: int = 30) -> Queries:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(N_ITEMS) for _ in range(n)]
    visible = Sequences.from_lists([o[: rng.integers(1, 9)] for o in orders], N_ITEMS)
    return Queries(visible, np.array([o[-1] for o in orders], np.int32), np.arange(n))


def scorer(seed: int, n: int = 30, levels: int = 1000) -> Scorer:
    drawn = np.random.default_rng(seed).integers(levels, size=(n, N_ITEMS)).astype(np.float32)

    def score(places: NDArray[np.int64]) -> NDArray[np.float32]:
        return drawn[places]

    return score


@pytest.mark.parametrize("levels", [1000, 3])
def test_ranks_as_everywhere_and_lists_by_sorting(levels: int) -> None:
    asked, model = queries(), scorer(1, levels=levels)
    found = answer(model, asked, block=7)
    ranking = rank_all(model, asked.visible, asked.targets)
    np.testing.assert_array_equal(found.ranks, ranking.ranks)
    for place in range(len(asked)):
        own = model(np.array([place]))[0]
        left = sorted(set(range(N_ITEMS)) - set(asked.visible[place]), key=lambda i: (-own[i], i))
        assert list(found.lists[place]) == left[:10]


def test_a_short_catalogue_leaves_the_rest_of_a_list_empty() -> None:
    seen = Sequences.from_lists([[0, 1], [3]], n_items=4)
    found = best_of_each(np.arange(8, dtype=np.float32).reshape(2, 4), seen, 5)
    assert found.tolist() == [[3, 2, -1, -1, -1], [2, 1, 0, -1, -1]]


@pytest.mark.parametrize("n", [5, 10])
def test_reranking_permutes_the_candidates_and_nothing_else(n: int) -> None:
    """The published rerank cannot change HR at the number of its candidates."""
    asked, first, second = queries(), scorer(1), scorer(2)
    plain = answer(first, asked)
    found = answer(reranked(first, second, asked, n), asked)
    np.testing.assert_array_equal(plain.ranks <= n, found.ranks <= n)
    np.testing.assert_array_equal(plain.ranks[plain.ranks > n], found.ranks[plain.ranks > n])
    for place in range(len(asked)):
        assert set(plain.lists[place][:n]) == set(found.lists[place][:n])
        order = second(np.array([place]))[0][found.lists[place][:n]]
        assert (np.diff(order) <= 0).all()


def test_every_row_builds_on_and_answers_to_rows_that_are_there() -> None:
    for row in ROWS.values():
        assert {*row.against, *([row.base] if row.base else [])} <= set(ROWS)
        assert row.name not in row.against
        for name in row.evidence:
            known = name.removeprefix(SHUFFLED)
            assert known.startswith(PERSONA) or known in EVIDENCE
        assert "," not in row.name  # or --rows could not name it
    assert [r.name for r in chosen_rows(())] == list(ROWS)


def test_a_row_comes_with_what_it_builds_on() -> None:
    assert [r.name for r in chosen_rows(["everything reranked 10"])] == [
        SASREC, "everything", "everything reranked 10",
    ]  # fmt: skip


def test_an_unknown_row_names_the_nearest() -> None:
    with pytest.raises(ChangeSomethingError, match="no row 'everythin'; did you mean everything"):
        chosen_rows(["everythin"])


def test_choice_by_validation_leaves_controls_and_reranked_rows_out() -> None:
    validation = dict.fromkeys(ROWS, 0.1)
    validation |= {
        "sasrec+linear": 0.2, "everything": 0.3, "everything with shuffled facts": 0.9,
        "everything reranked 10": 0.9, "everything learned rerank": 0.9,
        "everything+persona": 0.25, "token random": 0.9, "everything+shuffled persona": 0.9,
        "kg+text x random": 0.9, "everything from shuffled texts": 0.9,
        "everything from texts": 0.9,
        "everything from texts learned rerank": 0.9,
    }  # fmt: skip
    validation["everything by length"] = 1.0  # flattered by validation, and left out
    found = choose(list(ROWS.values()), validation)
    assert vars(found) == {
        "plain": "sasrec+linear", "facts": "everything", "without": "everything",
        "persona": "everything+persona",
    }  # fmt: skip


def test_figures_in_words() -> None:
    assert [figure(v) for v in (0.0613, 1.0, -0.00123, -0.00001)] == [
        ".0613", "1.0000", "−.0012", ".0000",
    ]  # fmt: skip
    assert signed(0.5) == "+.5000"
    assert interval({"mean": 0.01, "low": -0.02, "high": 0.04}) == "+.0100 [−.0200, +.0400]"


def test_claims_are_corrected_apart_from_controls() -> None:
    pairs = [
        ("everything", "everything with shuffled facts"), ("facts", "shuffled facts"),
        ("sasrec+shuffled facts", "sasrec"), ("linear", "item-knn"), ("token constant", "sasrec"),
    ]  # fmt: skip
    found = corrected(np.array([0.02, 0.01, 0.01, 0.02, 0.2]), pairs)
    np.testing.assert_allclose(found, [0.02, 0.02, 0.03, 0.04, 0.2])
