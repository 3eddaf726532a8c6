"""The best items of scores of the whole catalogue; of equal scores the smaller index first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences

Mask = NDArray[np.bool_]
"""Shape (n_items,): which items may come."""


def best(
    scores: NDArray[np.float32],
    n: int,
    seen: Sequence[int] | NDArray[np.int32] = (),
    allowed: Mask | None = None,
) -> NDArray[np.int64]:
    """Indices of the best items of one session, best first.

    Args:
        scores: shape (n_items,).
        n: how many at most; fewer where fewer are left.
        seen: items to leave out.
        allowed: items that may come; all where None.
    """
    left = scores.copy()
    left[np.asarray(seen, np.int64)] = -np.inf
    if allowed is not None:
        left[~allowed] = -np.inf
    if n < len(left):
        # The lowest score that can be among the best; all that reach it are then sorted exactly.
        bound = left[np.argpartition(left, len(left) - n)[len(left) - n]]
        places = np.flatnonzero(left >= bound)
    else:
        places = np.arange(len(left))
    places = places[np.isfinite(left[places])]
    return places[np.lexsort((places, -left[places]))][:n].astype(np.int64)


def best_of_each(scores: NDArray[np.float32], seen: Sequences, n: int) -> NDArray[np.int32]:
    """The n best unseen items of each session, best first.

    Args:
        scores: shape (b, n_items).
        seen: b sequences, left out.
        n: how many.

    Returns:
        int32, shape (b, n); −1 where there are no more.
    """
    found = np.full((len(scores), n), -1, np.int32)
    for row, own in enumerate(scores):
        items = best(own, n, seen[row])
        found[row, : len(items)] = items
    return found
