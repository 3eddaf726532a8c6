"""Rows set aside while staging: each with its file, line and reason, and counted in the books."""

from __future__ import annotations

from pathlib import Path

import orjson

from kg.ingest.stage import Books

FILE = "quarantine.jsonl"
SHOWN = 200  # characters of a row that are kept


class Quarantine:
    """Writes ``quarantine.jsonl`` of a stage."""

    def __init__(self, folder: Path, books: list[Books]) -> None:
        self._file = (folder / FILE).open("wb")
        self._books = books

    def add(self, file: int, line: int, reason: str, text: str) -> None:
        """Set a row of the source number ``file`` aside."""
        book = self._books[file]
        book.quarantined += 1
        row = {"source": book.source, "line": line, "reason": reason, "text": text[:SHOWN]}
        self._file.write(orjson.dumps(row) + b"\n")

    def close(self) -> None:
        self._file.close()
