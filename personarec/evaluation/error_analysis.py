"""Why a target is not among the first ten: where it was lost, and what stood there instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

CANDIDATES = 100
SHOWN = 10
WEAK_LINK = 0.8
OVERRIDE = 10
"""An item this many times as popular as the target overrides it."""

KINDS = {
    "not in candidates": f"the target is not among the first {CANDIDATES}",
    "demoted": f"it is, but not among the first {SHOWN}",
    "never trained on": "nobody touched the target in training",
    "no link": "the target is linked to nothing in DBpedia",
    "weak link": f"the target's link has a score below {WEAK_LINK}",
    "series neighbour": f"another work of its series is among the first {SHOWN}",
    "same title": f"an item of the same title is among the first {SHOWN}",
    "popular items instead": f"at least half of the first {SHOWN} were touched {OVERRIDE} times as "
    "often in training",
}
"""Kind of miss → what it means. The first two part the misses; the others may overlap."""


@dataclass(frozen=True)
class ItemKnowledge:
    """What errors are explained by.

    Attributes:
        counts: int64, shape (n_items,), training interactions.
        series: csr, shape (n_items, n_items), not 0 where two items are of one series or follow
            each other.
        titles: int64, shape (n_items,), equal for equal titles; −1 for none.
        linked: bool, shape (n_items,); none: the data set has no links.
        link_score: float64, shape (n_items,), NaN where a link has none.
    """

    counts: NDArray[np.int64]
    series: csr_array
    titles: NDArray[np.int64]
    linked: NDArray[np.bool_] | None
    link_score: NDArray[np.float64]


def misses(
    ranks: NDArray[np.float64],
    targets: NDArray[np.int32],
    lists: NDArray[np.int32],
    known: ItemKnowledge,
) -> dict[str, float]:
    """Share of all queries that are missed, by kind.

    Args:
        ranks: float64, shape (q,), of the targets.
        targets: int32, shape (q,).
        lists: int32, shape (q, 10), what was recommended, −1 where a list is shorter.
        known: of the items.

    Returns:
        kind → share of the queries, for the kinds that these data can show.
    """
    missed = ranks > SHOWN
    found = {
        "not in candidates": ranks > CANDIDATES,
        "demoted": missed & (ranks <= CANDIDATES),
        "never trained on": missed & (known.counts[targets] == 0),
    }
    if known.linked is not None:
        found["no link"] = missed & ~known.linked[targets]
    if np.isfinite(known.link_score).any():
        found["weak link"] = missed & (known.link_score[targets] < WEAK_LINK)
    present = lists >= 0
    safe = np.where(present, lists, 0)
    if known.series.nnz:
        found["series neighbour"] = missed & _in_series(targets, safe, present, known.series)
    own = known.titles[targets]
    same = present & (known.titles[safe] == own[:, None]) & (own >= 0)[:, None]
    if len(np.unique(known.titles[known.titles >= 0])) < (known.titles >= 0).sum():
        found["same title"] = missed & same.any(axis=1)
    enough = OVERRIDE * np.maximum(known.counts[targets], 1)
    popular = (present & (known.counts[safe] >= enough[:, None])).sum(axis=1)
    found["popular items instead"] = missed & (2 * popular >= SHOWN)
    return {kind: float(of.mean()) for kind, of in found.items()}


def _in_series(
    targets: NDArray[np.int32],
    lists: NDArray[np.int32],
    present: NDArray[np.bool_],
    series: csr_array,
) -> NDArray[np.bool_]:
    rows = np.repeat(np.arange(len(targets)), lists.shape[1])
    neighbours = csr_array(series[targets])
    held = np.asarray(neighbours[rows, lists.ravel()]).ravel() != 0
    found: NDArray[np.bool_] = (held.reshape(lists.shape) & present).any(axis=1)
    return found
