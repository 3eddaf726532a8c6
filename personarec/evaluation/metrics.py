"""Exact ranks over the whole catalogue, and metrics of one held-out item per user.

A tied target stands in the middle of its ties: rank = 1 + #{better} + ½ #{equal}, over the items
the user has not seen. That is the mean rank over all ways to break the ties, so a model that
scores everything alike gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences

Scorer = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""User indices, shape (b,) → scores, shape (b, n_items), an array the caller may overwrite."""


@dataclass(frozen=True)
class Ranking:
    """Where each evaluated user's held-out item came.

    Attributes:
        users: int64, shape (n,), ascending.
        ranks: float64, shape (n,), 1 is best; halves come from ties.
    """

    users: NDArray[np.int64]
    ranks: NDArray[np.float64]

    def hit_rate(self, k: int) -> float:
        """Mean HR@k over the users."""
        return float(hit_rate(self.ranks, k).mean())

    def ndcg(self, k: int) -> float:
        """Mean NDCG@k over the users."""
        return float(ndcg(self.ranks, k).mean())

    def mrr(self, k: int | None = None) -> float:
        """Mean reciprocal rank, cut at k if given."""
        return float(mrr(self.ranks, k).mean())


def mask_seen(scores: NDArray[np.float32], seen: Sequences) -> None:
    """Set the items of each row's sequence to −inf, in place; scores has shape (b, n_items)."""
    scores[np.repeat(np.arange(len(seen)), seen.lengths), seen.items] = -np.inf


def target_ranks(
    scores: NDArray[np.float32], targets: NDArray[np.int32], seen: Sequences
) -> NDArray[np.float64]:
    """Rank of one item per row among the unseen items.

    A target that was seen before stays a candidate; the other seen items do not.

    Args:
        scores: shape (b, n_items), finite; seen items are overwritten with −inf.
        targets: int32, shape (b,), item indices.
        seen: b sequences.

    Returns:
        float64, shape (b,).

    Raises:
        ValueError: a score is not a number, or a target's is infinite.
    """
    rows = np.arange(len(scores))
    own = scores[rows, targets]
    # A comparison with NaN is false, which would flatter the target; the maximum shows any NaN.
    if not np.isfinite(own).all() or np.isnan(scores.max(initial=-np.inf)):
        raise ValueError("scores must be numbers, and those of held-out items finite")
    mask_seen(scores, seen)
    # The target itself is not one of its ties, seen or not.
    scores[rows, targets] = -np.inf
    # Row by row: counting one contiguous boolean row is many times faster than a 2-D reduction.
    better = np.fromiter((np.count_nonzero(s > t) for s, t in zip(scores, own, strict=True)), float)
    equal = np.fromiter((np.count_nonzero(s == t) for s, t in zip(scores, own, strict=True)), float)
    return 1.0 + better + 0.5 * equal


def rank_all(
    scorer: Scorer, seen: Sequences, targets: NDArray[np.int32], batch_size: int = 1024
) -> Ranking:
    """Rank every user's target against the full catalogue.

    Args:
        scorer: scores of a block of users.
        seen: what each user has seen, n_users sequences; masked.
        targets: int32, shape (n_users,); users with -1 are not evaluated.
        batch_size: users per block; the result does not depend on it.
    """
    users = np.flatnonzero(targets >= 0).astype(np.int64)
    ranks = np.empty(len(users))
    for start in range(0, len(users), batch_size):
        block = users[start : start + batch_size]
        ranks[start : start + batch_size] = target_ranks(
            scorer(block), targets[block], seen.take(block)
        )
    return Ranking(users, ranks)


def hit_rate(ranks: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """1 where the target is among the first k, shape as ``ranks``."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """1 / log2(1 + rank) within the first k, else 0; the ideal is 1 with a single target."""
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


def mrr(ranks: NDArray[np.float64], k: int | None = None) -> NDArray[np.float64]:
    """1 / rank, 0 beyond k if given."""
    reciprocal = 1.0 / ranks
    return reciprocal if k is None else np.where(ranks <= k, reciprocal, 0.0)


METRICS: dict[str, Callable[[NDArray[np.float64], int], NDArray[np.float64]]] = {
    "HR": hit_rate, "NDCG": ndcg, "MRR": mrr,
}  # fmt: skip
"""The metrics of every table, by name: (ranks, k) -> by user."""
