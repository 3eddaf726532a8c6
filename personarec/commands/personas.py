"""Personas in the graph: in words, their versions, and who is near to whom."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kg.schema import relation_type
from kg.store import GraphStore
from kg.views.personas import (
    Neighbour,
    current_model,
    neighbours,
    preferences_of,
    require_model,
    require_user,
    versions,
)
from personarec.console import out, print_table

if TYPE_CHECKING:
    pass


def find_neighbours(
    store: GraphStore, dataset: str, user: str, n: int
) -> tuple[str, list[Neighbour]]:
    """A user's key and nearest users."""
    key = require_user(store, dataset, user)
    return key, neighbours(store, key, require_model(store, dataset), n)


def print_neighbours(user: str, found: list[Neighbour]) -> None:
    """Nearest users with what they share, in words."""
    rows = [
        (
            f.user, f"{f.cosine:.3f}", f.shared_items,
            "; ".join(_fact_words(s) for s in f.shared[:4]),
        )
        for f in found
    ]  # fmt: skip
    columns = ("neighbour", "cosine", "items in common", "both like")
    print_table(f"nearest to {user}", columns, rows)


def persona_document(store: GraphStore, dataset: str, user: str) -> dict[str, Any]:
    """The persona of a user as plain data."""
    key = require_user(store, dataset, user)
    model = require_model(store, dataset)
    return {"user": key, "model": model.id, "preferences": preferences_of(store, key, model)}


def print_persona(document: dict[str, Any]) -> None:
    """A persona in words: what it likes, by kind, strongest first."""
    kinds: dict[str, list[str]] = {}
    for preference in document["preferences"]:
        kind = relation_type(preference["relation"]).doc
        kinds.setdefault(kind, []).append(f"{preference['name']} ({preference['weight']:.2f})")
    out.print(f"{document['user']} (personas {document['model']}) likes items", markup=False)
    for kind, names in kinds.items():
        out.print(f"  {kind}: {', '.join(names)}", markup=False)
    if not kinds:
        out.print("  of no known fact: nothing is known of the items this user touched")


def persona_versions(store: GraphStore, dataset: str) -> list[dict[str, Any]]:
    """Versions, oldest first."""
    current = current_model(store, dataset)
    return [
        asdict(m) | {"property": m.property_name, "index": m.index, "current": m == current}
        for m in versions(store, dataset)
    ]


def _fact_words(shared: dict[str, Any]) -> str:
    return f"{relation_type(shared['relation']).doc} {shared['name']}"
