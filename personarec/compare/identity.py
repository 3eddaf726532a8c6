"""What a row is made of, for the names of what is kept of it: cells, and trials of its settings."""

from __future__ import annotations

from typing import Any

from personarec.compare.config import CompareConfig
from personarec.compare.rows import PERSONA, Row
from personarec.personas.encoder import ENCODER_FORMAT
from personarec.retriever.length_weights import GROUPS
from personarec.text.embedders import chosen


def row_identity(row: Row, config: CompareConfig) -> dict[str, Any]:
    """All of it apart from words; other words, or options that do not reach it, change nothing."""
    persona = row.persona
    named = config.encoder_named(persona.encoder) if persona else ""
    scoring = {
        name: config.encoder_named(name.removeprefix(PERSONA))
        for name in row.evidence
        if name.startswith(PERSONA)
    }
    found: dict[str, Any] = {
        "kind": row.kind, "candidates": row.candidates, "items": row.items,
        "evidence": [PERSONA + scoring[n] if n in scoring else n for n in row.evidence],
        "persona": [persona.fusion, persona.source, named] if persona else None,
    }  # fmt: skip
    if row.by_length:
        found["by length"] = GROUPS
    if persona or scoring:
        found["personas"] = ENCODER_FORMAT
    # Those that are rows of a network are as wide as its items, whatever was asked for.
    if scoring or (persona and persona.fusion != "rows"):
        found["dim"] = config.dim
    told = "keywords" in ":".join([named, *scoring.values()]).split(":")
    if row.items != "random" or told:
        found["embedder"] = chosen(config.embedder)
    if told and config.llm_model:
        found["keywords by"] = config.llm_model
    return found
