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


@dataclass(frozen=True)
class DataSetSources:
    """A data set as the ingest sees it."""

    name: str
    domain: str
    sources: tuple[Source, ...]

    @property
    def item_label(self) -> str:
        """Label of its items."""
        return DOMAINS[self.domain]

    def content_hash(self) -> str:
        """Hash of everything the staged tables depend on: names, loaders and the files' bytes.

        Raises ChangeSomethingError for a file that cannot be read.
        """
        digest = hashlib.sha256(f"{STAGE_FORMAT}\n{self.name}\n{self.domain}\n".encode())
        for source in self.sources:
            try:
                with source.path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ChangeSomethingError(
                    f"cannot read {source.path}: {error.strerror}; check the path in the data set"
                ) from None
            digest.update(f"{source.loader} {source.path.name} {content}\n".encode())
        return digest.hexdigest()


STAGE_FORMAT = 1
"""Raised whenever the same files would be staged differently, so that old stages are not reused."""
