"""A data set read from the graph and split: what every model is trained and measured on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from kg.ingest import require_data_set
from kg.schema import DOMAINS
from kg.store import GraphStore
from kg.views import (
    Catalogue,
    HeteroGraph,
    Interactions,
    binary_matrix,
    read_catalogue,
    read_facts,
    read_interactions,
)
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split, leave_one_out
from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.evidence import EvidenceData


@dataclass(frozen=True)
class FactColumn:
    """What a column of the fact matrix stands for."""

    relation: str
    label: str
    entity: str


@dataclass(frozen=True)
class GraphData:
    """A data set as arrays.

    Attributes:
        name: of the data set.
        catalogue: its items.
        interactions: all of them, the held-out ones too; only ``split`` may be trained on.
        split: leave-one-out by (timestamp, row).
        graph: items, entities and fact relations.
        facts: float32 CSR, shape (n_items, n_facts), 1 where an item has a fact.
        fact_columns: what each column of ``facts`` is.
    """

    name: str
    catalogue: Catalogue
    interactions: Interactions
    split: Split
    graph: HeteroGraph
    facts: sparse.csr_array
    fact_columns: tuple[FactColumn, ...]

    @property
    def users(self) -> tuple[str, ...]:
        """Keys of the users."""
        return self.interactions.users

    def training_graph(self, sequences: Sequences) -> HeteroGraph:
        """The typed graph that encoders walk: fact relations, and RATED from ``sequences`` alone.

        Meta-paths over it stay factored; items come first among the nodes of their type.
        """
        label = self.catalogue.label
        known = self.graph.nodes[label]
        rated = binary_matrix(
            np.repeat(np.arange(len(sequences)), sequences.lengths),
            sequences.items,
            (len(sequences), len(known)),
        )
        nodes = {"User": self.users, **self.graph.nodes}
        return HeteroGraph(nodes, {("User", "RATED", label): rated, **self.graph.relations})

    def content_hash(self) -> str:
        """SHA-256 of everything read; equal for equal content, whatever engine it came from."""
        digest = hashlib.sha256(self.graph.content_hash().encode())
        for user in self.users:
            digest.update(user.encode() + b"\n")
        for array in (self.interactions.user, self.interactions.item, self.interactions.timestamp):
            digest.update(np.ascontiguousarray(array.astype("<i8")).tobytes())
        return digest.hexdigest()


def read_data(store: GraphStore, dataset: str) -> GraphData:
    """Read a data set from the graph. Raises ChangeSomethingError when it is not there."""
    label = DOMAINS[require_data_set(store, dataset)["domain"]]
    catalogue = read_catalogue(store, dataset, label)
    interactions = read_interactions(store, dataset, catalogue)
    graph = read_facts(store, catalogue)
    facts, columns = fact_matrix(graph, catalogue)
    return GraphData(
        dataset, catalogue, interactions, leave_one_out(interactions), graph, facts, columns
    )


def fact_matrix(
    graph: HeteroGraph, catalogue: Catalogue
) -> tuple[sparse.csr_array, tuple[FactColumn, ...]]:
    """All fact relations side by side: a fact is a relation and the entity it leads to."""
    keys = sorted(graph.relations)
    columns = tuple(
        FactColumn(name, target, entity)
        for _, name, target in keys
        for entity in graph.nodes[target]
    )
    n_items = len(catalogue.ids)
    if not keys:
        return sparse.csr_array((n_items, 0), dtype=np.float32), ()
    blocks = [graph.relations[k][:n_items] for k in keys]
    matrix = sparse.csr_array(sparse.hstack(blocks, format="csr", dtype=np.float32))
    used = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    return sparse.csr_array(matrix[:, used]), tuple(columns[i] for i in used)


def fact_model(data: GraphData, config: FactConfig) -> FactModel:
    """The fact persona of a data set; weights that are learned are so from its training part."""
    return FactModel.fit(EvidenceData.of(data, data.split.train), config)


def shuffled_rows(n: int, seed: int) -> np.ndarray:
    """A permutation without fixed points where one exists, so that a control keeps nobody's own."""
    order = np.random.default_rng(seed).permutation(n)
    result = np.empty(n, np.int64)
    result[order] = np.roll(order, 1)
    return result


def known_prefix(split: Split) -> Sequences:
    """What may be looked at when the test item is asked for: train and validation items."""
    return split.fit(refit=True)
