"""A source's path that knows how far the file behind it was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class SourceFile(type(Path())):  # type: ignore[misc]
    """What a loader is given to read.

    A loader yields the records of a line before it reads the next one, so ``line`` is the line of
    the record that came last.
    """

    line = 0
    """Line, or row of a Parquet file, that was read last."""

    def open(self, *args: Any, **options: Any) -> Any:
        self._file = super().open(*args, **options)
        return self._file

    def rows_in_all(self, rows: int) -> int | None:
        """About how many rows there are, from how far so many rows went; None while unknown."""
        try:
            return int(rows * self.stat().st_size / self._file.tell())
        except (AttributeError, ValueError, ZeroDivisionError, OSError):
            return None


def at_line(path: Path, line: int) -> None:
    """Note on a SourceFile which line is being read."""
    if isinstance(path, SourceFile):
        path.line = line
