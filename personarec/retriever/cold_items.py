"""Items nobody has touched yet: scored as the items that are most alike by their facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

NEIGHBOURS = 10
"""Items that a cold one is scored like."""


@dataclass(frozen=True)
class ColdItems:
    """A cold item's score is the mean of its neighbours' scores, weighted by likeness.

    No part learned from interactions knows a cold item, and most take that for a poor one. Its
    neighbours are warm, so a mean of theirs says what a session thinks of its kind.

    Attributes:
        items: int64, shape (n_cold,), ascending; cold items without a warm neighbour are left out.
        likeness: float32 csr, shape (n_cold, n_items), rows of sum 1.
    """

    items: NDArray[np.int64]
    likeness: csr_array

    @classmethod
    def find(cls, facts: csr_array, counts: NDArray[np.int64]) -> ColdItems:
        """The items of count 0 and who they are like.

        Args:
            facts: shape (n_items, n_facts), rows of unit length or empty, see ``FactModel``.
            counts: int64, shape (n_items,), in the fit sequences.
        """
        warm = csr_array(facts.T)
        found: list[int] = []
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for item in np.flatnonzero(counts == 0):
            alike = np.asarray((facts[[item]] @ warm).toarray()).ravel()
            alike[counts == 0] = 0
            # Of equally alike items the smaller index, so that every run takes the same ones.
            best = np.argsort(-alike, kind="stable")[:NEIGHBOURS]
            best = best[alike[best] > 0]
            if len(best):
                rows += [len(found)] * len(best)
                columns += best.tolist()
                values += (alike[best] / alike[best].sum()).tolist()
                found.append(int(item))
        shape = (len(found), facts.shape[0])
        likeness = csr_array((np.array(values, np.float32), (rows, columns)), shape=shape)
        return cls(np.array(found, np.int64), likeness)

    def fill(self, scores: NDArray[np.float32]) -> None:
        """Set the cold items of scores, shape (b, n_items), in place."""
        if len(self.items):
            scores[:, self.items] = (self.likeness @ scores.T).T
