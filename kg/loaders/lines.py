"""Text lines of a file, one at a time, with what is wrong with a line said instead of raised."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from kg.loaders.records import Rejected

MAX_LINE = 8 * 1024 * 1024  # bytes; also the most that one database message may hold
SHOWN = 200  # characters of a rejected line that are kept


def rejected(line: int, reason: str, text: str = "") -> Rejected:
    """A Rejected with its reason and text cut to a readable length."""
    return Rejected(line, reason[:SHOWN], text[:SHOWN])


def read_lines(path: Path) -> Iterator[tuple[int, str] | Rejected]:
    """Yield (line number from 1, text without its end) for every line, blank ones too.

    A file named ``….gz`` is unpacked on the way. A line that is too long, is not UTF-8, or holds
    NUL comes as Rejected; so does, once, the place where a compressed file is cut short or broken.
    """
    number = 0
    with _open(path) as file:
        try:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    yield rejected(number, f"line longer than {MAX_LINE} bytes", repr(raw[:SHOWN]))
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(MAX_LINE)
                    continue
                yield _decoded(number, raw)
        except EOFError:
            yield rejected(number + 1, f"compressed file cut short after line {number}")
        except (gzip.BadGzipFile, zlib.error) as error:
            yield rejected(number + 1, f"compressed file broken after line {number}: {error}")


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _decoded(number: int, raw: bytes) -> tuple[int, str] | Rejected:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return rejected(number, f"not UTF-8 at byte {error.start}", repr(raw[:SHOWN]))
    if "\0" in text:
        return rejected(number, "holds a NUL character", repr(text[:SHOWN]))
    return number, text.lstrip("\ufeff") if number == 1 else text
