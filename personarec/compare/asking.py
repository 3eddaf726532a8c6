"""Test queries answered: the rank of each target, and the list that stood above the fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import Scorer, target_ranks
from personarec.retriever.best import best_of_each

if TYPE_CHECKING:
    from personarec.evaluation.protocols import Queries
    from personarec.rerank.candidates import Candidates
    from personarec.rerank.model import Reranker

SHOWN = 10
"""Items of a list that are kept."""
Places = NDArray[np.int64]
Asked = tuple[NDArray[np.float64], NDArray[np.int32]]
"""Ranks and lists of some queries."""


@dataclass(frozen=True)
class Answers:
    """What a model said to the test queries.

    Attributes:
        ranks: float64, shape (q,), of the targets.
        lists: int32, shape (q, 10), the best unseen items, best first; −1 where there are no more.
    """

    ranks: NDArray[np.float64]
    lists: NDArray[np.int32]


def answer(scorer: Scorer, queries: Queries, block: int = 512) -> Answers:
    """Rank and list, a block of queries at a time.

    Args:
        scorer: scores of queries by their place.
        queries: what is asked.
        block: queries at a time; changes nothing but memory.
    """

    def ask(places: Places) -> Asked:
        seen = queries.visible.take(places)
        scores = scorer(places)
        lists = best_of_each(scores, seen, SHOWN)
        return target_ranks(scores, queries.targets[places], seen), lists

    return _by_block(ask, len(queries), block)


def answer_reordered(
    gathered: Callable[[Places], Candidates],
    model: Reranker,
    queries: Queries,
    block: int = 512,
) -> Answers:
    """The same of candidates that a trained reranker puts in order; other items stay behind them.

    Args:
        gathered: candidates of queries by their place, at least as many as are kept.
        model: trained.
        queries: what is asked.
        block: queries at a time; changes nothing but memory.
    """

    def ask(places: Places) -> Asked:
        found = gathered(places)
        scores = model.score(found)
        return found.reordered(scores), found.best(scores, SHOWN)

    return _by_block(ask, len(queries), block)


def _by_block(ask: Callable[[Places], Asked], count: int, block: int) -> Answers:
    ranks, lists = np.empty(count), np.empty((count, SHOWN), np.int32)
    for start in range(0, count, block):
        places = np.arange(start, min(start + block, count))
        ranks[places], lists[places] = ask(places)
    return Answers(ranks, lists)


def reranked(first: Scorer, second: Scorer, queries: Queries, n: int) -> Scorer:
    """The first n of one model in the order of another; the rest stays behind, as it was.

    Args:
        first: the retriever, which chooses the candidates.
        second: the reranker, which orders them.
        queries: whose visible items are no candidates.
        n: candidates.
    """

    def score(places: Places) -> NDArray[np.float32]:
        retrieved, order = first(places), second(places)
        candidates = best_of_each(retrieved, queries.visible.take(places), n)
        retrieved -= retrieved.max(axis=1, keepdims=True) + 1  # below every candidate
        for row, items in enumerate(candidates):
            chosen = items[items >= 0]
            retrieved[row, chosen] = order[row, chosen] - order[row, chosen].min(initial=np.inf)
        return retrieved

    return score
