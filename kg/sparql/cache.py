"""Answers on disk, so that nothing is asked twice and a killed run goes on where it stood.

One gzip file an answer, named by the hash of endpoint, graph and query; gzip's own checksum tells
a damaged file, which counts as absent. A file appears by rename, whole or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from kg.errors import ChangeSomethingError, one_line
from kg.partial import written_whole


class Term(NamedTuple):
    """A value in an answer."""

    kind: str
    """``uri``, ``literal`` or ``bnode``, as in SPARQL's JSON."""
    value: str
    language: str = ""


Row = Mapping[str, Term]


class Entry(NamedTuple):
    """What the cache knows of a query."""

    rows: list[Row]
    retrieved: str
    """When the endpoint answered: ISO 8601, UTC."""
    incomplete: str = ""
    """Why the answer was not believed; the block was split, and there are no rows."""


class AnswerCache:
    """The answers of one endpoint, in a folder that several may share."""

    def __init__(self, folder: Path, endpoint: str, graph: str | None) -> None:
        """Raises ChangeSomethingError when the folder cannot be made."""
        self.folder = folder
        self._asked = {"endpoint": endpoint, "graph": graph}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ChangeSomethingError(
                f"cannot keep answers in {folder}: {one_line(error)}; name another cache folder"
            ) from error

    def path(self, query: str) -> Path:
        """Where the answer to a query is, or would be."""
        asked = orjson.dumps(self._asked | {"query": query}, option=orjson.OPT_SORT_KEYS)
        return self.folder / f"{hashlib.sha256(asked).hexdigest()}.json.gz"

    def get(self, query: str) -> Entry | None:
        """The entry of a query, or None where there is none that can be read."""
        try:
            document = orjson.loads(gzip.decompress(self.path(query).read_bytes()))
            if document["query"] != query:
                return None
            rows: list[Row] = [
                {name: Term(*term) for name, term in row.items()} for row in document["rows"]
            ]
            return Entry(rows, document["retrieved"], document["incomplete"])
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, query: str, entry: Entry) -> None:
        """Keep an entry. Raises ChangeSomethingError when the disk refuses."""
        document: dict[str, Any] = self._asked | {"query": query} | entry._asdict()
        document["rows"] = [{name: tuple(t) for name, t in row.items()} for row in entry.rows]
        path = self.path(query)
        try:
            with written_whole(path) as file:
                file.write(gzip.compress(orjson.dumps(document), compresslevel=3, mtime=0))
        except OSError as error:
            raise ChangeSomethingError(
                f"cannot keep an answer in {self.folder}: {one_line(error)}; make room or name "
                "another cache folder, then run again"
            ) from error

    def forget(self, query: str) -> None:
        """Ask a query anew next time."""
        self.path(query).unlink(missing_ok=True)
