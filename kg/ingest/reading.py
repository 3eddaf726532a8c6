"""Read every source of a data set: usable records go to disk, the others to the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kg.ingest.mending import mended_rows, read_mended
from kg.ingest.quarantine import Quarantine
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.spill import Spill
from kg.ingest.stage import Books, Progress
from kg.loaders import loader
from kg.loaders.records import (
    KEYS,
    Interaction,
    IriFact,
    Item,
    ItemFact,
    Record,
    Rejected,
    UserFact,
)
from kg.loaders.source_file import SourceFile
from kg.schema import mint_iri

MAX_KEY = 1_000  # characters; longer keys do not fit a database's index
TELL = 10_000  # rows between two words of progress


def read_sources(
    data_set: DataSetSources,
    records: Spill,
    books: list[Books],
    quarantine: Quarantine,
    progress: Progress,
) -> None:
    """Read all sources once, in order, with the rows that a person mended in place of theirs."""
    for file, (source, name) in enumerate(zip(data_set.sources, data_set.names(), strict=True)):
        book = books[file]
        what = f"reading {source.path.name}"
        path = SourceFile(source.path)
        mended = mended_rows(data_set.mended, name, source)
        for line, record in _records(source, path, mended):
            book.rows_in += 1
            if isinstance(record, Rejected):
                quarantine.add(file, line, record.reason, record.text)
            elif reason := unusable(record):
                quarantine.add(file, line, reason, str(record))
            else:
                records.add(record, file, book.rows_in, line)
            if book.rows_in % TELL == 0:
                progress(what, book.rows_in, path.rows_in_all(book.rows_in))
        progress(what, book.rows_in, book.rows_in)


def _records(
    source: Source, path: SourceFile, mended: list[tuple[int, str]]
) -> Iterator[tuple[int, Record | Rejected]]:
    """Every record with the line that it came from."""
    replaced = {line for line, _ in mended}
    for place, record in enumerate(loader(source.loader).read(path), 1):
        line = record.line if isinstance(record, Rejected) else path.line or place
        if line not in replaced:
            yield line, record
    if mended:
        yield from read_mended(source, mended)


def unusable(record: Any) -> str | None:
    """Why a record's keys cannot be keys of the graph, or None."""
    for key in record[: KEYS[type(record)]]:
        if not key.strip():
            return "an empty key"
        if "\0" in key:
            return "a key with a NUL character"
        if len(key) > MAX_KEY:
            return f"a key longer than {MAX_KEY} characters"
    return _unusable_value(record)


def _unusable_value(record: Any) -> str | None:
    if isinstance(record, Interaction) and not -(2**63) <= record.timestamp < 2**63:
        return f"timestamp out of range: {str(record.timestamp)[:50]}"
    if isinstance(record, Item) and any(len(mint_iri("genre", g)) > MAX_KEY for g in record.genres):
        return f"a genre whose key is longer than {MAX_KEY} characters"
    if isinstance(record, IriFact | ItemFact | UserFact) and ":" not in record.object:
        return f"the object is not an IRI: {record.object[:50]!r}"
    return None
