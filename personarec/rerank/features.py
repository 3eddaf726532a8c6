"""What a reranker knows of an item that needs no score: counts, facts, and what led to it lately.

Everything is computed from the visible items and the catalogue, so anonymous sessions have it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from personarec.evaluation.sequences import Sequences

NEWEST = 10
"""Visible items that are looked back at."""
COMMON = 0.05
"""A fact of a larger share of the items says nothing by being shared."""
_BASE = 1e-3
_MOST_SHARED = 99
"""Links counted between two items: with more, one age could be taken for the next younger."""


@dataclass(frozen=True)
class Links:
    """A relation from visible items to candidates, through facts or straight.

    Attributes:
        there: csr of 0 and 1, shape (n_items, n_facts), or (n_items, n_items) where straight.
        back: csr of 0 and 1, shape (n_facts, n_items); none: straight.
    """

    there: csr_array
    back: csr_array | None = None

    @classmethod
    def by_facts(cls, facts: csr_array) -> Links:
        """Between items that share a fact of at most ``COMMON`` of the items.

        Args:
            facts: shape (n_items, n_facts), above 0 where an item has a fact.
        """
        held = _ones(facts)
        count = np.bincount(held.indices, minlength=held.shape[1])
        held = csr_array(held[:, np.flatnonzero(count <= COMMON * held.shape[0])])
        # An item of very many facts keeps the rarest: see ``_MOST_SHARED``.
        for item in np.flatnonzero(np.diff(held.indptr) > _MOST_SHARED):
            own = slice(held.indptr[item], held.indptr[item + 1])
            common = np.argsort(count[held.indices[own]], kind="stable")[_MOST_SHARED:]
            held.data[own][common] = 0
        held.eliminate_zeros()
        return cls.through(held)

    @classmethod
    def through(cls, held: csr_array) -> Links:
        """Between items that share one of these, 1 where an item has it."""
        return cls(held, csr_array(held.T))

    @classmethod
    def straight(cls, matrix: csr_array) -> Links:
        """From the items of the rows to those of the columns, where the matrix is above 0."""
        return cls(_ones(matrix))

    def nearness(self, sessions: Sequences) -> NDArray[np.float32]:
        """1 / (1 + age) of the newest visible item that links to an item, 0 without one.

        Returns:
            float32, shape (b, n_items); age 0 is the newest visible item, the oldest looked at is
            ``NEWEST`` − 1.
        """
        # Powers so far apart that a sum of them shows its greatest, which is that of the newest.
        weighed = newest(sessions, NEWEST).recency(_BASE) @ self.there
        found = weighed if self.back is None else csr_array(weighed) @ self.back
        found = csr_array(found)
        age = np.ceil(np.log(found.data.astype(np.float64)) / np.log(_BASE) - 1e-3)
        found.data = (1 / (1 + np.maximum(age, 0))).astype(np.float32)
        return np.asarray(found.toarray())


@dataclass(frozen=True)
class ItemFeatures:
    """What is known of items beside their scores.

    Attributes:
        columns: float32 by name, shape (n_items,): the same for every session.
        links: by name.
    """

    columns: Mapping[str, NDArray[np.float32]]
    links: Mapping[str, Links]

    @classmethod
    def of(
        cls,
        counts: NDArray[np.int64],
        transitions: csr_array,
        facts: csr_array | None = None,
    ) -> ItemFeatures:
        """Of a catalogue.

        Args:
            counts: int64, shape (n_items,), of the fit sequences.
            transitions: shape (n_items, n_items), row the earlier item; of the fit sequences.
            facts: shape (n_items, n_facts); none: nothing is known by them.
        """
        columns = {"popularity": np.log1p(counts).astype(np.float32)}
        links = {"transition": Links.straight(transitions)}
        if facts is not None:
            columns["facts"] = np.log1p(np.diff(facts.indptr)).astype(np.float32)
            links["fact"] = Links.by_facts(facts)
        return cls(columns, links)


def newest(sessions: Sequences, n: int) -> Sequences:
    """The newest n items of each session."""
    lengths = np.minimum(sessions.lengths, n)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    where = np.repeat(sessions.indptr[1:] - indptr[1:], lengths) + np.arange(indptr[-1])
    return Sequences(indptr, sessions.items[where], sessions.n_items)


def _ones(matrix: csr_array) -> csr_array:
    ones = csr_array(matrix, dtype=np.float32, copy=True)
    ones.sum_duplicates()
    ones.eliminate_zeros()
    ones.data[:] = 1
    return ones
