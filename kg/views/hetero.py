"""HeteroGraph: a typed graph as plain arrays, each relation a sparse matrix kept factored.

A meta-path is a chain of relations applied as successive sparse products; its composition, which
can be thousands of times larger, is never made here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kg.partial import written_whole

RelationKey = tuple[str, str, str]
"""(source node type, relation type, target node type)."""


@dataclass(frozen=True)
class HeteroGraph:
    """Typed nodes and relations.

    Attributes:
        nodes: node type -> ids in stable (sorted) order; position = node index.
        relations: (source type, relation, target type) -> CSR matrix, float32, shape
            (sources, targets); entries are 1 or a weight. Indices sorted, no duplicates.
    """

    nodes: dict[str, tuple[str, ...]]
    relations: dict[RelationKey, sparse.csr_array]

    def __post_init__(self) -> None:
        for (source, name, target), matrix in self.relations.items():
            expected = (len(self.nodes[source]), len(self.nodes[target]))
            if matrix.shape != expected:
                raise ValueError(f"relation {name}: shape {matrix.shape}, expected {expected}")

    @property
    def edges(self) -> int:
        """Number of relation entries of all types."""
        return sum(m.nnz for m in self.relations.values())

    def content_hash(self) -> str:
        """SHA-256 over node ids and matrices; equal for equal content from any engine."""
        digest = hashlib.sha256()
        for kind in sorted(self.nodes):
            digest.update(json.dumps([kind, self.nodes[kind]]).encode())
        for key in sorted(self.relations):
            digest.update(json.dumps(key).encode())
            matrix = self.relations[key]
            for array in (
                matrix.indptr.astype("<i8"),
                matrix.indices.astype("<i8"),
                matrix.data.astype("<f4"),
            ):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def propagate(
        self, path: Iterable[tuple[RelationKey, bool]], features: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Mean of ``features`` along a meta-path, from its far end to its start.

        Args:
            path: relations from start to end; True walks a relation against its direction.
            features: float32, shape (nodes at the far end, width).

        Returns:
            float32, shape (nodes at the start, width); zero where no path leaves a node.
        """
        for key, reverse in reversed(list(path)):
            matrix = self.relations[key].T.tocsr() if reverse else self.relations[key]
            features = row_normalised(matrix) @ features
        return features

    def save(self, path: Path) -> None:
        """Write one compressed numpy file, whole or not at all."""
        arrays: dict[str, NDArray[np.generic]] = {
            "nodes": np.array(json.dumps(self.nodes)),
            "relations": np.array(json.dumps(sorted(self.relations))),
        }
        for number, key in enumerate(sorted(self.relations)):
            matrix = self.relations[key]
            arrays[f"indptr{number}"] = matrix.indptr
            arrays[f"indices{number}"] = matrix.indices
            arrays[f"data{number}"] = matrix.data
        with written_whole(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> HeteroGraph:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            nodes = {k: tuple(v) for k, v in json.loads(str(file["nodes"])).items()}
            relations: dict[RelationKey, sparse.csr_array] = {}
            for number, (source, name, target) in enumerate(json.loads(str(file["relations"]))):
                relations[source, name, target] = sparse.csr_array(
                    (file[f"data{number}"], file[f"indices{number}"], file[f"indptr{number}"]),
                    shape=(len(nodes[source]), len(nodes[target])),
                )
        return cls(nodes, relations)


def row_normalised(matrix: sparse.csr_array) -> sparse.csr_array:
    """The matrix with each row divided by its sum (random-walk weights); empty rows stay empty."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.divide(1.0, sums, out=np.zeros_like(sums, dtype=np.float32), where=sums != 0)
    return sparse.csr_array(sparse.diags_array(scale.astype(np.float32)) @ matrix)


def binary_matrix(
    rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]
) -> sparse.csr_array:
    """CSR float32 matrix of ones at (rows, columns), duplicates counted once."""
    matrix = sparse.csr_array(
        (np.ones(len(rows), np.float32), (np.asarray(rows), np.asarray(columns))), shape=shape
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
