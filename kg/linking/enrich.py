"""Bring DBpedia to a data set: link its items, fetch their facts, and add both as sources.

What was found stays in the data set's folder under home, so that a later ingest that names no
endpoint and no dumps still has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kg.dbpedia.source import DBpedia, Fetched
from kg.ingest.sources import DataSetSources, Source
from kg.ingest.stage import Progress
from kg.ingest.staging import stage
from kg.linking.files import EFFECTIVE
from kg.linking.run import LinkResult, link_data_set
from kg.linking.score import DOMAINS
from kg.linking.staged import read_items
from kg.loaders.links import read_links
from kg.loaders.records import Link

FACTS = "dbpedia.nt"


@dataclass(frozen=True)
class Enriched:
    """What linking and fetching found."""

    links: LinkResult | None
    """None where items of this domain cannot be told by class, and only given links count."""
    fetched: Fetched

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fetched = self.fetched
        links = self.links
        return {
            "asked": links.asked if links else 0,
            "methods": links.methods if links else {},
            "unlinked": links.unlinked if links else {},
            "resources": fetched.resources,
            "facts": fetched.facts,
            "labels": fetched.labels,
            "abstracts": fetched.abstracts,
            "redirected": len(fetched.redirected),
            "unknown": len(fetched.unknown),
            "refused": len(fetched.refused),
            "retrieved": fetched.retrieved,
        }


def enrich(data_set: DataSetSources, folder: Path, source: DBpedia, progress: Progress) -> Enriched:
    """Link a data set's items to DBpedia and fetch what it says of them.

    Args:
        data_set: the data set by its own sources.
        folder: its folder under home; links and facts go there.
        source: DBpedia, by endpoint or dumps.
        progress: called with items linked and resources fetched.

    Raises:
        ChangeSomethingError: a source cannot be read, or the endpoint refused.
        TryAgainError: the endpoint does not answer; running again asks only what is missing.
    """
    staged = stage(data_set, folder / "before-linking", progress)
    links = link_data_set(staged, source, folder, progress) if data_set.domain in DOMAINS else None
    linked = (r.iri for r in read_links(folder / EFFECTIVE) if isinstance(r, Link)) if links else ()
    iris = {i.iri for i in read_items(staged) if i.iri}.union(linked)
    fetched = source.facts(
        sorted(iris),
        folder / FACTS,
        lambda done, total: progress("fetching facts", done, total),
    )
    return Enriched(links, fetched)


def enriched_sources(data_set: DataSetSources, folder: Path) -> DataSetSources:
    """The data set with the links and facts found for it so far as further sources."""
    found = [
        Source(loader, folder / name)
        for loader, name in (("links", EFFECTIVE), ("ntriples", FACTS))
        if (folder / name).is_file()
    ]
    return replace(data_set, sources=(*data_set.sources, *found))
