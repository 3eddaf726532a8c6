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
    """The entries of a square matrix by row, and the order that sorts them by column."""

    def __init__(self, adjacency: sparse.csr_array, device: str) -> None:
        coo = adjacency.tocoo()
        by_column = np.lexsort((coo.row, coo.col))
        starts = np.searchsorted(coo.col[by_column], np.arange(adjacency.shape[1] + 1))

        def on_device(array: Any) -> Tensor:
            return torch.from_numpy(np.asarray(array, np.int64)).to(device)

        self.size = torch.Size(adjacency.shape)
        self.rows, self.columns = on_device(coo.row), on_device(coo.col)
        self.row_starts, self.column_starts = on_device(adjacency.indptr), on_device(starts)
        self.by_column, self.rows_by_column = on_device(by_column), on_device(coo.row[by_column])

    def of_rows(self, x: Tensor) -> Tensor:
        """Each entry's x of its row: shape (n,) → (entries,)."""
        return x.index_select(0, self.rows)

    def of_columns(self, x: Tensor) -> Tensor:
        """Each entry's x of its column: shape (n,) → (entries,)."""
        return x.index_select(0, self.columns)

    def matrix(self, weights: Tensor) -> Tensor:
        """Square CSR tensor with a weight at each entry."""
        return _csr(self.row_starts, self.columns, weights, self.size)

    def transposed(self, weights: Tensor) -> Tensor:
        """The transpose of :meth:`matrix`."""
        ordered = weights.index_select(0, self.by_column)
        return _csr(self.column_starts, self.rows_by_column, ordered, self.size)

    def per_row(self, weights: Tensor, reduce: str) -> Tensor:
        """``sum`` or ``max`` of the entries' weights, by row: shape (n,)."""
        return torch.segment_reduce(weights, reduce, offsets=self.row_starts, unsafe=True)

    def per_column(self, weights: Tensor) -> Tensor:
        """Sum of the entries' weights, by column: shape (n,)."""
        ordered = weights.index_select(0, self.by_column)
        return torch.segment_reduce(ordered, "sum", offsets=self.column_starts, unsafe=True)


class _EdgeAttention(torch.autograd.Function):
    """One head. α_uv = softmax_v(e_uv), e = LeakyReLU(z), z_uv = l_u + r_v; out_u = Σ_v α_uv h_v.

    With g the gradient of out: ∂e_uv = α_uv (g_u·h_v − g_u·out_u).
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, left: Tensor, right: Tensor, edges: _Edges) -> Tensor:
        scores = edges.of_rows(left).add_(edges.of_columns(right))
        positive = scores > 0
        scores = leaky_relu(scores, SLOPE)
        scores -= edges.of_rows(edges.per_row(scores, "max"))
        alpha = scores.exp_()
        alpha /= edges.of_rows(edges.per_row(alpha, "sum"))
        result = edges.matrix(alpha) @ values
        ctx.edges = edges
        ctx.save_for_backward(values, alpha, positive, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        edges: _Edges = ctx.edges
        values, alpha, positive, result = ctx.saved_tensors
        g = gradients[0].contiguous()
        # g_u·h_v at the entries alone; what stands at them before counts nothing (beta 0).
        per_edge = torch.sparse.sampled_addmm(edges.matrix(alpha), g, values.T, beta=0.0).values()
        per_edge = per_edge - edges.of_rows((g * result).sum(1))
        per_edge *= alpha
        per_edge *= torch.where(positive, 1.0, SLOPE)
        return (
            edges.transposed(alpha) @ g,
            edges.per_row(per_edge, "sum"),
            edges.per_column(per_edge),
            None,
        )


def _csr(starts: Tensor, columns: Tensor, weights: Tensor, size: torch.Size) -> Tensor:
    return torch.sparse_csr_tensor(starts, columns, weights, size=size, check_invariants=False)
