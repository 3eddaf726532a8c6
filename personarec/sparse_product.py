"""A fixed sparse matrix times dense ones, in torch, with the gradient by its transpose.

On the CPU a product is a weighted sum of rows (``embedding_bag``): the same numbers as those of
torch's CSR product but for rounding, in less time. For a gradient torch would transpose the matrix
anew each time; here it is done once, where one is asked for.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from personarec.csr_tensor import csr_tensor


class SparseProduct:
    """x, float32 (columns, width) → M x, float32 (rows, width); differentiable in x."""

    def __init__(self, matrix: sparse.csr_array, device: str = "cpu") -> None:
        """``matrix``: any numbers; float32 is what is multiplied by."""
        self._matrix, self._device = matrix, device
        self.rows = _Rows(sparse.csr_array(matrix), device)

    @cached_property
    def columns(self) -> _Rows:
        """The rows of the transpose."""
        return _Rows(sparse.csr_array(self._matrix.T), self._device)

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = _Multiply.apply(x, self)
        return result


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, product: SparseProduct) -> Tensor:
        ctx.product = product
        return product.rows.times(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.product.columns.times(gradients[0]), None


class _Rows:
    """A CSR matrix on a device."""

    def __init__(self, matrix: sparse.csr_array, device: str) -> None:
        self.starts = torch.from_numpy(matrix.indptr.astype(np.int64)).to(device)
        self.columns = torch.from_numpy(matrix.indices.astype(np.int64)).to(device)
        self.weights = torch.from_numpy(matrix.data.astype(np.float32)).to(device)
        self.matrix: Tensor | None = None
        if self.weights.device.type != "cpu":
            self.matrix = csr_tensor(self.starts, self.columns, self.weights, matrix.shape)

    def times(self, x: Tensor) -> Tensor:
        if self.matrix is not None:
            return self.matrix @ x.contiguous()
        return functional.embedding_bag(
            self.columns,
            x.contiguous(),
            self.starts,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )
