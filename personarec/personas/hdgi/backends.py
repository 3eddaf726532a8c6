"""What HDGI needs of a sparse back end, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from scipy import sparse
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""x, float32 (columns, width) → M x, float32 (rows, width); differentiable in x."""

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""values (n, heads, width), left (n, heads), right (n, heads) → (n, heads, width):
Σ_v softmax_v(LeakyReLU(left_u + right_v)) values_v over the neighbours v of u; differentiable."""

SLOPE = 0.2
"""Negative slope of the LeakyReLU inside the attention, eq. 3."""


class Backend(Protocol):
    """Sparse products and edge attention on one device."""

    def product(self, matrix: sparse.csr_array) -> Product:
        """Multiplication by a fixed matrix."""

    def attention(self, adjacency: sparse.csr_array) -> Attention:
        """Attention over the entries of a square matrix; each row needs at least one entry."""


def open_backend(name: str, device: str) -> Backend:
    """``torch`` or ``dgl``. Raises ChangeSomethingError where DGL cannot be imported."""
    if name == "dgl":
        from personarec.personas.hdgi.dgl_backend import DglBackend

        return DglBackend(device)
    from personarec.personas.hdgi.torch_backend import TorchBackend

    return TorchBackend(device)
