"""Node features for HDGI: normalised as published or otherwise, dense or sparse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from personarec.personas.hdgi.torch_backend import TorchBackend

Features: TypeAlias = "NDArray[np.float32] | sparse.csr_array"
"""float32, shape (n, width)."""

FeatureMap = Callable[[Tensor], Tensor]
"""W, float32 (width, out) → X W, float32 (n, out)."""


def normalise_features(features: Features, how: Literal["l1", "l2", "none"]) -> Features:
    """Divide each row of the features by its sum, or by its length; empty rows stay empty.

    Args:
        features: shape (n, width).
        how: ``l1`` as in the authors' code; ``l2`` for signed vectors, whose sums may be near 0.

    Raises:
        ValueError: ``l1`` for features with a negative number.
    """
    if how == "none":
        return features
    matrix = sparse.csr_array(features, dtype=np.float32)
    if how == "l1" and matrix.nnz and matrix.data.min() < 0:
        raise ValueError("features with negative numbers cannot be divided by their sum; use l2")
    if how == "l1":
        norms = np.asarray(matrix.sum(axis=1)).ravel()
    else:
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0)
    scaled = sparse.csr_array(sparse.diags_array(scale.astype(np.float32)) @ matrix)
    return scaled if sparse.issparse(features) else np.asarray(scaled.toarray(), np.float32)


def feature_map(features: Features, device: str) -> FeatureMap:
    """Multiplication of the features by a weight matrix, differentiable in the weights."""
    if sparse.issparse(features):
        return TorchBackend(device).product(sparse.csr_array(features, dtype=np.float32))
    dense = dense_features(features, device)
    return lambda weight: dense @ weight


def dense_features(features: NDArray[np.float32], device: str) -> Tensor:
    """The features as a tensor on the device, float32, shape (n, width)."""
    return torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(device)
