"""Personas as the mean of what items are: their facts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import DensePersonas, Encoder, Matrix, TrainingData
from personarec.personas.facts import FactModel


class MeanItemEncoder(Encoder):
    """Mean of the items' features, which are TF-IDF over facts, reduced by SVD.

    Nothing is learned from interactions: this is latent semantic analysis of facts (Deerwester et
    al., JASIS 1990).
    """

    name: ClassVar[str] = "mean-item"

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        facts = data.facts()
        if not facts.nnz:
            raise ChangeSomethingError("mean-item: no item has a fact; load facts, or use svd")
        items = reduced(FactModel.from_matrix(facts).items, self.dim, self.seed)
        return DensePersonas.fitted(items, data.sequences)


def reduced(matrix: sparse.csr_array, dim: int, seed: int) -> Matrix:
    """The matrix's rows in its ``dim`` strongest directions, float32, shape (rows, ≤ dim)."""
    size = min(dim, min(matrix.shape) - 1)
    if size < 1:
        raise ChangeSomethingError(f"features have shape {matrix.shape}: too few to reduce by SVD")
    reducer = TruncatedSVD(size, random_state=seed)
    return np.asarray(reducer.fit_transform(sparse.csr_matrix(matrix)), np.float32)
