"""The graph around one node: its relations by type, and the strongest few neighbours of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from kg.schema import node_type
from kg.store import GraphStore, statement

MOST = 1_000_000  # relations of a node in one direction that are looked at


@dataclass(frozen=True)
class Node:
    """A node as people see it; ``name`` is its title or name, None where it has neither."""

    label: str
    id: str
    name: str | None


@dataclass(frozen=True)
class Neighbour:
    """A node at the far end of a relation.

    ``strength`` orders neighbours of one type: the weight of a preference, the count of direct
    transitions, the time of a rating; 0 for a fact. ``through`` is the relation by which items
    carry a preferred fact, None for any other relation.
    """

    node: Node
    strength: float
    through: str | None


@dataclass(frozen=True)
class Relations:
    """A node's relations of one type and direction: how many, and the strongest few."""

    relation: str
    outgoing: bool
    total: int
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """A node, its properties (without vectors), and its relations."""

    node: Node
    properties: dict[str, Any]
    relations: tuple[Relations, ...]


def neighbourhood(
    store: GraphStore, labels: Sequence[str], key: str, model: str | None, k: int
) -> Neighbourhood | None:
    """The graph around a node; None where no label has the key.

    Args:
        store: the graph.
        labels: labels to look under, in this order; the first that has the key is taken.
        key: the node's ``id``.
        model: id of the persona version whose relations are shown; None for none.
        k: neighbours of each type and direction.

    Raises UnknownNameError for a label that the schema does not have.
    """
    for label in labels:
        rows = store.read(statement("read_nodes", label=node_type(label).label), ids=[key])
        if rows:
            break
    else:
        return None
    properties = {name: v for name, v in rows[0][1].items() if not isinstance(v, list)}
    name = properties.get("name") or properties.get("title")
    relations = []
    for query, outgoing in (
        (statement("outgoing_relations", label=label), True),
        (statement("incoming_relations", label=label), False),
    ):
        rows = store.read(query, id=key, model=model or "", k=k, most=MOST)
        # The strongest first, by key where equal: what a collection keeps of an order is not said.
        rows.sort(key=lambda row: (row[0], -row[5], row[3]))
        for (relation, total), group in groupby(rows, key=lambda row: (row[0], row[1])):
            found = tuple(
                Neighbour(Node(of, id_, called), float(strength), through)
                for _, _, of, id_, called, strength, through in group
            )
            relations.append(Relations(relation, outgoing, total, found))
    return Neighbourhood(Node(label, key, name), properties, tuple(relations))


def find_users(store: GraphStore, dataset: str, text: str, k: int) -> list[str]:
    """Keys of at most ``k`` users of a data set whose key contains a text, by key."""
    rows = store.read(statement("find_users"), dataset=dataset, text=text.lower(), k=k)
    return [row[0] for row in rows]
