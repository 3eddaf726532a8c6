"""Writes an N-Triples file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyoxigraph import Literal, NamedNode

from kg.errors import ChangeSomethingError, one_line
from kg.partial import partial_path, remove
from kg.schema import ABSTRACT, RDFS_LABEL


class TriplesFile:
    """Facts and abstracts in the order given, each flush sorted; names, sorted, at the end.

    So the file does not depend on how many resources were asked about at once.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._lines: set[str] = set()
        self._names: dict[str, str] = {}
        self.facts = self.abstracts = self.malformed = 0

    @property
    def labels(self) -> int:
        """Resources that have a name."""
        return len(self._names)

    def fact(self, subject: str, predicate: str, value: str) -> None:
        """A fact between resources; one whose object is no IRI is counted and left out."""
        try:
            line = f"{NamedNode(subject)} {NamedNode(predicate)} {NamedNode(value)} .\n"
        except ValueError:
            self.malformed += 1
            return
        if line not in self._lines:
            self._lines.add(line)
            self.facts += 1

    def name(self, iri: str, text: str) -> None:
        """A resource's name; the first one given stays."""
        if iri not in self._names and (line := _text_line(iri, RDFS_LABEL, text)):
            self._names[iri] = line

    def abstract(self, iri: str, text: str) -> None:
        """What a resource is, in a paragraph."""
        if line := _text_line(iri, ABSTRACT, text):
            self._lines.add(line)
            self.abstracts += 1

    def flush(self) -> None:
        """Write facts and abstracts given since the last time, sorted."""
        self._file.writelines(sorted(self._lines))
        self._lines.clear()

    def close(self, *, keep: bool) -> None:
        """Close; where the file is kept, write the names and see it all on the disk."""
        try:
            if keep:
                self.flush()
                self._file.writelines(self._names[iri] for iri in sorted(self._names))
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _text_line(iri: str, predicate: str, text: str) -> str | None:
    """A line for a text; None for one that says nothing, or is not of an IRI.

    A malformed IRI is counted with its fact.
    """
    if not text.strip() or "\0" in text:
        return None
    try:
        return f"{NamedNode(iri)} {NamedNode(predicate)} {Literal(text, language='en')} .\n"
    except ValueError:
        return None


@contextmanager
def triples_file(out: Path) -> Iterator[TriplesFile]:
    """A file that takes the place of ``out`` when the block ends well.

    Raises:
        ChangeSomethingError: the folder cannot be written.
    """
    partial = partial_path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = TriplesFile(partial)
        try:
            yield file
        except BaseException:
            file.close(keep=False)
            raise
        file.close(keep=True)
        partial.replace(out)
    except OSError as error:
        raise ChangeSomethingError(
            f"cannot write {out}: {one_line(error)}; make room or name another file"
        ) from error
    finally:
        remove(partial)
