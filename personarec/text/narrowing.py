"""Vectors made narrower: by principal components, or the first dimensions of a Matryoshka model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from personarec.text.embedders import unit_rows

Matrix = NDArray[np.float32]
How = Literal["pca", "first"]


@dataclass(frozen=True)
class Narrowing:
    """x → (x − mean) D, with rows of unit length.

    Attributes:
        mean: float32, shape (width,).
        directions: D, float32, shape (width, size).
    """

    mean: Matrix
    directions: Matrix

    @classmethod
    def fitted(cls, vectors: Matrix, dim: int, how: How) -> Narrowing:
        """For vectors like these; ``dim`` or fewer dimensions, as many as there are.

        ``pca``: the strongest directions around the mean. ``first``: the first dimensions, which is
        right for models trained so that these alone do (Kusupati et al., NeurIPS 2022).
        """
        width = vectors.shape[1]
        if how == "first":
            return cls(
                np.zeros(width, np.float32), np.eye(width, min(dim, width), dtype=np.float32)
            )
        said = vectors[vectors.any(axis=1)]
        if not len(said):
            raise ChangeSomethingError("no text says anything; load titles or facts")
        mean = said.mean(axis=0, dtype=np.float64)
        values, directions = np.linalg.eigh(
            np.cov((said - mean).T, bias=True).reshape(width, width)
        )
        rank = int((values > 1e-9 * values[-1]).sum())
        size = min(dim, max(rank, 2), width)
        strongest = directions[:, ::-1][:, :size]
        # A direction's sign is arbitrary: its largest part is made positive.
        signs = np.sign(strongest[np.abs(strongest).argmax(axis=0), np.arange(size)])
        return cls(mean.astype(np.float32), (strongest * signs).astype(np.float32))

    def __call__(self, vectors: Matrix) -> Matrix:
        """float32, shape (n, size); rows of zeros stay."""
        said = vectors.any(axis=1, keepdims=True)
        return unit_rows(np.where(said, (vectors - self.mean) @ self.directions, 0))
