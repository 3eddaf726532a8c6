"""What lists are like, apart from whether they hold the target: coverage, novelty, diversity."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class ListQuality:
    """Of all recommended lists together.

    Attributes:
        coverage: share of the catalogue that is in some list.
        novelty: mean self-information of the recommended items in bits, −log2 of an item's share
            of the training interactions (one interaction added to each).
        diversity: mean over the lists of the mean distance, 1 − cosine of the fact vectors, of two
            items of the list; of items and lists with facts only. NaN where no list has two.
        gini: inequality of how often items are recommended, 0: all alike, 1: one item only.
    """

    coverage: float
    novelty: float
    diversity: float
    gini: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def list_quality(
    lists: NDArray[np.int32], counts: NDArray[np.int64], facts: csr_array
) -> ListQuality:
    """Measure recommended lists.

    Args:
        lists: int32, shape (q, n), item indices; −1 where a list is shorter.
        counts: int64, shape (n_items,), training interactions of each item.
        facts: csr, shape (n_items, n_facts), rows of unit length or empty.
    """
    shown = lists[lists >= 0]
    exposure = np.bincount(shown, minlength=len(counts))
    share = (counts + 1) / (counts.sum() + len(counts))
    return ListQuality(
        float((exposure > 0).mean()),
        float(-np.log2(share[shown]).mean()) if len(shown) else float("nan"),
        _diversity(lists, facts),
        gini(exposure),
    )


def gini(values: NDArray[np.integer]) -> float:
    """Gini coefficient of how often items are recommended, over the whole catalogue."""
    total = float(values.sum())
    if not total:
        return 0.0
    ordered = np.sort(values).astype(np.float64)
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def _diversity(lists: NDArray[np.int32], facts: csr_array) -> float:
    described = np.diff(facts.indptr) > 0
    rows, columns = np.nonzero(lists >= 0)
    items = lists[rows, columns]
    rows, items = rows[described[items]], items[described[items]]
    held = csr_array(
        (np.ones(len(items), np.float32), (rows, items)), shape=(len(lists), facts.shape[0])
    )
    sums = csr_array(held @ facts)
    # |Σ v|² = Σ |v|² + 2 Σ cos over the pairs, and all v have length 1.
    squares = np.bincount(
        np.repeat(np.arange(len(lists)), np.diff(sums.indptr)),
        weights=np.square(sums.data.astype(np.float64)),
        minlength=len(lists),
    )
    sizes = np.bincount(rows, minlength=len(lists)).astype(np.float64)
    pairs = sizes * (sizes - 1)
    kept = pairs > 0
    if not kept.any():
        return float("nan")
    return float((1 - (squares[kept] - sizes[kept]) / pairs[kept]).mean())
