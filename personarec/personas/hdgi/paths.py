"""Meta-paths as chains of sparse matrices, kept factored or composed within an edge budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey

EDGE_BUDGET = 10_000_000
"""Most pairs a composed meta-path may join: some 1.5 GB a path in training with 8 heads."""


@dataclass(frozen=True)
class MetaPath:
    """Which nodes of one type a symmetric meta-path joins: A = factors[0] · factors[1] · …

    A composed path has one factor. A factored one counts path instances, also those from a node
    back to itself; the product is never made.

    Attributes:
        name: for messages.
        factors: CSR float32, entries ≥ 0; the first has as many rows as the last has columns.
    """

    name: str
    factors: tuple[sparse.csr_array, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.factors, self.factors[1:], strict=False):
            if before.shape[1] != after.shape[0]:
                raise ValueError(f"{self.name}: {before.shape} does not chain to {after.shape}")
        if self.factors[0].shape[0] != self.factors[-1].shape[1]:
            raise ValueError(f"{self.name} must come back to the node type it starts from")
        if any(f.nnz and f.data.min() < 0 for f in self.factors):
            raise ValueError(f"{self.name} has a negative weight")
        forward, backward = self.degrees(), self.degrees(transposed=True)
        if not np.allclose(forward, backward, rtol=1e-5):
            raise ValueError(f"{self.name} is not symmetric")

    @property
    def n(self) -> int:
        """Number of nodes."""
        return int(self.factors[0].shape[0])

    def degrees(self, transposed: bool = False) -> NDArray[np.float64]:
        """Row sums of A, or column sums: float64, shape (n,)."""
        sums = np.ones(self.n)
        for factor in self.factors if transposed else reversed(self.factors):
            sums = (factor.T if transposed else factor) @ sums
        return np.asarray(sums)


def walk(graph: HeteroGraph, name: str, path: Sequence[tuple[RelationKey, bool]]) -> MetaPath:
    """A meta-path of a typed graph, factored; relations count as present or not.

    Args:
        graph: the typed graph.
        name: of the path.
        path: relations from start to end; True walks one against its direction.
    """
    ones = {key: _pattern(graph.relations[key]) for key, _ in path}
    return MetaPath(
        name, tuple(sparse.csr_array(ones[k].T) if reverse else ones[k] for k, reverse in path)
    )


def compose(path: MetaPath, edge_budget: int = EDGE_BUDGET) -> MetaPath:
    """The same path as one matrix: 1 where at least one path instance joins two nodes.

    Raises:
        ChangeSomethingError: a product on the way could have more entries than the budget; the
            message has the number.
    """
    joined = _pattern(path.factors[0])
    _check_budget(path.name, joined.nnz, edge_budget)
    for factor in path.factors[1:]:
        # Each row of the product has at most so many entries, known before it is made.
        reached = joined.astype(np.int64) @ np.diff(factor.indptr).astype(np.int64)
        _check_budget(path.name, int(np.minimum(reached, factor.shape[1]).sum()), edge_budget)
        joined = _pattern(sparse.csr_array(joined @ _pattern(factor)))
    return MetaPath(path.name, (joined,))


def _check_budget(name: str, edges: int, edge_budget: int) -> None:
    if edges > edge_budget:
        raise ChangeSomethingError(
            f"meta-path {name} joins up to {edges:,} pairs, more than the budget of {edge_budget:,}"
            " edges; use convolution over factored paths (weights=counts), leave this path out, or"
            " raise edge_budget"
        )


def _pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    pattern = sparse.csr_array(matrix, dtype=np.float32, copy=True)
    pattern.sum_duplicates()
    pattern.eliminate_zeros()
    pattern.data[:] = 1.0
    return pattern
