"""Parts of a source file, so that many workers read one file through its loader.

A part of a file whose loader goes line by line is copied to a file of its own, with a first line
in front that the loader expects or passes over, and read by the loader as any file. The numbers of
its lines are mended afterwards, when it is known how many came before (see ``Shift``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kg.ingest.sources import Source

SPLIT_BYTES = 64 * 1024 * 1024
COPY_BYTES = 1024 * 1024

_HEADER = None
# Loaders that go line by line: the line that a part gets in front (None: the file's own first), and
# how many records the loader makes of that line. Any other loader gets its file whole.
_FIRST_LINE: dict[str, tuple[bytes | None, int]] = {
    "tsv-interactions": (_HEADER, 0),
    "tsv-items": (_HEADER, 0),
    "tsv-facts": (_HEADER, 0),
    "amazon-reviews": (b"\n", 1),
    "amazon-metadata": (b"\n", 1),
    "ntriples": (b"\n", 0),
}
_PACKED = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class Split:
    """Bytes ``start`` to ``end`` of a source file; lines that begin in them belong to it."""

    number: int
    """Of all splits, in the order of the sources."""
    file: int
    """Number of the source."""
    loader: str
    path: Path
    start: int
    end: int
    whole: bool

    @property
    def surplus(self) -> int:
        """Records that the loader makes of the line in front."""
        return 0 if self.start == 0 else _FIRST_LINE[self.loader][1]


@dataclass(frozen=True)
class Shift:
    """What came before a split in its file."""

    records: int
    lines: int
    """Less the line in front."""


def splits_of(sources: tuple[Source, ...], size: int = SPLIT_BYTES) -> list[Split]:
    """All sources in parts of about ``size`` bytes, in order."""
    splits: list[Split] = []
    for file, source in enumerate(sources):
        path = source.path.absolute()
        end = path.stat().st_size
        cut = source.loader in _FIRST_LINE and path.suffix.lower() not in _PACKED
        # An empty file has one part too: its loader has something to say about it.
        starts = range(0, max(end, 1), size) if cut else [0]
        for start in starts:
            stop = min(start + size, end) if cut else end
            whole = len(starts) == 1
            splits.append(Split(len(splits), file, source.loader, path, start, stop, whole))
    return splits


@contextmanager
def part_of(split: Split) -> Iterator[tuple[Path, int]]:
    """The split as a file that its loader can read, and how many of the source's lines it holds.

    For a file that is read whole the number is 0: nothing comes after that would need it.
    """
    if split.whole:
        yield split.path, 0
        return
    folder = Path(tempfile.mkdtemp(prefix="personarec-split-"))
    try:
        part = folder / split.path.name
        lines = _copy(split, part)
        yield part, lines
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(split: Split, part: Path) -> int:
    with split.path.open("rb") as source, part.open("wb") as target:
        first = source.readline() if split.start else b""
        front = _FIRST_LINE[split.loader][0]
        if split.start:
            target.write(first if front is None else front)
        start = _line_start(source, split.start)
        end = _line_start(source, split.end)
        source.seek(start)
        left, lines, last = end - start, 0, b"\n"
        while left and (block := source.read(min(left, COPY_BYTES))):
            target.write(block)
            left -= len(block)
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _line_start(source: BinaryIO, place: int) -> int:
    """The first place from ``place`` on at which a line begins, or the end."""
    if place == 0:
        return 0
    source.seek(place - 1)
    while True:
        block = source.readline(COPY_BYTES)
        if not block or block.endswith(b"\n"):
            return source.tell()


def shifts(splits: list[Split], records: list[int], lines: list[int]) -> list[Shift]:
    """What came before each split, from the records and lines of all of them."""
    result: list[Shift] = []
    before_records = before_lines = 0
    for split in splits:
        if split.start == 0:
            before_records = before_lines = 0
        # The line in front is the first of a part, so its own lines count from 2.
        result.append(Shift(before_records, before_lines - (1 if split.start else 0)))
        before_records += records[split.number]
        before_lines += lines[split.number]
    return result
