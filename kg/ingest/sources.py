"""What is to be loaded: a data set's name, its domain and its source files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kg.errors import ChangeSomethingError
from kg.schema import DOMAINS


@dataclass(frozen=True)
class Source:
    """One file and the loader that reads it."""

    loader: str
    path: Path

    def sha256(self) -> str:
        """Hash of the file's bytes. Raises ChangeSomethingError for one that cannot be read."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ChangeSomethingError(
                f"cannot read {self.path}: {error.strerror}; check the path in the data set"
            ) from None


@dataclass(frozen=True)
class DataSetSources:
    """A data set as the ingest sees it."""

    name: str
    domain: str
    sources: tuple[Source, ...]
    k_core: int = 0
    """Keep only users and items with at least this many interactions among the kept; 0 for all."""
    mended: Path | None = None
    """File of rows that a person mended (see kg.ingest.mending), where there may be one."""

    def names(self) -> list[str]:
        """What the books call each source: its file's name, or its path where names are equal."""
        names = [s.path.name for s in self.sources]
        return [
            n if names.count(n) == 1 else str(s.path)
            for n, s in zip(names, self.sources, strict=True)
        ]

    @property
    def item_label(self) -> str:
        """Label of its items."""
        return DOMAINS[self.domain]

    def content_hash(self) -> str:
        """Hash of everything the staged tables depend on: names, loaders and the files' bytes.

        Raises ChangeSomethingError for a file that cannot be read.
        """
        digest = hashlib.sha256(
            f"{STAGE_FORMAT}\n{self.name}\n{self.domain}\n{self.k_core}\n".encode()
        )
        for source in self.sources:
            digest.update(f"{source.loader} {source.path.name} {source.sha256()}\n".encode())
        if self.mended is not None and self.mended.is_file():
            digest.update(self.mended.read_bytes())
        return digest.hexdigest()


STAGE_FORMAT = 2
"""Raised whenever the same files would be staged differently, so that old stages are not reused."""
