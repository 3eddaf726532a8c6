"""HDGI's sparse products and edge attention as DGL message passing over heterographs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import leaky_relu

from kg.errors import ChangeSomethingError
from personarec.personas.hdgi.backends import SLOPE, Attention, Product


class DglBackend:
    """Products by DGL; each matrix is a heterograph whose messages run from column to row.

    Raises ChangeSomethingError where DGL cannot be imported.
    """

    def __init__(self, device: str) -> None:
        os.environ.setdefault("DGLBACKEND", "pytorch")
        try:
            import dgl
        except Exception as error:  # DGL raises many kinds where its libraries do not fit torch
            raise ChangeSomethingError(
                f"DGL cannot be used here ({type(error).__name__}); pip install 'personarec[dgl]' "
                "on Python 3.11, or use backend=torch"
            ) from error
        self.dgl = dgl
        self.device = device

    def product(self, matrix: sparse.csr_array) -> Product:
        """See :class:`Backend`."""
        graph, weights = self._heterograph(matrix, "column", "row")

        def multiply(x: Tensor) -> Tensor:
            result: Tensor = self.dgl.ops.u_mul_e_sum(graph, x, weights)
            return result

        return multiply

    def attention(self, adjacency: sparse.csr_array) -> Attention:
        """See :class:`Backend`."""
        graph, _ = self._heterograph(adjacency, "node", "node")

        def attend(values: Tensor, left: Tensor, right: Tensor) -> Tensor:
            scores = self.dgl.ops.u_add_v(graph, right.unsqueeze(-1), left.unsqueeze(-1))
            alpha = self.dgl.ops.edge_softmax(graph, leaky_relu(scores, SLOPE))
            result: Tensor = self.dgl.ops.u_mul_e_sum(graph, values, alpha)
            return result

        return attend

    def _heterograph(
        self, matrix: sparse.csr_array, source: str, target: str
    ) -> tuple[Any, Tensor]:
        """The graph, and the weight of each edge as float32, shape (edges, 1)."""
        coo = matrix.tocoo()
        ends = (
            torch.from_numpy(coo.col.astype(np.int64)),
            torch.from_numpy(coo.row.astype(np.int64)),
        )
        counts = {source: matrix.shape[1], target: matrix.shape[0]}
        graph = self.dgl.heterograph({(source, "joins", target): ends}, num_nodes_dict=counts)
        weights = torch.from_numpy(coo.data.astype(np.float32)).unsqueeze(-1)
        return graph.to(self.device), weights.to(self.device)
