"""Ingest: load a data set into the graph, or write files for the database's own importer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kg.ingest import ingest
from kg.ingest.mending import FILE as MENDED
from kg.store import GraphStore
from personarec.console import out, print_table, progress_bar, say
from personarec.datasets.manifest import resolve, wants_dbpedia

if TYPE_CHECKING:
    from kg.ingest import DataSetSources, IngestResult
    from kg.ingest.offline import ImportFiles
    from kg.ingest.stage import Progress, Stage
    from kg.linking.enrich import Enriched


@dataclass(frozen=True)
class Wanted:
    """What an ingest is asked to load, and from where."""

    dataset: str
    data: Path | None = None
    """Folder of its files, instead of the manifest's."""
    also: bool = False
    """Take later purchases too."""
    k_core: int | None = None
    dbpedia: str | None = None
    """Address of a SPARQL endpoint that answers for DBpedia, or folder of its dumps."""
    rate: float = 1.0
    """Requests a second to the endpoint, at most."""
    contact: str | None = None
    """Address that the endpoint's keepers can write to."""
    max_bad: float = 0.01
    engine: str = "local"


def ingest_data_set(
    store: GraphStore,
    wanted: Wanted,
    home: Path,
    *,
    batch_rows: int = 5_000,
    dry_run: bool = False,
) -> tuple[IngestResult, Enriched | None]:
    """Load a data set, or say what a load would do; and what DBpedia said of it, where asked."""
    with progress_bar() as progress:
        sources, enriched = _sources(wanted, home, progress)
        result = _ingest_with(wanted.engine)(
            store,
            sources,
            home,
            progress,
            max_bad=wanted.max_bad,
            batch_rows=batch_rows,
            dry_run=dry_run,
        )
    return result, enriched


def write_import_files(
    wanted: Wanted, home: Path, folder: Path
) -> tuple[ImportFiles, Enriched | None]:
    """Write a data set as files for Neo4j's own importer."""
    from kg.ingest.offline import ingest_offline, require_empty

    require_empty(folder)
    database = os.environ.get("PERSONAREC_GRAPH_DATABASE") or "neo4j"
    with progress_bar() as progress:
        sources, enriched = _sources(wanted, home, progress)
        _stage_with(wanted.engine, sources, home, progress)
        files = ingest_offline(
            sources, home, folder, progress, max_bad=wanted.max_bad, database=database
        )
    return files, enriched


def _sources(
    wanted: Wanted, home: Path, progress: Progress
) -> tuple[DataSetSources, Enriched | None]:
    """The data set's own sources and, where there are some, links and facts of DBpedia."""
    from kg.dbpedia.choose import dbpedia
    from kg.linking.enrich import enrich, enriched_sources

    own = resolve(wanted.dataset, data=wanted.data, also=wanted.also, k_core=wanted.k_core)
    folder = home / "ingest" / own.name
    own = replace(own, mended=folder / MENDED)
    enriched = None
    if wanted.dbpedia:
        source = dbpedia(
            wanted.dbpedia,
            home / "dbpedia",
            rate=wanted.rate,
            contact=wanted.contact,
            indexing=lambda done, total: progress("indexing dumps", done, total),
        )
        enriched = enrich(own, folder, source, progress)
    sources = enriched_sources(own, folder)
    if sources == own and wants_dbpedia(wanted.dataset) and not _has_facts(own):
        say("no facts of DBpedia yet: name its endpoint or dumps with --dbpedia")
    return sources, enriched


def _has_facts(data_set: DataSetSources) -> bool:
    return any(
        s.loader in ("recbole-kg", "amazon-kg-triples", "ntriples") for s in data_set.sources
    )


def print_enriched(enriched: Enriched) -> None:
    """What linking and fetching found."""
    if links := enriched.links:
        kinds = {**links.methods, **links.unlinked}
        rows = [(kind, "yes" if kind in links.methods else "no", n) for kind, n in kinds.items()]
        print_table("links to DBpedia", ("by, or why not", "linked", "items"), rows)
    fetched = enriched.fetched
    out.print(
        f"DBpedia: {fetched.resources} resources, {fetched.facts} facts, {fetched.labels} labels, "
        f"{fetched.abstracts} abstracts; {len(fetched.redirected)} redirected, "
        f"{len(fetched.unknown)} unknown there, {len(fetched.refused)} unusable",
        markup=False,
    )


def _ingest_with(engine: str) -> Callable[..., IngestResult]:
    if engine == "spark":
        from kg.spark import ingest_with_spark

        return ingest_with_spark
    return ingest


def _stage_with(engine: str, sources: DataSetSources, home: Path, progress: Progress) -> None:
    """Stage by Spark where that is asked for; what comes after finds the stage there."""
    if engine == "spark":
        from kg.spark import stage_with_spark

        stage_with_spark(sources, home / "ingest" / sources.name, progress)


def print_import_files(files: ImportFiles) -> None:
    """The books, and what to do with the files."""
    _print_books(files.stage)
    out.print(
        f"{files.nodes} nodes and {files.relations} relations for load {files.load} are in "
        f"{files.folder}\n"
        "Fill a new database with them, its server stopped:\n\n"
        f"  {files.command}\n\n"
        "Only a database that is new or empty can be filled; over an empty one that the server has "
        "made already, add --overwrite-destination, which deletes whatever it holds. Then start "
        "the server and run the same kg ingest with --graph instead of --offline: it makes the "
        "constraints and finds nothing to change.",
        markup=False,
    )


def print_ingest(result: IngestResult) -> None:
    """The books of a load, and what it did to the graph."""
    _print_books(result.stage)
    counts = f"{result.created} created, {result.changed} changed, {result.unchanged} unchanged"
    if result.dry_run:
        what = "would go on with an open load" if result.resumed else "would load"
        out.print(f"dry run, nothing written; kg ingest {what}: {counts}")
    elif result.load is None:
        out.print(f"nothing changed: {counts}")
    else:
        out.print(f"{'resumed ' if result.resumed else ''}load {result.load}: {counts}")
    if result.retries:
        out.print(f"{result.retries} units of work ran again (another writer, or the connection)")
    if result.stage.total("quarantined"):
        out.print(f"set aside, with reasons: {result.stage.folder / 'quarantine.jsonl'}")


def _print_books(stage: Stage) -> None:
    columns = (
        "source", "rows in", "merged", "duplicates", "of them conflicting", "outside the core",
        "quarantined",
    )  # fmt: skip
    rows = [
        (b.source, b.rows_in, b.merged, b.duplicates, b.conflicts, b.filtered, b.quarantined)
        for b in stage.books
    ]
    print_table(f"data set {stage.data_set}", columns, rows)
