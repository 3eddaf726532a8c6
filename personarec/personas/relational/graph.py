"""Who passes messages to whom: the typed graph as averages over neighbours, whole or sampled.

Messages go both ways along every relation. First every type but the items' hears its neighbours,
then the items hear theirs: so an item hears of its facts' other items, of its readers' other items
(the readers have no vector of their own) and of the entities that its facts lead to. Meta-paths
stay factored, and memory and time are linear in edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.views import HeteroGraph, RelationKey, row_normalised

if TYPE_CHECKING:
    from torch import Tensor

    from personarec.sparse_product import SparseProduct

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Direction:
    """A relation in one direction: ``target`` hears ``source``.

    Attributes:
        name: relation and direction, for the model's parameters.
        target: type that hears.
        source: type that is heard.
        matrix: which hears which, float32 CSR, shape (targets, sources).
    """

    name: str
    target: str
    source: str
    matrix: sparse.csr_array


@dataclass(frozen=True)
class Average:
    """A mean over neighbours, of the nodes that hear any.

    Attributes:
        rows: int64, which nodes of the block hear.
        product: vectors of the block's nodes that may be heard → means, shape (rows, width).
    """

    rows: Tensor
    product: SparseProduct


@dataclass(frozen=True)
class Block:
    """The nodes of one pass, and the averages between them.

    Attributes:
        ids: by type, the nodes whose own vectors enter; None: all of them, in order.
        averages: by name of direction, over the block's nodes.
        wanted: how many items, the first of the block, vectors are made for.
    """

    ids: dict[str, Ids | None]
    averages: dict[str, Average]
    wanted: int


@dataclass(frozen=True)
class Passing:
    """All directions of a graph.

    Attributes:
        counts: nodes by type.
        item_type: type of the items.
        to_others: directions that end at any other type, first half of a pass.
        to_items: directions that end at items, second half.
    """

    counts: dict[str, int]
    item_type: str
    to_others: tuple[Direction, ...]
    to_items: tuple[Direction, ...]

    @classmethod
    def of(cls, graph: HeteroGraph, item_type: str) -> Passing:
        """Both directions of each relation; facts that one item alone has join nothing and go."""
        directions = []
        for key in sorted(graph.relations):
            source, name, target = key
            matrix = graph.relations[key]
            if source == item_type:
                shared = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 1
                matrix = sparse.csr_array(matrix @ sparse.diags_array(shared.astype(np.float32)))
                matrix.eliminate_zeros()
            if not matrix.nnz:
                continue
            directions.append(Direction(f"{name} {source} hears {target}", source, target, matrix))
            back = sparse.csr_array(matrix.T)
            directions.append(
                Direction(f"{name} {target} hears {source}, backward", target, source, back)
            )
        return cls(
            {kind: len(ids) for kind, ids in graph.nodes.items()},
            item_type,
            tuple(d for d in directions if d.target != item_type),
            tuple(d for d in directions if d.target == item_type),
        )

    @property
    def edges(self) -> int:
        """Messages of one pass."""
        return sum(d.matrix.nnz for d in (*self.to_others, *self.to_items))

    def whole(self) -> Block:
        """Every node and every edge."""
        averages = {d.name: _average(d.matrix) for d in (*self.to_others, *self.to_items)}
        return Block(dict.fromkeys(self.counts), averages, self.counts[self.item_type])

    def sample(self, items: Ids, most: int, rng: np.random.Generator) -> Block:
        """The items, and at most so many neighbours a node and direction, drawn at random.

        A node with more neighbours draws ``most`` of them with replacement, so that its average is
        right in expectation (Hamilton, Ying, Leskovec, NIPS 2017).

        Args:
            items: int64, item nodes without repeats; the block's first items, in this order.
            most: neighbours of a node in one direction.
            rng: draws.
        """
        kept: dict[str, sparse.csr_array] = {}
        needed: dict[str, list[Ids]] = {kind: [] for kind in self.counts}
        for d in self.to_items:
            kept[d.name] = _drawn(d.matrix, items, most, rng)
            needed[d.source].append(np.unique(kept[d.name].indices))
        others = {k: _union(v) for k, v in needed.items() if k != self.item_type}
        sources: dict[str, list[Ids]] = {k: [v] for k, v in others.items()}
        sources[self.item_type] = needed[self.item_type]
        for d in self.to_others:
            kept[d.name] = _drawn(d.matrix, others[d.target], most, rng)
            sources[d.source].append(np.unique(kept[d.name].indices))
        # The nodes that hear come first, so that what they hear is added to the first rows.
        ids = {
            kind: _appended(items if kind == self.item_type else others[kind], _union(parts))
            for kind, parts in sources.items()
        }
        averages = {
            d.name: _average(_renumbered(kept[d.name], ids[d.source], self.counts[d.source]))
            for d in (*self.to_others, *self.to_items)
        }
        return Block(dict(ids), averages, len(items))


def rewired(graph: HeteroGraph, rated: RelationKey, rng: np.random.Generator) -> HeteroGraph:
    """The graph with the item ends of RATED permuted: every degree stays but for a few repeats.

    A pair that comes out twice counts twice, so that no degree changes.
    """
    matrix = graph.relations[rated]
    shuffled = sparse.csr_array(
        (matrix.data, rng.permutation(matrix.indices), matrix.indptr),
        shape=matrix.shape,
        copy=True,  # summing duplicates writes over the arrays
    )
    shuffled.sum_duplicates()
    return HeteroGraph(graph.nodes, graph.relations | {rated: shuffled})


def _drawn(
    matrix: sparse.csr_array, rows: Ids, most: int, rng: np.random.Generator
) -> sparse.csr_array:
    """Those rows, each with all its entries or ``most`` drawn ones."""
    degrees = np.diff(matrix.indptr)[rows]
    taken = np.minimum(degrees, most)
    indptr = np.concatenate(([0], np.cumsum(taken)))
    place = np.arange(indptr[-1]) - np.repeat(indptr[:-1], taken)
    many = np.repeat(degrees > most, taken)
    place[many] = rng.integers(np.repeat(degrees, taken)[many])
    where = np.repeat(matrix.indptr[rows].astype(np.int64), taken) + place
    found = sparse.csr_array(
        (matrix.data[where], matrix.indices[where], indptr), shape=(len(rows), matrix.shape[1])
    )
    found.sum_duplicates()
    return found


def _union(parts: list[Ids]) -> Ids:
    return np.unique(np.concatenate(parts)).astype(np.int64) if parts else np.empty(0, np.int64)


def _appended(first: Ids, more: Ids) -> Ids:
    return np.concatenate((first, np.setdiff1d(more, first)))


def _renumbered(matrix: sparse.csr_array, ids: Ids, count: int) -> sparse.csr_array:
    """The matrix with columns numbered by their places among ``ids``."""
    places = np.empty(count, np.int64)
    places[ids] = np.arange(len(ids))
    return sparse.csr_array(
        (matrix.data, places[matrix.indices], matrix.indptr), shape=(matrix.shape[0], len(ids))
    )


def _average(matrix: sparse.csr_array) -> Average:
    import torch

    from personarec.sparse_product import SparseProduct

    rows = np.flatnonzero(np.diff(matrix.indptr))
    product = SparseProduct(row_normalised(matrix[rows]))
    return Average(torch.from_numpy(rows.astype(np.int64)), product)
