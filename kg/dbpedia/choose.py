"""Which DBpedia: an endpoint's address, or a folder of dumps."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from kg.dbpedia.dumps import DBpediaDumps
from kg.dbpedia.endpoint import PUBLIC, PUBLIC_GRAPH, DBpediaEndpoint
from kg.dbpedia.source import Progress
from kg.sparql.client import Endpoint, default_user_agent


def dbpedia(
    where: str,
    cache: Path,
    *,
    rate: float = 1.0,
    contact: str | None = None,
    indexing: Progress | None = None,
) -> DBpediaEndpoint | DBpediaDumps:
    """The source that ``where`` names.

    Args:
        where: ``http(s)://…`` for an endpoint, anything else for a folder of dumps.
        cache: Folder for an endpoint's answers, or for the index of dumps.
        rate: Requests a second that an endpoint gets, at most.
        contact: An address that an endpoint's keepers can write to.
        indexing: Called with dump files indexed, and files in all.

    Raises:
        ChangeSomethingError: the address is none, or ``cache`` cannot be made.
    """
    if "://" not in where:
        return DBpediaDumps(Path(where), cache, progress=indexing)
    # The public endpoint holds other graphs beside DBpedia's; a copy may name its own or none.
    public = urlsplit(where).hostname == urlsplit(PUBLIC).hostname
    return DBpediaEndpoint(
        Endpoint(
            where,
            cache,
            user_agent=default_user_agent(contact),
            min_interval=1 / rate,
            default_graph=PUBLIC_GRAPH if public else None,
        )
    )
