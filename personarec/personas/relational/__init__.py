"""Relational message passing over the typed graph, trained to tell the next item."""

from personarec.personas.relational.encoder import RelationalEncoder
from personarec.personas.relational.rule import RecentPersonas

__all__ = ["RecentPersonas", "RelationalEncoder"]
