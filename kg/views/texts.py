"""What the graph says in words: abstracts of items, names of entities."""

from __future__ import annotations

from dataclasses import dataclass

from kg.schema import Role, node_type
from kg.store import GraphStore, statement
from kg.views.export import Catalogue, batches
from kg.views.hetero import HeteroGraph


@dataclass(frozen=True)
class GraphTexts:
    """Words that stand in the graph.

    Attributes:
        abstracts: of the items, in the catalogue's order; None where there is none.
        names: of entities, by key.
    """

    abstracts: tuple[str | None, ...]
    names: dict[str, str]


def read_texts(
    store: GraphStore, dataset: str, catalogue: Catalogue, graph: HeteroGraph
) -> GraphTexts:
    """The abstracts of a data set's items and the names of the entities their facts lead to."""
    rows = store.read(statement("item_abstracts", label=catalogue.label), dataset=dataset)
    abstracts: dict[str, str] = dict(rows)
    names: dict[str, str] = {}
    for label, keys in graph.nodes.items():
        if node_type(label).role is Role.ENTITY:
            query = statement("entity_names", label=label)
            for part in batches(keys):
                names.update(dict(store.read(query, ids=part)))
    return GraphTexts(tuple(abstracts.get(key) for key in catalogue.ids), names)
