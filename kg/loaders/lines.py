"""Text lines of a file, one at a time, with what is wrong with a line said instead of raised."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import zstandard

from kg.loaders.records import Record, Rejected
from kg.loaders.source_file import at_line

MAX_LINE = 8 * 1024 * 1024  # bytes; also the most that one database message may hold
SHOWN = 200  # characters of a rejected line that are kept
PACKED_CHUNK = 256
"""Packed bytes unpacked at a time: 256 bytes of zstd can become 8 MB, and no call caps that."""
UNPACKED_CHUNK = 1024 * 1024  # bytes unpacked at most at a time, where a call caps it
Content = TypeVar("Content")


def rejected(line: int, reason: str, text: str = "") -> Rejected:
    """A Rejected with its reason and text cut to a readable length."""
    return Rejected(line, reason[:SHOWN], text[:SHOWN])


def read_lines(path: Path) -> Iterator[tuple[int, str] | Rejected]:
    """Yield (line number from 1, text without its end) for every line, blank ones too.

    A file named ``….gz``, ``….bz2`` or ``….zst`` is unpacked on the way, also when it is several
    packed files one after the other. A line that is too long, is not UTF-8, or holds NUL comes as
    Rejected; so does, once, the place where a compressed file is cut short or broken.
    """
    number = 0
    with unpacked(path) as file:
        try:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                at_line(path, number)
                if len(raw) > MAX_LINE:
                    yield rejected(number, f"line longer than {MAX_LINE} bytes", repr(raw[:SHOWN]))
                    while raw and not raw.endswith(b"\n"):
                        raw = file.readline(MAX_LINE)
                    continue
                yield _decoded(number, raw)
        except EOFError:
            yield rejected(number + 1, f"compressed file cut short after line {number}")
        except BROKEN as error:
            yield rejected(number + 1, f"compressed file broken after line {number}: {error}")


def read_records(
    rows: Iterable[tuple[int, Content, str] | Rejected],
    parse: Callable[[int, Content], Iterable[Record]],
) -> Iterator[Record | Rejected]:
    """The records of each row, all of them or none.

    Args:
        rows: (line number, content, text to show of it), or a line that was set aside already.
        parse: makes records of a line's number and content, or raises ValueError with what is
            wrong; the line is then set aside.
    """
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        number, content, text = row
        try:
            records = list(parse(number, content))
        except ValueError as error:
            yield rejected(number, str(error), text)
        else:
            yield from records


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked where its name says that it is packed.

    Reading raises EOFError where a packed file is cut short, one of BROKEN where it is broken.
    """
    with path.open("rb") as packed, _unpacked(packed, path.suffix.lower()) as file:
        yield cast(IO[bytes], file)


def _unpacked(packed: BufferedReader, suffix: str) -> BufferedIOBase:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=packed)
    if suffix == ".bz2":
        return BufferedReader(_Unpacked(packed, bz2.BZ2Decompressor, UNPACKED_CHUNK))
    if suffix == ".zst":
        return BufferedReader(_Unpacked(packed, _zstd))
    return packed


def _zstd() -> Any:
    return zstandard.ZstdDecompressor().decompressobj()


class _BrokenError(Exception):
    """Packed bytes that do not unpack."""


BROKEN = (gzip.BadGzipFile, zlib.error, _BrokenError)
"""What reading of broken packed bytes raises."""


class _Unpacked(RawIOBase):
    """Unpacked bytes of a file of one or more packed streams.

    The readers of ``bz2`` and ``zstandard`` pass over a cut end or what follows the last stream in
    silence; this one raises EOFError or _BrokenError.
    """

    def __init__(self, file: BufferedReader, unpacker: Callable[[], Any], *limit: int) -> None:
        self._file = file
        self._unpacker = unpacker
        self._limit = limit
        self._stream: Any = None  # the packed stream that is open; None between two
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if getattr(self._stream, "needs_input", True):
                packed = self._packed or self._file.read1(PACKED_CHUNK)
                if not packed:
                    if self._stream is None:
                        return 0
                    raise EOFError
                self._packed = b""
            else:
                packed = b""  # the rest of what it was given last
            self._unpack(packed)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self, packed: bytes) -> None:
        try:
            if self._stream is None:
                self._stream = self._unpacker()
            self._ready = memoryview(self._stream.decompress(packed, *self._limit))
        except (OSError, ValueError, zstandard.ZstdError) as error:
            raise _BrokenError(str(error)) from error
        if self._stream.eof:
            self._packed, self._stream = self._stream.unused_data, None


def _decoded(number: int, raw: bytes) -> tuple[int, str] | Rejected:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return rejected(number, f"not UTF-8 at byte {error.start}", repr(raw[:SHOWN]))
    if "\0" in text:
        return rejected(number, "holds a NUL character", repr(text[:SHOWN]))
    return number, text.lstrip("\ufeff") if number == 1 else text
