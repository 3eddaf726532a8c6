"""One file of a DBpedia dump as Parquet, made once: only the statements that are ever asked for.

A file is read as a stream and written in parts of a fixed number of rows, so memory does not grow
with it. An index belongs to a file of one name, size and time, and appears by rename.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kg.dbpedia.vocabulary import ALL, TYPE
from kg.errors import ChangeSomethingError, one_line
from kg.loaders.lines import BROKEN, MAX_LINE, unpacked
from kg.partial import partial_path, remove
from kg.schema import DBO

FORMATS = {".nt": "N_TRIPLES", ".ttl": "TURTLE"}
PACKED = (".gz", ".bz2", ".zst")
PART_ROWS = 200_000
BLOCK_BYTES = 1 << 20
BROKEN_ALWAYS_ALLOWED = 100
BROKEN_SHARE = 0.01
COLUMNS = ("s", "p", "o", "iri")
_VERSION = "1"
"""Of what an index holds; a new one makes old indexes count as absent."""


@dataclass(frozen=True)
class FileIndex:
    """The index of one dump file."""

    parts: tuple[Path, ...]
    kept: int
    read: int
    broken: int
    """Lines that could not be read."""


def dump_files(folder: Path) -> list[Path]:
    """The files of a dump. Raises ChangeSomethingError when there are none."""
    try:
        found = sorted(f for f in folder.rglob("*") if f.is_file() and _format(f))
    except OSError as error:
        raise ChangeSomethingError(f"cannot read {folder}: {one_line(error)}") from error
    if not found:
        raise ChangeSomethingError(
            f"no .nt or .ttl file (plain, .gz, .bz2 or .zst) under {folder}; "
            "download the dumps there, or name another folder"
        )
    return found


def file_index(path: Path, cache: Path) -> FileIndex:
    """The index of a dump file, made now unless it is there.

    Raises:
        ChangeSomethingError: the file cannot be read or is cut short, more than 1 % of it (and
            more than 100 lines) is broken, or the cache folder cannot be written.
    """
    status = path.stat()
    key = repr((_VERSION, str(path.resolve()), status.st_size, status.st_mtime_ns, sorted(ALL)))
    folder = cache / f"dump-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    if (made := _load(folder)) is not None:
        return made
    partial = partial_path(folder)
    try:
        remove(partial)
        partial.mkdir(parents=True)
        books = _make(path, partial)
        (partial / "books.json").write_text(json.dumps(books), "utf-8")
        remove(folder)
        partial.rename(folder)
    except OSError as error:
        raise ChangeSomethingError(
            f"cannot index {path} in {cache}: {one_line(error)}; make room or name another folder"
        ) from error
    finally:
        remove(partial)
    made = _load(folder)
    if made is None:
        raise ChangeSomethingError(f"the index just made in {folder} is gone; run again")
    return made


def _load(folder: Path) -> FileIndex | None:
    try:
        books = json.loads((folder / "books.json").read_text("utf-8"))
        return FileIndex(tuple(sorted(folder.glob("*.parquet"))), **books)
    except (OSError, ValueError, TypeError):
        return None


def _format(path: Path) -> str | None:
    bare = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return FORMATS.get(bare.suffix.lower())


def _make(path: Path, folder: Path) -> dict[str, int]:
    import polars as pl

    books = {"kept": 0, "read": 0, "broken": 0}
    rows: list[tuple[str, str, str, bool]] = []

    def write() -> None:
        frame = pl.DataFrame(rows, schema=list(COLUMNS), orient="row") if rows else None
        if frame is not None:
            frame.write_parquet(folder / f"{books['kept']:012d}.parquet")
        rows.clear()

    for row in _wanted(path, books):
        rows.append(row)
        books["kept"] += 1
        if len(rows) >= PART_ROWS:
            write()
    write()
    return books


def _wanted(path: Path, books: dict[str, int]) -> Iterator[tuple[str, str, str, bool]]:
    """Statements that are ever asked for; counts what is read and what is broken."""
    from pyoxigraph import NamedNode

    for triple in _statements(path, books):
        predicate = triple.predicate.value
        if predicate not in ALL or not isinstance(triple.subject, NamedNode):
            continue
        value = triple.object
        if isinstance(value, NamedNode):
            # Types of other vocabularies are many, and never asked for.
            if predicate != TYPE or value.value.startswith(DBO):
                yield triple.subject.value, predicate, value.value, True
        elif getattr(value, "language", "") in (None, "en"):
            yield triple.subject.value, predicate, value.value, False


def _statements(path: Path, books: dict[str, int]) -> Iterator[Any]:
    from pyoxigraph import RdfFormat, parse

    try:
        if _is_line_based(path):
            with unpacked(path) as file:
                yield from _by_lines(path, file, books)
            return
        with unpacked(path) as file:
            # Here a broken statement may swallow those after it, unseen: so it is an error.
            for triple in parse(input=file, format=RdfFormat.TURTLE):
                books["read"] += 1
                yield triple
    except SyntaxError as error:
        raise ChangeSomethingError(
            f"{path}, line {error.lineno}: not Turtle: {one_line(ValueError(error.msg))}; "
            "mend it, or take the file as N-Triples"
        ) from error
    except (OSError, EOFError, *BROKEN) as error:
        raise ChangeSomethingError(
            f"{path} cannot be read to its end: {one_line(error) or 'it is cut short'}; "
            "download it again"
        ) from error


def _is_line_based(path: Path) -> bool:
    """Whether each line is a statement: N-Triples, and the .ttl files that DBpedia publishes."""
    from pyoxigraph import RdfFormat, parse

    if _format(path) == "N_TRIPLES":
        return True
    with unpacked(path) as file:
        while line := file.readline(MAX_LINE):
            if line.strip() and not line.lstrip().startswith(b"#"):
                try:
                    return bool(list(parse(input=line, format=RdfFormat.N_TRIPLES)))
                except SyntaxError:
                    return False
    return True


def _by_lines(path: Path, file: IO[bytes], books: dict[str, int]) -> Iterator[Any]:
    """Parse many lines at once; where one is broken, those lines one by one."""
    from pyoxigraph import RdfFormat, parse

    while lines := file.readlines(BLOCK_BYTES):
        try:
            triples = list(parse(input=b"".join(lines), format=RdfFormat.N_TRIPLES))
        except SyntaxError:
            triples = []
            for line in lines:
                try:
                    triples += parse(input=line, format=RdfFormat.N_TRIPLES)
                except SyntaxError as error:
                    books["broken"] += 1
                    broken = one_line(ValueError(error.msg))
        books["read"] += len(triples)
        if books["broken"] > max(BROKEN_ALWAYS_ALLOWED, BROKEN_SHARE * books["read"]):
            raise ChangeSomethingError(
                f"{path}: {books['broken']} broken lines beside {books['read']} good ones, the "
                f"last one: {broken}; is it N-Triples?"
            )
        yield from triples
