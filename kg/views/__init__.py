"""Views of the graph: arrays out of it, personas and transitions back into it."""

from kg.views.export import (
    Catalogue,
    read_catalogue,
    read_facts,
    read_interactions,
    read_transitions,
    read_users,
)
from kg.views.hetero import HeteroGraph, RelationKey, binary_matrix, row_normalised
from kg.views.interactions import Interactions

__all__ = [
    "Catalogue", "HeteroGraph", "Interactions", "RelationKey", "binary_matrix", "read_catalogue",
    "read_facts", "read_interactions", "read_transitions", "read_users", "row_normalised",
]  # fmt: skip
