"""Scores of many sessions at once, the best of them, and lists of unlike items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from web_small import ITEMS, small_rerank, small_retriever

from personarec.recommend.diversity import diverse, pool_size
from personarec.retriever import recommender
from personarec.retriever.best import best
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig

SESSIONS = [[0, 2], [], [5], [2, 2, 9, 1], [], [0, 1, 2, 3, 4, 5, 6]]


def with_token() -> Retriever:
    config = SasRecConfig(embedding_size=8, max_length=5, persona_size=2)
    return replace(
        small_retriever(),
        model=SasRec(len(ITEMS), config).eval(),
        personas={"small:u1": np.array([3.0, -2.0], np.float32)},
        default_persona=np.zeros(2, np.float32),
    )


@pytest.mark.parametrize(
    "retriever",
    [
        small_retriever(),
        small_retriever(weights={"transitions": 0.0, "facts": 1.0}),
        replace(small_retriever(), evidence={}, weights={}),
        with_token(),
        replace(small_retriever(), rerank=small_rerank(small_retriever())),
    ],
)
def test_many_at_once_are_scored_as_each_alone(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommender, "SESSIONS", 4)  # more than one block
    users = ["small:u1", None, "small:u1", None, "small:u1", "small:u2"]
    for session, user, scores in zip(
        SESSIONS, users, retriever.scores(SESSIONS, users), strict=True
    ):
        alone = retriever.recommend(session, len(ITEMS), user=user)
        places = best(scores.total, len(ITEMS), session)
        assert places.tolist() == [one.item for one in alone]
        for place, one in zip(places, alone, strict=True):
            assert scores.total[place] == pytest.approx(one.score, abs=1e-5)
            parts = {name: part[place] for name, part in scores.parts.items()}
            assert parts == pytest.approx(one.parts, abs=1e-5)
            # A part of weight 0 says nothing, and is left out.
            assert all(retriever.weights.get(name, 1) for name in parts)


def by_sorting(scores: NDArray[np.float32], n: int, seen: Any, allowed: Any) -> list[int]:
    items = [
        i for i in range(len(scores)) if i not in set(seen) and (allowed is None or allowed[i])
    ]
    return sorted(items, key=lambda i: (-scores[i], i))[:n]


def test_the_best_are_those_of_a_full_sort_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(1, 30))
        scores = rng.integers(0, 5, size).astype(np.float32)
        seen = rng.integers(0, size, rng.integers(0, 5)).tolist()
        allowed = None if rng.random() < 0.5 else rng.random(size) < 0.6
        n = int(rng.integers(1, size + 5))
        before = scores.copy()
        assert best(scores, n, seen, allowed).tolist() == by_sorting(scores, n, seen, allowed)
        assert np.array_equal(scores, before)
    assert best(np.ones(3, np.float32), 2, (), np.zeros(3, bool)).tolist() == []


# -- diversity -------------------------------------------------------------------------------------

# Items 0 and 1 have the same facts, 2 shares half of them, 3 none; of 4 nothing is known.
FACTS = csr_array(np.array([[1, 0, 0], [1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 0, 0]], np.float32))
EVERYTHING = np.arange(5)
SCORES = np.array([1.0, 0.9, 0.8, 0.7, 0.6], np.float32)


def test_no_diversity_keeps_the_order() -> None:
    assert diverse(EVERYTHING, SCORES, FACTS, 5, 0.0).tolist() == [0, 1, 2, 3, 4]
    assert diverse(EVERYTHING, SCORES, FACTS, 2, 0.0).tolist() == [0, 1]


def test_more_diversity_brings_what_is_unlike() -> None:
    assert diverse(EVERYTHING, SCORES, FACTS, 3, 0.5).tolist()[:2] == [0, 3]
    assert diverse(EVERYTHING, SCORES, FACTS, 5, 1.0).tolist()[-1] == 1


def test_the_next_is_of_maximal_marginal_relevance() -> None:
    """Against the definition, written out."""
    rng = np.random.default_rng(0)
    rows = rng.random((40, 6)) * (rng.random((40, 6)) < 0.5) + 0.01
    facts = csr_array((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    scores = -np.sort(-rng.random(30)).astype(np.float32)
    items = rng.permutation(40)[:30].astype(np.int64)
    dense = facts.toarray()[items]
    like, relevance = dense @ dense.T, (scores - scores.min()) / np.ptp(scores)
    for diversity in (0.2, 0.5, 0.9):
        chosen = [0]
        while len(chosen) < 12:
            rest = [p for p in range(30) if p not in chosen]
            chosen.append(
                max(
                    rest,
                    key=lambda p: (
                        (1 - diversity) * relevance[p] - diversity * max(like[p, c] for c in chosen)
                    ),
                )
            )
        assert diverse(items, scores, facts, 12, diversity).tolist() == items[chosen].tolist()


def test_an_item_without_facts_is_not_brought_forward_for_that() -> None:
    found = diverse(EVERYTHING, np.full(5, 1.0, np.float32), FACTS, 5, 0.5).tolist()
    assert found.index(3) < found.index(4)


def test_few_or_no_items() -> None:
    assert diverse(EVERYTHING[:0], SCORES[:0], FACTS, 3, 0.5).tolist() == []
    assert diverse(EVERYTHING[:1], SCORES[:1], FACTS, 3, 0.5).tolist() == [0]
    no_facts = csr_array((5, 0), dtype=np.float32)
    assert diverse(EVERYTHING, SCORES, no_facts, 5, 0.9).tolist() == [0, 1, 2, 3, 4]
    assert pool_size(1000) == 2000
