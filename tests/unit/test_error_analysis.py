"""Kinds of misses, planted one by one; and the slices of queries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from personarec.evaluation.error_analysis import KINDS, ItemKnowledge, misses
from personarec.evaluation.protocols import Queries
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.slices import ranges, slicings

N = 30
SERIES = csr_array((np.ones(2), ([1, 2], [2, 1])), shape=(N, N))


def known(**changes: object) -> ItemKnowledge:
    score = np.full(N, np.nan)
    score[3], score[5] = 0.5, 0.95
    linked = np.zeros(N, bool)
    linked[[3, 5]] = True
    plain = {
        "counts": np.array([0] + [5] * 9 + [400] * 10 + [5] * 10),
        "series": SERIES,
        "titles": np.array([-1, -1, 7, 8, 7, *range(9, 9 + N - 5)]),
        "linked": linked,
        "link_score": score,
    }
    return ItemKnowledge(**{**plain, **changes})  # type: ignore[arg-type]


def one(rank: float, target: int, items: list[int], **changes: object) -> dict[str, float]:
    lists = np.full((1, 10), -1, np.int32)
    lists[0, : len(items)] = items
    return misses(np.array([rank]), np.array([target], np.int32), lists, known(**changes))


@pytest.mark.parametrize(
    ("rank", "target", "items", "kinds"),
    [
        (1.0, 1, [1, 2], set()),
        (10.0, 0, [10, 11, 12, 13, 14], set()),
        (11.0, 5, [20], {"demoted"}),
        (101.0, 5, [20], {"not in candidates"}),
        (100.0, 5, [20], {"demoted"}),
        (500.0, 0, [20], {"not in candidates", "never trained on", "no link"}),
        (50.0, 3, [20], {"demoted", "weak link"}),
        (50.0, 1, [20, 2], {"demoted", "series neighbour", "no link"}),
        (50.0, 2, [4], {"demoted", "same title", "no link"}),
        (50.0, 5, [10, 11, 12, 13, 14], {"demoted", "popular items instead"}),
        (50.0, 5, [10, 11, 12, 13, 20], {"demoted"}),
    ],
)
def test_each_kind(rank: float, target: int, items: list[int], kinds: set[str]) -> None:
    found = one(rank, target, items)
    assert {k for k, share in found.items() if share} == kinds
    assert set(found) == set(KINDS)


def test_what_the_data_cannot_show_is_left_out() -> None:
    found = one(
        50.0, 5, [20],
        linked=None, link_score=np.full(N, np.nan), series=csr_array((N, N)),
        titles=np.arange(N),
    )  # fmt: skip
    assert set(found) == {
        "not in candidates", "demoted", "never trained on", "popular items instead",
    }  # fmt: skip


def test_ranges_by_hand() -> None:
    found = ranges("x", np.array([0, 1, 5, 6, 10, 50, 51]), (0, 5, 10, 20, 50))
    assert found.labels == ("0", "1–5", "6–10", "11–20", "21–50", ">50")
    assert list(found.part) == [0, 1, 1, 2, 2, 4, 5]


def test_every_query_is_in_one_part_of_each_slicing() -> None:
    visible = Sequences.from_lists([[1], [1, 2, 3], [4] * 60], n_items=N)
    queries = Queries(visible, np.array([0, 5, 9], np.int32), np.arange(3))
    found = slicings(queries, known().counts, np.arange(N), known().linked)
    assert [s.name for s in found][-1] == "target linked to DBpedia"
    for slicing in found:
        assert ((slicing.part >= 0) & (slicing.part < len(slicing.labels))).all()
    assert [found[1].labels[p] for p in found[1].part] == ["1", "3", ">50"]
    assert len(slicings(queries, known().counts, np.arange(N), None)) == 3
