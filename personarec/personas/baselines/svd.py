"""PureSVD: personas as the truncated SVD of who touched what, new sessions folded in."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import DensePersonas, Encoder, TrainingData


class SvdEncoder(Encoder):
    """X ≈ U Σ Vᵀ; a session x has the persona x V and the score x V Vᵀ.

    That is PureSVD (Cremonesi, Koren, Turrin, RecSys 2010).
    Scaled, it is the SVD of D_u^-½ X D_i^-½, persona x D_i^-½ V and score x D_i^-½ V Vᵀ D_i^½: the
    ideal low-pass filter of GF-CF (Shen et al., CIKM 2021). The persona is a mean over the visible
    items, not their sum, which orders items alike.
    """

    name: ClassVar[str] = "svd"
    scaled: bool = True
    """Whether users and items are scaled by the roots of their degrees."""

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        matrix = data.matrix()
        size = min(self.dim, min(matrix.shape) - 1)
        if size < 1 or not matrix.nnz:
            raise ChangeSomethingError(f"svd: {matrix.shape} users and items are too few")
        degree = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
        if self.scaled:
            rows = np.repeat(
                1 / np.sqrt(np.maximum(np.diff(matrix.indptr), 1)), np.diff(matrix.indptr)
            )
            matrix.data = (rows / np.sqrt(degree[matrix.indices])).astype(np.float32)
        solver = TruncatedSVD(size, n_iter=7, random_state=self.seed)
        solver.fit(sparse.csr_matrix(matrix))
        vectors = solver.components_.T
        if not self.scaled:
            return DensePersonas.fitted(vectors, data.sequences)
        root = np.sqrt(degree)[:, None]
        return DensePersonas.fitted(vectors * root, data.sequences, vectors / root)
