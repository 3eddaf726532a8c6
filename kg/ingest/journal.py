"""The journal of a load: how far it has come, on disk, so that a killed load goes on from there.

It is written after each commit, whole or not at all. A lost entry costs time only:
the batch runs again, finds its rows in the graph and writes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kg.partial import written_whole


@dataclass
class Journal:
    """State of a running load."""

    load: str
    content_hash: str
    table: int = 0
    row: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0

    def save(self, path: Path) -> None:
        """Replace the journal file, whole or not at all."""
        with written_whole(path) as file:
            file.write(json.dumps(asdict(self)).encode())

    @classmethod
    def load_from(cls, path: Path) -> Journal | None:
        """The journal in a file, or None where there is none that can be read."""
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
