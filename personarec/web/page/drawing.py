"""Rows of a query as JSON, and the nodes and relations in them as a graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neo4j.graph import Node, Path, Relationship

TEXT = 1_000  # characters of a value
LIST = 100  # elements of a list or a map
DRAWN = 150  # nodes of a drawing; more cannot be told apart


class Drawing:
    """Collects the nodes and relations that rows hold."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[tuple[str, str, str], dict[str, Any]] = {}

    def value(self, value: Any) -> Any:  # noqa: PLR0911
        """A value as JSON; a node, relation or path in it goes into the drawing."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return value if len(value) <= TEXT else value[:TEXT] + "…"
        if isinstance(value, Node):
            return {"node": self._node(value)}
        if isinstance(value, Relationship):
            return {"relation": self._edge(value)}
        if isinstance(value, Path):
            nodes = [self._node(node) for node in value.nodes]
            for relation in value.relationships:
                self._edge(relation)
            return {"path": nodes}
        if isinstance(value, Mapping):
            pairs = list(value.items())[:LIST]
            return {"map": {str(name): self.value(given) for name, given in pairs}}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            rest = [f"… {len(value) - LIST} more"] if len(value) > LIST else []
            return [self.value(given) for given in value[:LIST]] + rest
        return str(value)[:TEXT]

    def rows(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """All rows as JSON."""
        return [[self.value(value) for value in row] for row in rows]

    def as_dict(self) -> dict[str, Any]:
        """The nodes and the relations between them."""
        nodes = list(self.nodes.values())[:DRAWN]
        kept = {node["ref"] for node in nodes}
        edges = [e for e in self.edges.values() if e["from"] in kept and e["to"] in kept]
        return {"nodes": nodes, "edges": edges, "more": len(self.nodes) - len(nodes)}

    def _node(self, node: Node) -> dict[str, Any]:
        label = min(node.labels, default="Node")
        key = node.get("id")
        known = isinstance(key, str)
        ref = f"{label}:{key}" if known else node.element_id
        name = node.get("title") or node.get("name")
        drawn = {"ref": ref, "label": label, "id": key if known else None, "name": name}
        # A path's ends come without properties from some servers: what is known stays.
        if ref not in self.nodes:
            self.nodes[ref] = drawn
        return drawn

    def _edge(self, relation: Relationship) -> dict[str, Any]:
        drawn: dict[str, Any] = {"relation": relation.type, "from": None, "to": None}
        start, end = relation.nodes
        # The ends of a relation that is returned alone have no properties: nothing to draw.
        if start is not None and end is not None and "id" in start and "id" in end:
            drawn |= {"from": self._node(start)["ref"], "to": self._node(end)["ref"]}
            self.edges.setdefault((drawn["from"], relation.type, drawn["to"]), drawn)
        return drawn
