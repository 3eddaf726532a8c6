"""The rule of the relational encoder: a sum over the visible items, newer ones weighing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import DensePersonas, Matrix, mean_persona


@dataclass(frozen=True, kw_only=True)
class RecentPersonas(DensePersonas):
    """p(s) = Σ a_i h_i / (Σ a_i)^½, a_i by how many items of the session came after item i.

    Attributes:
        weights: float32, shape (ages,), above 0: a by age, the newest item's first; what is older
            than all of them weighs nothing.
        offset: whether the last number of every persona is 1, and of an item's vector its offset:
            how likely it is, whoever asks.
    """

    weights: Matrix
    offset: bool = False

    @classmethod
    def of(
        cls, items: Matrix, inputs: Matrix | None, weights: Matrix, sequences: Sequences,
        *, offset: bool = False,
    ) -> RecentPersonas:  # fmt: skip
        """With the mean persona of the training users for sessions that show nothing."""
        zero = np.zeros(items.shape[1], np.float32)
        rule = cls(items, zero, inputs, weights=weights, offset=offset)
        return replace(rule, center=mean_persona(rule, sequences))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See :class:`DensePersonas`."""
        return {**super().arrays(), "weights": self.weights, "offset": np.array([self.offset])}

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], chosen: Mapping[str, Any] | None = None
    ) -> Self:
        """See :class:`DensePersonas`."""
        return cls(
            arrays["items"], arrays["center"], arrays.get("inputs"), chosen or {},
            weights=arrays["weights"], offset=bool(arrays["offset"][0]),
        )  # fmt: skip

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        source = self.items if self.inputs is None else self.inputs
        where, owner, age = shown(sessions, len(self.weights))
        given = self.weights[age]
        total = np.bincount(owner, weights=given, minlength=len(sessions))
        scale = np.sqrt(np.maximum(total, 1e-12))[owner]
        rows = sparse.csr_array(
            ((given / scale).astype(np.float32), (owner, sessions.items[where])),
            shape=(len(sessions), sessions.n_items),
        )
        own = rows @ source
        if self.offset:
            own[:, -1] = 1
        return np.where(sessions.lengths[:, None] > 0, own, self.center).astype(np.float32)

    def long_term(self, sessions: Sequences) -> Matrix:
        """See :class:`Personas`: the mean of all visible items, with 0 where the offset is 1."""
        found = super().personas(sessions)
        if self.offset:
            found[:, -1] = 0  # the same for everybody, it would make everybody alike
        return found


def shown(
    sessions: Sequences, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The newest places of each session, oldest first: where, whose, and how old.

    Returns:
        int64, shape (m,) each: places in ``sessions.items``, rows of ``sessions``, and ages, 0 for
        the newest item.
    """
    return newest_places(sessions.indptr[:-1], sessions.indptr[1:], most)


def newest_places(
    starts: NDArray[np.int64], ends: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """As :func:`shown`, of stretches from ``starts`` to before ``ends``."""
    starts = np.maximum(starts, ends - most)
    lengths = ends - starts
    owner = np.repeat(np.arange(len(ends)), lengths)
    offsets = np.cumsum(lengths) - lengths
    where = np.arange(len(owner)) - offsets[owner] + starts[owner]
    return where, owner, ends[owner] - 1 - where
