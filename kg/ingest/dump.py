"""Canonical dump: what the graph says, as sorted JSON lines, the same for every engine and history.

A line is ``["node", label, id, properties]`` or ``["relation", type, source label, source id,
target label, target id, properties]``. Volatile properties (load ids) and the ledger are left out;
derived content (personas, preferences, prototypes, transitions) too unless asked for, because it
belongs to a training and not to a load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from kg.schema import NODE_TYPES, RELATION_TYPES, Property, RelationType, Role
from kg.store import GraphStore, statement


def dump(
    store: GraphStore, dataset: str | None = None, *, derived: bool = False
) -> Iterator[bytes]:
    """Yield the dump's lines, each with its newline.

    Args:
        store: the graph.
        dataset: leave out what does not belong to this data set: other data sets' users and items
            with their relations, and entities that none of its items has.
        derived: include personas, preferences, prototypes and transitions.
    """
    relations: list[bytes] = []
    reached: set[tuple[str, str]] = set()
    for relation, source, target in relation_kinds(derived):
        names = {"type": relation.name, "source": source, "target": target}
        for start, end, properties in store.read(statement("dump_relations", **names)):
            if dataset is None or start.startswith(f"{dataset}:"):
                reached.add((target, end))
                kept = _kept(properties, relation.properties)
                relations.append(
                    _line(["relation", relation.name, source, start, target, end, kept])
                )
    nodes: list[bytes] = []
    for node in NODE_TYPES:
        if node.role is Role.LEDGER and not (derived and node.label == "PersonaModel"):
            continue
        if node.role is Role.DERIVED and not derived:
            continue
        for key, properties in store.read(statement("dump_nodes", label=node.label)):
            owner = properties.get("dataset")
            if (
                dataset is None
                or owner == dataset
                or (owner is None and (node.label, key) in reached)
            ):
                kept = _kept(properties, node.properties)
                if not derived:
                    kept = {k: v for k, v in kept.items() if not k.startswith("persona")}
                nodes.append(_line(["node", node.label, key, kept]))
    yield from sorted(nodes)
    yield from sorted(relations)


def dump_hash(store: GraphStore, dataset: str | None = None, *, derived: bool = False) -> str:
    """SHA-256 of the dump, in hexadecimal."""
    digest = hashlib.sha256()
    for line in dump(store, dataset, derived=derived):
        digest.update(line)
    return digest.hexdigest()


def relation_kinds(derived: bool = True) -> Iterator[tuple[RelationType, str, str]]:
    """Every (relation type, source label, target label) that the schema allows."""
    for relation in RELATION_TYPES:
        if relation.derived and not derived:
            continue
        for source in relation.sources:
            for target in relation.targets:
                if relation.name == "NEXT" and target != source:
                    continue
                yield relation, source, target or source


def _kept(properties: dict[str, Any], declared: tuple[Property, ...]) -> dict[str, Any]:
    volatile = {p.name for p in declared if p.volatile} | {"loadId", "id"}
    return {k: v for k, v in properties.items() if k not in volatile}


def _line(content: list[Any]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
