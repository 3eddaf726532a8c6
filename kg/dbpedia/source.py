"""What the program asks of DBpedia, whether an endpoint or a folder of dumps answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

Progress = Callable[[int, int], None]
"""Called with how many of how many resources are done."""


class Description(NamedTuple):
    """What tells a resource from its namesakes."""

    iri: str
    """The IRI as asked for, also where it redirects; the rest is then said of its target."""
    label: str | None
    """rdfs:label in English: the page's title, with its bracket: ``Heat (1995 film)``."""
    types: frozenset[str]
    """rdf:type, classes of the DBpedia ontology only, as full IRIs."""
    creators: frozenset[str]
    """Names of author, director, creator, writer, composer and cast: page titles, no bracket."""
    year: int | None
    """Of the earliest release or publication, else from the label: ``(1995 film)``."""
    abstract: str | None
    """dbo:abstract in English."""


class Fetched(NamedTuple):
    """What a fetch of facts wrote, and how it came by it."""

    resources: int
    """IRIs asked for, each once."""
    facts: int
    """Triples between resources, skos:broader among them."""
    labels: int
    abstracts: int
    redirected: dict[str, str]
    """IRI asked for -> the IRI it redirects to in the end. Facts of that one are written under the
    IRI asked for, so that the item linked to it gets them."""
    unknown: tuple[str, ...]
    """IRIs asked for of which the source says nothing at all."""
    refused: dict[str, str]
    """What was asked for and is no IRI -> why. It was not asked."""
    malformed: int
    """Facts left out because the source's object is no IRI by RFC 3987."""
    retrieved: str | None
    """When the oldest answer used came from the endpoint (ISO 8601, UTC); None for dumps."""
    broken: dict[str, int]
    """Dump file -> statements in it that could not be read; empty for an endpoint."""


class DBpedia(Protocol):
    """DBpedia by its endpoint or its dumps: the same questions, the same answers."""

    def by_label(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """Resources of exactly these English labels.

        Every label asked for is a key; its list is sorted and may be empty. A resource that
        redirects stands for its target. A disambiguation page is not in the list: the pages that
        it names are.
        """

    def describe(self, iris: Iterable[str]) -> dict[str, Description]:
        """What is known of each resource. IRIs of which nothing is known are left out."""

    def facts(self, iris: Iterable[str], out: Path, progress: Progress | None = None) -> Fetched:
        """Write facts, labels and abstracts as N-Triples that the loader ``ntriples`` reads.

        ``out`` appears only when everything is in it. Lines are sorted, so that the same answers
        make the same file.
        """
