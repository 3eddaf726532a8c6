"""Files of texts: one JSON object a line, with an id, its text, and what made it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from kg.errors import ChangeSomethingError
from kg.partial import written_whole


def write_texts(
    path: Path, ids: Sequence[str], texts: Sequence[str], made_by: Sequence[str]
) -> None:
    """Write texts, whole or not at all."""
    with written_whole(path) as file:
        for row in zip(ids, texts, made_by, strict=True):
            line = dict(zip(("id", "text", "by"), row, strict=True))
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def read_descriptions(path: Path, ids: Sequence[str]) -> tuple[str | None, ...]:
    """The texts of some items, in their order; None for an item without one.

    Raises:
        ChangeSomethingError: no such file, or not of such lines.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found = {row["id"]: str(row["text"]) for row in rows}
    except FileNotFoundError as error:
        raise ChangeSomethingError(f"no texts at {path}; run personarec texts first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ChangeSomethingError(
            f"{path} holds no descriptions; remove it and run personarec texts again"
        ) from error
    return tuple(found.get(key) for key in ids)
