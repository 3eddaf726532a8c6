"""A data set read from the graph and split: what every model is trained and measured on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

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
from personarec.evaluation.leakage import LATER_PURCHASES
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split, leave_one_out
from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.evidence import EvidenceData
from personarec.text.descriptions import read_descriptions


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
        descriptions: written for the items, n_items, where there are any.
        left_out: relations of the graph that were not taken because they are later purchases.
    """

    name: str
    catalogue: Catalogue
    interactions: Interactions
    split: Split
    graph: HeteroGraph
    facts: sparse.csr_array
    fact_columns: tuple[FactColumn, ...]
    descriptions: tuple[str | None, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def users(self) -> tuple[str, ...]:
        """Keys of the users."""
        return self.interactions.users

    @property
    def remark(self) -> str:
        """What to tell whoever asked for these data, in a line; blank where there is nothing."""
        if not self.left_out:
            return ""
        return f"left out, as they know later purchases: {', '.join(self.left_out)}"

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
        digest.update(json.dumps([self.catalogue.titles, self.descriptions]).encode())
        return digest.hexdigest()


def read_data(store: GraphStore, dataset: str, texts: Path | None = None) -> GraphData:
    """Read a data set from the graph, without what a shop derived from later purchases.

    Args:
        store: the graph.
        dataset: its name.
        texts: folder of texts that ``personarec texts`` wrote, of any data set; none: items are
            told by their facts.

    Raises:
        ChangeSomethingError: no such data set, or no texts of it.
    """
    label = DOMAINS[require_data_set(store, dataset)["domain"]]
    catalogue = read_catalogue(store, dataset, label)
    interactions = read_interactions(store, dataset, catalogue)
    graph, left_out = without_later_purchases(read_facts(store, catalogue))
    facts, columns = fact_matrix(graph, catalogue)
    descriptions: tuple[str | None, ...] = ()
    if texts is not None:
        descriptions = read_descriptions(texts / dataset / "items.jsonl", catalogue.ids)
    return GraphData(
        dataset, catalogue, interactions, leave_one_out(interactions), graph, facts, columns,
        descriptions, left_out,
    )  # fmt: skip


def without_later_purchases(graph: HeteroGraph) -> tuple[HeteroGraph, tuple[str, ...]]:
    """A graph without the relations that know the held-out interactions, and which they were."""
    left_out = tuple(sorted({key[1] for key in graph.relations} & LATER_PURCHASES))
    kept = {k: m for k, m in graph.relations.items() if k[1] not in left_out}
    return HeteroGraph(graph.nodes, kept), left_out


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
