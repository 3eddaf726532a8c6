"""HDGI's sparse products and edge attention in torch sparse, on the CPU or on CUDA.

The gradients are written out: torch would transpose a sparse matrix at every step, and would keep
several values per edge and head where one is enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import leaky_relu

from personarec.csr_tensor import csr_tensor
from personarec.personas.hdgi.backends import SLOPE, Attention, Product
from personarec.sparse_product import SparseProduct


class TorchBackend:
    """Sparse products by torch, and edge attention with CSR tensors."""

    def __init__(self, device: str) -> None:
        self.device = device

    def product(self, matrix: sparse.csr_array) -> Product:
        """See :class:`Backend`."""
        return SparseProduct(matrix, self.device)

    def attention(self, adjacency: sparse.csr_array) -> Attention:
        """See :class:`Backend`."""
        edges = _Edges(adjacency, self.device)

        def attend(values: Tensor, left: Tensor, right: Tensor) -> Tensor:
            heads = [
                _EdgeAttention.apply(values[:, k].contiguous(), left[:, k], right[:, k], edges)
                for k in range(values.shape[1])
            ]
            return torch.stack(heads, dim=1)

        return attend


class _Edges:
    """The entries of a square matrix by row, and the order that sorts them by column.

    Numbered in scipy's type, int32 for all but enormous matrices: gathers take half the time of
    int64's, and torch makes no copy of them for each product.
    """

    def __init__(self, adjacency: sparse.csr_array, device: str) -> None:
        starts, columns = adjacency.indptr, adjacency.indices
        n = adjacency.shape[0]
        rows = np.repeat(np.arange(n, dtype=columns.dtype), np.diff(starts))
        by_column = np.argsort(columns, kind="stable").astype(columns.dtype)
        column_starts = np.searchsorted(columns[by_column], np.arange(n + 1)).astype(starts.dtype)

        def on_device(array: Any) -> Tensor:
            return torch.from_numpy(array).to(device)

        self.n = n
        self.rows, self.columns = on_device(rows), on_device(columns)
        self.row_starts, self.column_starts = on_device(starts), on_device(column_starts)
        self.by_column, self.rows_by_column = on_device(by_column), on_device(rows[by_column])
        self.targets = self.columns.long()  # of a scatter, which takes no other type

    def of_rows(self, x: Tensor) -> Tensor:
        """Each entry's x of its row: shape (n,) → (entries,)."""
        return x.index_select(0, self.rows)

    def of_columns(self, x: Tensor) -> Tensor:
        """Each entry's x of its column: shape (n,) → (entries,)."""
        return x.index_select(0, self.columns)

    def matrix(self, weights: Tensor) -> Tensor:
        """Square CSR tensor with a weight at each entry."""
        return self._csr(self.row_starts, self.columns, weights)

    def transposed(self, weights: Tensor) -> Tensor:
        """The transpose of :meth:`matrix`."""
        ordered = weights.index_select(0, self.by_column)
        return self._csr(self.column_starts, self.rows_by_column, ordered)

    def per_row(self, weights: Tensor, reduce: str) -> Tensor:
        """``sum`` or ``max`` of the entries' weights, by row: shape (n,)."""
        return torch.segment_reduce(weights, reduce, offsets=self.row_starts, unsafe=True)

    def per_column(self, weights: Tensor) -> Tensor:
        """Sum of the entries' weights, by column: shape (n,)."""
        return weights.new_zeros(self.n).scatter_add_(0, self.targets, weights)

    def _csr(self, starts: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
        return csr_tensor(starts, columns, weights, (self.n, self.n))


class _EdgeAttention(torch.autograd.Function):
    """One head. α_uv = w_uv / Σ_v w_uv, w = exp(e − max_v e), e = LeakyReLU(z), z_uv = l_u + r_v;
    out_u = Σ_v α_uv h_v.

    With g the gradient of out: ∂e_uv = α_uv (g_u·h_v − g_u·out_u). What is divided by a row's sum
    is divided by node, not by edge: a column of ones beside h gives the sums.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, left: Tensor, right: Tensor, edges: _Edges) -> Tensor:
        scores = edges.of_columns(right)
        highest = leaky_relu(left + edges.per_row(scores, "max"), SLOPE)  # e rises with r
        scores += edges.of_rows(left)
        positive = scores > 0
        weights = leaky_relu(scores, SLOPE).sub_(edges.of_rows(highest)).exp_()
        beside = torch.cat((values, torch.ones_like(values[:, :1])), 1)
        summed = edges.matrix(weights) @ beside
        total = summed[:, -1:]
        result = summed[:, :-1] / total
        ctx.edges = edges
        ctx.save_for_backward(beside, weights, positive, total, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        edges: _Edges = ctx.edges
        beside, weights, positive, total, result = ctx.saved_tensors
        g = gradients[0] / total
        g_beside = torch.cat((g, -(g * result).sum(1, keepdim=True)), 1)
        # The product at the entries alone; what stands at them before counts nothing (beta 0).
        at_entries = torch.sparse.sampled_addmm(
            edges.matrix(weights), g_beside, beside.T, beta=0.0
        ).values()
        per_edge = at_entries * weights
        per_edge = torch.where(positive, per_edge, per_edge * SLOPE)
        return (
            edges.transposed(weights) @ g,
            edges.per_row(per_edge, "sum"),
            edges.per_column(per_edge),
            None,
        )
