"""Lists of unlike items: maximal marginal relevance over facts (Carbonell and Goldstein, 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

LEAST_POOL = 200
"""Best items that are chosen among, at least; otherwise twice as many as are asked for."""


def pool_size(n: int) -> int:
    """How many of the best items to choose n unlike ones among."""
    return max(LEAST_POOL, 2 * n)


def diverse(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    facts: csr_array,
    n: int,
    diversity: float,
) -> NDArray[np.int64]:
    """Some of the best items, each good and unlike those before it.

    The next is the one with the largest (1 − diversity) · relevance − diversity · likeness, where
    relevance is the score brought to 0…1 over ``items`` and likeness the largest cosine of facts
    with an item chosen already. An item without facts is as like to any other as two items with
    facts are on average: nothing is known of it, and that alone must not bring it forward.

    Args:
        items: item indices, best first.
        scores: float32, shape (len(items),), their scores.
        facts: csr, shape (n_items, n_facts), rows of unit length or empty, none negative.
        n: how many at most.
        diversity: 0 keeps the order; 1 looks at the score for the first item only.
    """
    chosen = _places(scores, _likeness(csr_array(facts[items])), n, diversity)
    return items[chosen]


def _likeness(rows: csr_array) -> NDArray[np.float32]:
    """Cosine between each two rows, shape (p, p)."""
    like: NDArray[np.float32] = np.asarray((rows @ rows.T).toarray(), np.float32)
    bare = np.diff(rows.indptr) == 0
    known = int((~bare).sum())
    pairs = known * (known - 1)
    # The rows are of length 1, so the diagonal of the known adds up to their number.
    usual = (float(like.sum()) - known) / pairs if pairs else 0.0
    like[bare, :] = like[:, bare] = usual
    return like


def _places(
    scores: NDArray[np.float32], like: NDArray[np.float32], n: int, diversity: float
) -> list[int]:
    if not len(scores):
        return []
    span = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)
    chosen = [int(np.argmax(relevance))]
    nearest = like[chosen[0]].copy()
    free = np.ones(len(scores), bool)
    free[chosen[0]] = False
    while len(chosen) < min(n, len(scores)):
        worth = np.where(free, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        chosen.append(int(np.argmax(worth)))
        free[chosen[-1]] = False
        np.maximum(nearest, like[chosen[-1]], out=nearest)
    return chosen
