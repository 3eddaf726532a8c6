"""Links of items to resources, as arrays beside the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kg.store import GraphStore, statement
from kg.views.export import Catalogue


@dataclass(frozen=True)
class ItemLinks:
    """Which items are linked, and how surely.

    Attributes:
        linked: bool, shape (n_items,).
        score: float64, shape (n_items,), 0 to 1; NaN where there is no link, or no score.
    """

    linked: NDArray[np.bool_]
    score: NDArray[np.float64]


def read_links(store: GraphStore, dataset: str, catalogue: Catalogue) -> ItemLinks:
    """Links of a data set's items."""
    place = {key: position for position, key in enumerate(catalogue.ids)}
    linked = np.zeros(len(place), bool)
    score = np.full(len(place), np.nan)
    for key, _, found in store.read(
        statement("export_links", label=catalogue.label), dataset=dataset
    ):
        linked[place[key]] = True
        if found is not None:
            score[place[key]] = found
    return ItemLinks(linked, score)
