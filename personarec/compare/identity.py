"""What a row is made of, for the names of what is kept of it: cells, and trials of its settings."""

from __future__ import annotations

from typing import Any

from personarec.compare.config import CompareConfig
from personarec.compare.rows import PERSONA, TRAINED, Row
from personarec.personas.encoder import ENCODER_FORMAT
from personarec.retriever.length_weights import GROUPS


def row_identity(row: Row, config: CompareConfig) -> dict[str, Any]:
    """All of it apart from words; other words, or options that do not reach it, change nothing."""
    persona = row.persona
    found: dict[str, Any] = {
        "kind": row.kind, "evidence": row.evidence, "candidates": row.candidates,
        "items": row.items,
        "persona": [persona.fusion, persona.source, persona.encoder] if persona else None,
    }  # fmt: skip
    if row.by_length:
        found["by length"] = GROUPS
    encoders = [persona.encoder] if persona else []
    scoring = [n for n in row.evidence if n.startswith(PERSONA)]
    encoders += scoring
    if any(TRAINED in e for e in encoders):
        found["encoder"] = config.encoder
    if encoders:
        found["personas"] = ENCODER_FORMAT
    # Those that are rows of a network are as wide as its items, whatever was asked for.
    if scoring or (persona and persona.fusion != "rows"):
        found["dim"] = config.dim
    if row.items != "random" or "keywords" in encoders:
        found["embedder"] = config.embedder
    if "keywords" in encoders and config.llm_model:
        found["keywords by"] = config.llm_model
    return found
