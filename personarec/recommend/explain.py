"""Why an item is recommended: paths of the graph between what was read and the item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kg.schema import RELATION_TYPES, relation_type
from kg.store import GraphStore, statement


@dataclass(frozen=True)
class GraphPath:
    """A path that connects an item read with the item recommended.

    ``kind`` is ``transition`` (others went on) or ``fact`` (both have it). ``evidence`` holds the
    counts or the fact; ``strength`` orders paths of one kind.
    """

    kind: str
    source: str
    source_title: str
    target: str
    evidence: dict[str, Any]
    strength: float

    def words(self) -> str:
        """The path as a sentence."""
        if self.kind == "fact":
            fact = f"{self.evidence['doc']} {self.evidence['name']}"
            return f"like {self.source_title}: {fact}"
        times = self.evidence["gap1"] + self.evidence["gap2"] + self.evidence["gap3"]
        people = "1 person" if times == 1 else f"{times} people"
        return f"{people} came to this soon after {self.source_title}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "from": self.source,
            "fromTitle": self.source_title,
            "to": self.target,
            **self.evidence,
            "words": self.words(),
        }


def explain(
    store: GraphStore,
    label: str,
    read: Sequence[str],
    item: str,
    *,
    fact_weights: dict[str, float] | None = None,
    most: int = 3,
) -> list[GraphPath]:
    """The strongest paths of each kind, by Cypher.

    Args:
        store: the graph.
        label: label of the items.
        read: keys of the items read, oldest first.
        item: key of the recommended item.
        fact_weights: how much ``"RELATION entity"`` says of the item; 1 where absent.
        most: paths of each kind.
    """
    ages = {key: len(read) - 1 - place for place, key in enumerate(read)}
    paths = []
    query = statement("explain_transitions", label=label)
    for source, title, target, gap1, gap2, gap3 in store.read(query, read=list(read), item=item):
        strength = (gap1 + 0.6 * gap2 + 0.36 * gap3) * 0.6 ** ages[source]
        evidence = {"gap1": gap1, "gap2": gap2, "gap3": gap3}
        paths.append(GraphPath("transition", source, title or source, target, evidence, strength))
    derived = [r.name for r in RELATION_TYPES if r.derived or r.name == "RATED"]
    query = statement("explain_facts", label=label)
    best: dict[str, GraphPath] = {}
    for source, title, relation, fact, name, target in store.read(
        query, read=list(read), item=item, derived=derived
    ):
        key = f"{relation} {fact}"
        strength = (fact_weights or {}).get(key, 1.0) * 0.7 ** ages[source]
        evidence = {
            "relation": relation, "fact": fact, "name": name, "doc": relation_type(relation).doc,
        }  # fmt: skip
        path = GraphPath("fact", source, title or source, target, evidence, strength)
        # One path a fact, from the item that says it most strongly.
        if key not in best or strength > best[key].strength:
            best[key] = path
    chosen = []
    for found in (paths, list(best.values())):
        found.sort(key=lambda p: (-p.strength, p.source, str(p.evidence)))
        chosen += found[:most]
    return chosen
