"""HeteroGraph as torch tensors and as a DGL heterograph, and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, RelationKey
from personarec.csr_tensor import csr_tensor

if TYPE_CHECKING:
    import torch

WEIGHT = "weight"
EDGE_BUDGET = 20_000_000
"""Most edges a materialised meta-path graph may have: about 1 GB in DGL."""


def to_torch(graph: HeteroGraph, device: str = "cpu") -> dict[RelationKey, torch.Tensor]:
    """Each relation as a torch sparse CSR tensor, float32, shape (sources, targets)."""
    import torch

    return {
        key: csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)).to(device),
            torch.from_numpy(matrix.indices.astype(np.int64)).to(device),
            torch.from_numpy(matrix.data.astype(np.float32)).to(device),
            matrix.shape,
            check=True,
        )
        for key, matrix in graph.relations.items()
    }


def to_dgl(graph: HeteroGraph) -> Any:
    """The graph as a ``dgl.DGLGraph``: same node numbers, weights as edge data ``weight``.

    Node ids are not part of a DGL graph; keep ``graph.nodes`` to come back.

    Raises ChangeSomethingError where DGL cannot be imported.
    """
    dgl = _dgl()
    import torch

    edges, weights = {}, {}
    for key, matrix in graph.relations.items():
        coo = matrix.tocoo()
        edges[key] = (
            torch.from_numpy(coo.row.astype(np.int64)),
            torch.from_numpy(coo.col.astype(np.int64)),
        )
        weights[key] = torch.from_numpy(coo.data.astype(np.float32))
    counts = {kind: len(ids) for kind, ids in graph.nodes.items()}
    result = dgl.heterograph(edges, num_nodes_dict=counts)
    for key, values in weights.items():
        result.edges[key].data[WEIGHT] = values
    return result


def from_dgl(graph: Any, nodes: dict[str, tuple[str, ...]]) -> HeteroGraph:
    """A DGL heterograph with its node ids as a HeteroGraph.

    Args:
        graph: ``dgl.DGLGraph``; edges without ``weight`` weigh 1.
        nodes: ids by node type, as many as the graph has nodes.

    Raises ValueError when the numbers of nodes differ.
    """
    for kind in graph.ntypes:
        if graph.num_nodes(kind) != len(nodes.get(kind, ())):
            raise ValueError(
                f"{graph.num_nodes(kind)} nodes of type {kind}, but {len(nodes.get(kind, ()))} ids"
            )
    relations: dict[RelationKey, sparse.csr_array] = {}
    for key in graph.canonical_etypes:
        rows, columns = (t.numpy() for t in graph.edges(etype=key))
        data = graph.edges[key].data
        weights = data[WEIGHT].numpy() if WEIGHT in data else np.ones(len(rows), np.float32)
        shape = (len(nodes[key[0]]), len(nodes[key[2]]))
        matrix = sparse.csr_array((weights, (rows, columns)), shape=shape)
        matrix.sum_duplicates()
        relations[key] = matrix
    return HeteroGraph(nodes, relations)


def metapath_dgl(
    graph: HeteroGraph, path: Sequence[tuple[RelationKey, bool]], edge_budget: int = EDGE_BUDGET
) -> Any:
    """The graph of the pairs that a meta-path joins, materialised, as DGL models want it.

    Args:
        graph: the typed graph.
        path: relations from start to end; True walks one against its direction.
        edge_budget: refuse beyond so many edges.

    Raises:
        ChangeSomethingError: the composition could exceed the budget; the message has the number.
            Use ``HeteroGraph.propagate``, which never composes.
        ValueError: the path does not come back to the node type it starts from.
    """
    (first, first_reversed), (last, last_reversed) = path[0], path[-1]
    if first[2 if first_reversed else 0] != last[0 if last_reversed else 2]:
        raise ValueError("a meta-path graph joins nodes of one type; this path ends at another")
    matrices = [
        graph.relations[k].T.tocsr() if reverse else graph.relations[k] for k, reverse in path
    ]
    walked = matrices[0].astype(bool).astype(np.float32)
    for matrix in matrices[1:]:
        # Entries of a product before it is made: an upper bound that costs one pass.
        bound = int((walked.astype(bool).astype(np.int64) @ np.diff(matrix.indptr)).sum())
        if bound > edge_budget:
            raise ChangeSomethingError(
                f"this meta-path joins up to {bound:,} pairs, more than the budget of "
                f"{edge_budget:,} edges; propagate along the factors instead, or raise edge_budget"
            )
        walked = sparse.csr_array(walked @ matrix.astype(bool).astype(np.float32))
    dgl = _dgl()
    import torch

    rows, columns = walked.nonzero()
    return dgl.graph(
        (torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64))),
        num_nodes=walked.shape[0],
    )


def _dgl() -> Any:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    try:
        import dgl
    except Exception as error:  # DGL raises many kinds where its libraries do not fit torch
        raise ChangeSomethingError(
            f"DGL cannot be used here ({type(error).__name__}); pip install 'personarec[dgl]' on "
            "Python 3.11, or do without: nothing else needs it"
        ) from error
    return dgl
