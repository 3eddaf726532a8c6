"""Item sequences of all users in two arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kg.views.interactions import Interactions


@dataclass(frozen=True)
class Sequences:
    """Who touched what, oldest first, as one ragged array.

    Attributes:
        indptr: int64, shape (n_users + 1,): user u owns ``items[indptr[u]:indptr[u + 1]]``.
        items: int32, shape (nnz,), item indices.
        n_items: size of the catalogue; every index is below it.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    n_items: int

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together.

        Raises:
            ValueError: a broken ``indptr``, or an item outside the catalogue.
        """
        if (
            len(self.indptr) == 0
            or self.indptr[0] != 0
            or self.indptr[-1] != len(self.items)
            or bool((np.diff(self.indptr) < 0).any())
        ):
            raise ValueError("indptr must rise from 0 to the number of items")
        if len(self.items) and (self.items.min() < 0 or self.items.max() >= self.n_items):
            raise ValueError(f"item indices must lie in 0..{self.n_items - 1}")

    @classmethod
    def from_interactions(cls, interactions: Interactions) -> Sequences:
        """All interactions of all users, in the order they are sorted in."""
        return cls(interactions.indptr, interactions.item.astype(np.int32), len(interactions.items))

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[int]], n_items: int) -> Sequences:
        """One sequence per list, for example a handful of anonymous sessions."""
        rows = [np.asarray(row, dtype=np.int32) for row in lists]
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        items = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
        return cls(np.concatenate(([0], np.cumsum(lengths))), items, n_items)

    def __len__(self) -> int:
        """Number of users."""
        return len(self.indptr) - 1

    def __getitem__(self, user: int) -> NDArray[np.int32]:
        """Items of one user, oldest first."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64, shape (n_users,): items per user."""
        return np.diff(self.indptr)

    def last(self, user: int, n: int) -> NDArray[np.int32]:
        """The newest ``n`` items of one user, oldest of them first."""
        end = self.indptr[user + 1]
        return self.items[max(self.indptr[user], end - n) : end]

    def take(self, users: NDArray[np.int64]) -> Sequences:
        """The sequences of ``users``, int64 shape (m,), as m new rows."""
        lengths = self.lengths[users]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        where = np.repeat(self.indptr[users] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return Sequences(indptr, self.items[where], self.n_items)

    def append(self, items: NDArray[np.int32]) -> Sequences:
        """One more item at the end of each user's sequence.

        Args:
            items: int32, shape (n_users,); -1 adds nothing.

        Raises:
            ValueError: not exactly one entry per user.
        """
        if len(items) != len(self):
            raise ValueError(f"{len(items)} items for {len(self)} users")
        present = items >= 0
        indptr = self.indptr + np.concatenate(([0], np.cumsum(present)))
        merged = np.empty(indptr[-1], dtype=np.int32)
        where = np.repeat(indptr[:-1] - self.indptr[:-1], self.lengths) + np.arange(len(self.items))
        merged[where] = self.items
        merged[indptr[1:][present] - 1] = items[present]
        return Sequences(indptr, merged, self.n_items)

    def recency(self, decay: float) -> csr_array:
        """Each user's visible items weighted by how long ago they came.

        Returns:
            float32 csr, shape (n_users, n_items): Σ decay^age over the places an item stands at,
            age 0 for the newest.
        """
        age = np.repeat(self.indptr[1:], self.lengths) - 1 - np.arange(len(self.items))
        weights = np.power(np.float64(decay), age).astype(np.float32)
        shape = (len(self), self.n_items)
        # A copy: where an item stands twice, summing it up would rewrite our own arrays.
        matrix = csr_array((weights, self.items, self.indptr), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix
