"""Interactions as plain arrays: the neutral form between the graph and every model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interactions:
    """Who touched what, in order.

    Sorted by (user, timestamp, row), so a user's interactions are one contiguous run in the order
    they happened; ties of the timestamp fall back to the row number of the source file.

    Attributes:
        users: keys of the users; position = user index.
        items: keys of the items, all items of the data set; position = item index.
        user: int32, shape (n,), index into ``users``, ascending.
        item: int32, shape (n,), index into ``items``.
        timestamp: int64, shape (n,), seconds since 1970, or a bare order where there is no time.
        row: int64, shape (n,), row number in the source.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    @property
    def indptr(self) -> NDArray[np.int64]:
        """int64, shape (len(users) + 1,): user u owns rows indptr[u]:indptr[u + 1]."""
        return np.searchsorted(self.user, np.arange(len(self.users) + 1)).astype(np.int64)
