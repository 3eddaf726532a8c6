"""Sparse products: the numbers of scipy's product, gradients by the transpose, empty matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from personarec.sparse_product import SparseProduct

RNG = np.random.default_rng(5)


def some(rows: int, columns: int, density: float) -> sparse.csr_array:
    """Random numbers of both signs, with empty rows and columns where the density allows them."""
    dense = RNG.normal(size=(rows, columns)) * (RNG.random((rows, columns)) < density)
    return sparse.csr_array(dense)


@pytest.mark.parametrize(
    "matrix",
    [some(30, 20, 0.1), some(3, 50, 1.0), some(4, 3, 0.0), some(0, 5, 0.0), some(5, 0, 0.0)],
    ids=["some rows empty", "full", "no entries", "no rows", "no columns"],
)
def test_product_and_gradient_are_those_of_scipy(matrix: sparse.csr_array) -> None:
    x = torch.from_numpy(RNG.normal(size=(matrix.shape[1], 7)).astype(np.float32))
    x.requires_grad_()
    weight = RNG.normal(size=(matrix.shape[0], 7)).astype(np.float32)
    found = SparseProduct(matrix)(x)
    found.backward(torch.from_numpy(weight))
    assert x.grad is not None
    np.testing.assert_allclose(found.detach(), matrix @ x.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(x.grad, matrix.T @ weight, atol=1e-5)


def test_vectors_and_gradients_may_be_views() -> None:
    matrix = some(12, 9, 0.4)
    wide = torch.from_numpy(RNG.normal(size=(6, 9)).astype(np.float32)).requires_grad_()
    found = SparseProduct(matrix)(wide.T)
    found.sum().backward()  # its gradient is one number, expanded
    assert wide.grad is not None
    np.testing.assert_allclose(found.detach(), matrix @ wide.detach().numpy().T, atol=1e-5)
    np.testing.assert_allclose(wide.grad.T, matrix.T @ np.ones((12, 6)), atol=1e-5)
