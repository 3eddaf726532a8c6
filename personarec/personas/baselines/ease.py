"""EASE: a closed-form linear item–item model, and personas by the factors of its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import linalg
from sklearn.utils.extmath import randomized_svd

from kg.errors import ChangeSomethingError
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import DensePersonas, Encoder, Matrix, TrainingData, incidence


@dataclass(frozen=True, kw_only=True)
class EasePersonas(DensePersonas):
    """Personas by the factors of B, and B itself.

    Attributes:
        full: B, float32, shape (n_items, n_items), diagonal 0.
    """

    full: Matrix

    def full_score(self, sessions: Sequences) -> Matrix:
        """x B, which no persona of few dimensions can hold: float32, shape (b, n_items)."""
        return np.asarray(incidence(sessions) @ self.full, np.float32)


class EaseEncoder(Encoder):
    """B = I − P diag(P)⁻¹ with P = (XᵀX + λI)⁻¹ (Steck, WWW 2019, eq. 8), B ≈ U S Vᵀ.

    Persona x U S^½, score x U S Vᵀ: as much of x B as ``dim`` dimensions hold.
    """

    name: ClassVar[str] = "ease"
    regularisation: float = Field(default=100.0, gt=0)
    """λ."""
    max_items: int = Field(default=20_000, ge=2)
    """Beyond it the fit is refused: it takes about 12 bytes a pair of items, and cubic time."""

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        matrix, n = data.matrix(), data.sequences.n_items
        if n > self.max_items:
            raise ChangeSomethingError(
                f"ease: {n} items would take about {12 * n * n / 2**30:.0f} GiB; at most "
                f"{self.max_items} are allowed (max_items); use svd"
            )
        gram = (matrix.T @ matrix).toarray()
        gram[np.diag_indices(n)] += self.regularisation
        # In place from here on: each copy is n² numbers. LAPACK reads columns, and the transpose of
        # a symmetric matrix is the matrix itself, laid out that way.
        factor, failed = linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1)
        inverse, failed_too = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
        if failed or failed_too:
            raise ChangeSomethingError(
                f"ease: XᵀX + {self.regularisation:g} I has no inverse; raise regularisation"
            )
        lower = np.tril(inverse, -1)
        diagonal = inverse.diagonal().copy()
        full = lower + lower.T
        full /= -diagonal
        size = min(self.dim, n - 1)
        u, s, vt = randomized_svd(full, size, n_iter=4, random_state=self.seed)
        root = np.sqrt(s)
        rule = DensePersonas.fitted(vt.T * root, data.sequences, u * root)
        return EasePersonas(rule.items, rule.center, rule.inputs, full=full)
