"""The object model: one class for each label of the schema, generated from it.

A class has the schema's properties by their names, and its relations in lower case: ``rated``,
``author``, ``prefers`` lead out, and the same name with ``_from`` leads in (``book.rated_from`` are
its readers, ``person.author_from`` what a person wrote). What they lead to comes as the class of
its label, whichever of several it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import new_class
from typing import Any

from py2neo.ogm import Model, Property, RelatedFrom, RelatedObjects, RelatedTo

from kg.errors import ChangeSomethingError
from kg.schema import NODE_TYPES, RELATION_TYPES, NodeType
from kg.store import statement


class GraphNode(Model):  # type: ignore[misc]  # py2neo has no types
    """A node of any label; ``wrap`` gives an object of its label's class."""

    __primarykey__ = "id"

    @classmethod
    def wrap(cls, node: Any) -> Any:
        """The node as an object, None for None."""
        if node is None:
            return None
        (label,) = node.labels
        return Model.wrap.__func__(MODELS[label], node)


class _Related(RelatedObjects):  # type: ignore[misc]
    """Related objects, each relation for itself, fetched in one query.

    py2neo keeps one relation for each far node, and so would drop all but one of the PREFERS that
    lead to one entity (by relation, by version); and it fetches the nodes one by one.
    """

    def __init__(self, owner: Any, relation: str, query: str) -> None:
        super().__init__(owner, owner.__node__, 1, relation, GraphNode)
        self._query = query

    def __db_pull__(self, tx: Any) -> None:
        self._related_objects[:] = [
            (GraphNode.wrap(node), properties)
            for properties, node, _ in tx.graph.query(self._query, {"id": self.node["id"]})
        ]


class _To(RelatedTo):  # type: ignore[misc]
    """Relations of one type that lead out."""

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        kept = instance.__ogm__._related
        key = (self.direction, self.relationship_type)
        if key not in kept:
            query = self._query(type(instance).__primarylabel__)
            kept[key] = _Related(instance, self.relationship_type, query)
        return kept[key]

    def _query(self, label: str) -> str:
        return statement("related_to", label=label, type=self.relationship_type).text


class _From(_To):
    """Relations of one type that lead in."""

    direction = RelatedFrom.direction

    def _query(self, label: str) -> str:
        return statement("related_from", label=label, type=self.relationship_type).text


class _Reader(GraphNode):
    """What users have beyond the schema."""

    def preferences(self) -> Iterator[tuple[str, Any, float]]:
        """(relation, fact, weight) of the current persona, strongest first.

        ``prefers`` has those of every version that is kept. Raises ChangeSomethingError when the
        data set has no personas.
        """
        data_set = MODELS["DataSet"].match(self.__node__.graph, self.dataset).first()
        current = data_set.personaModel if data_set else None
        if current is None:
            raise ChangeSomethingError(
                f"data set {self.dataset} has no personas; "
                f"run personarec train --dataset {self.dataset}"
            )
        found = [
            (p["relation"], fact, p["weight"])
            for _, (_, p), fact in self.prefers.triples()
            if p["model"] == current
        ]
        yield from sorted(found, key=lambda f: (-f[2], f[0], f[1].id))


def attributes_of(node: NodeType) -> dict[str, Any]:
    """Properties and relations of a label's class, by attribute name.

    Raises ValueError where the schema gives two of them one name.
    """
    found: list[tuple[str, Any]] = [(p.name, Property(p.name)) for p in node.properties]
    for relation in RELATION_TYPES:
        name = relation.name.lower()
        ends = {(s, t or s) for s in relation.sources for t in relation.targets}
        if any(source == node.label for source, _ in ends):
            found.append((name, _To(GraphNode, relation.name)))
        if any(target == node.label for _, target in ends):
            found.append((f"{name}_from", _From(GraphNode, relation.name)))
    attributes = dict(found)
    if len(attributes) < len(found):
        names = [name for name, _ in found]
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ValueError(f"{node.label} has two attributes {', '.join(twice)}")
    return attributes


def _class_of(node: NodeType) -> Any:
    base = _Reader if node.label == "User" else GraphNode
    described = {"__doc__": node.doc, "__module__": __name__, "__primarykey__": "id"}
    return new_class(
        node.label, (base,), exec_body=lambda body: body.update(described | attributes_of(node))
    )


MODELS: dict[str, Any] = {n.label: _class_of(n) for n in NODE_TYPES}
"""Label -> class."""
