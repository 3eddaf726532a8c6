"""EASE: a closed-form linear item–item model, and personas by the factors of its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field
from sklearn.utils.extmath import randomized_svd

from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import DensePersonas, Encoder, Matrix, TrainingData, incidence
from personarec.personas.item_regression import item_regression, refuse_too_many


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
        refuse_too_many(n, self.max_items, "ease", "use svd")
        full = item_regression((matrix.T @ matrix).toarray(), self.regularisation, "ease")
        size = min(self.dim, n - 1)
        u, s, vt = randomized_svd(full, size, n_iter=4, random_state=self.seed)
        root = np.sqrt(s)
        rule = DensePersonas.fitted(vt.T * root, data.sequences, u * root)
        return EasePersonas(rule.items, rule.center, rule.inputs, full=full)
