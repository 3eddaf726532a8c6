"""Slices of the test queries: by target, by what is shown, by what the graph knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from personarec.evaluation.protocols import Queries

POPULARITY = (0, 5, 10, 20, 50)
"""Upper ends of the ranges of training interactions; more is a range of its own."""
HISTORY = (1, 2, 3, 5, 10, 20, 50)
FACTS = (0, 2, 5, 10, 20)


@dataclass(frozen=True)
class Slicing:
    """One way to part the queries.

    Attributes:
        name: what they are parted by.
        labels: of the parts, in order.
        part: int64, shape (q,), index into ``labels``.
    """

    name: str
    labels: tuple[str, ...]
    part: NDArray[np.int64]


def ranges(
    name: str, values: NDArray[np.integer], ends: tuple[int, ...], least: int = 0
) -> Slicing:
    """Part by ranges with these upper ends; what is above the last is a range of its own."""
    starts = (least, *(end + 1 for end in ends))
    labels = [
        str(end) if start == end else f"{start}–{end}"
        for start, end in zip(starts[:-1], ends, strict=True)
    ]
    return Slicing(name, (*labels, f">{ends[-1]}"), np.searchsorted(ends, values, side="left"))


def slicings(
    queries: Queries,
    counts: NDArray[np.int64],
    facts: NDArray[np.int64],
    linked: NDArray[np.bool_] | None,
) -> list[Slicing]:
    """All ways in which the report parts the queries.

    Args:
        queries: the test queries.
        counts: int64, shape (n_items,), training interactions of each item.
        facts: int64, shape (n_items,), facts of each item.
        linked: bool, shape (n_items,), whether an item has a link to DBpedia; none: the data set
            has no links at all.
    """
    target = queries.targets
    found = [
        ranges("training interactions of the target", counts[target], POPULARITY),
        ranges("items shown", queries.visible.lengths, HISTORY, least=1),
        ranges("facts of the target", facts[target], FACTS),
    ]
    if linked is not None:
        part = linked[target].astype(np.int64)
        found.append(Slicing("target linked to DBpedia", ("no", "yes"), part))
    return found
