"""What the commands do and how they show it; ``cli.py`` holds their options only."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.ingest import data_sets, ingest, planned, remove
from kg.ingest.mending import FILE as MENDED
from kg.ingest.stage import last_stage
from kg.schema import NODE_TYPES, RELATION_TYPES, relation_type
from kg.store import GraphStore
from kg.views.personas import (
    Neighbour,
    current_model,
    neighbours,
    preferences_of,
    require_model,
    require_user,
    versions,
)
from personarec.console import out, print_table, progress_bar, say
from personarec.datasets.manifest import ALSO_LOADERS, name_of, resolve, wants_dbpedia

if TYPE_CHECKING:
    from kg.export import ExportResult
    from kg.ingest import DataSetSources, IngestResult, RemoveResult
    from kg.ingest.offline import ImportFiles
    from kg.ingest.stage import Progress, Stage
    from kg.linking.enrich import Enriched
    from personarec.recommend.service import Recommended
    from personarec.training.config import TrainConfig


# -- the graph -------------------------------------------------------------------------------------


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
        _stage_with(wanted.engine, sources, home, progress)
        result = ingest(
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


def quarantine_document(home: Path, dataset: str, limit: int | None) -> dict[str, Any]:
    """Rows that the last stage of a data set set aside, as plain data."""
    staged = last_stage(home, name_of(dataset))
    return {
        "dataset": staged.data_set,
        "file": str(staged.folder / "quarantine.jsonl"),
        "quarantined": staged.total("quarantined"),
        "rows": list(islice(staged.quarantine(), limit)),
    }


def write_quarantined(home: Path, dataset: str, data: Path | None, path: Path) -> int:
    """Write the rows set aside, with their whole text, as JSON lines to mend; how many."""
    import orjson

    from kg.ingest.mending import whole_rows
    from kg.partial import partial_path

    sources, staged = _staged_sources(home, dataset, data)
    count = 0
    partial = partial_path(path)
    with partial.open("wb") as file:
        for row in whole_rows(sources, staged):
            file.write(orjson.dumps(row) + b"\n")
            count += 1
    partial.replace(path)
    return count


def take_back_rows(home: Path, dataset: str, data: Path | None, path: Path) -> int:
    """Keep mended rows for the next ingest; how many there are now."""
    from kg.ingest.mending import take_back

    sources, staged = _staged_sources(home, dataset, data)
    return take_back(sources, staged, path, home / "ingest" / staged.data_set)


def _staged_sources(home: Path, dataset: str, data: Path | None) -> tuple[DataSetSources, Stage]:
    from kg.linking.enrich import enriched_sources

    staged = last_stage(home, name_of(dataset))
    # As they were staged: two sources in one file are told apart by their paths.
    also = any(book.loader in ALSO_LOADERS for book in staged.books)
    own = resolve(dataset, data=data, also=also)
    return enriched_sources(own, home / "ingest" / own.name), staged


def print_quarantine(document: dict[str, Any]) -> None:
    """The rows set aside, and where all of them are."""
    rows, total = document["rows"], document["quarantined"]
    if rows:
        columns = ("source", "line", "reason", "text")
        print_table("", columns, [[r[c] for c in columns] for r in rows])
    shown = f" ({len(rows)} shown)" if len(rows) < total else ""
    out.print(f"{total} rows set aside{shown}: {document['file']}", markup=False)


def correct_links(
    home: Path, dataset: str, accept: Path | None, reject: Path | None
) -> dict[str, Any]:
    """Store a person's corrections of links: all lines of both files, or none."""
    from kg.linking import correct

    staged = last_stage(home, name_of(dataset))
    return correct(staged, home / "ingest" / staged.data_set, accept, reject)


def print_corrected(corrected: dict[str, Any]) -> None:
    """How many corrections and links there are now, and the next step."""
    out.print(
        f"{corrected['corrections']} corrections, {corrected['links']} links: {corrected['file']}; "
        "the next personarec kg ingest brings them into the graph",
        markup=False,
    )


def link_document(home: Path, dataset: str, sample: int, seed: int) -> dict[str, Any]:
    """The links of a data set in figures, as plain data."""
    from kg.linking import link_report

    staged = last_stage(home, name_of(dataset))
    return link_report(staged, home / "ingest" / staged.data_set, sample=sample, seed=seed)


def print_links(document: dict[str, Any]) -> None:
    """The links of a data set as tables."""
    from kg.linking.report import tables

    share = f"{document['coverage']:.1%}"
    out.print(f"{document['linked']} of {document['items']} items linked ({share})", markup=False)
    for title, columns, rows in tables(document):
        if rows:
            print_table(title, columns, rows)


def remove_data_set(
    store: GraphStore, dataset: str, home: Path, *, confirmed: bool
) -> RemoveResult:
    """Take a data set out of the graph. Raises ChangeSomethingError unless it is confirmed."""
    name = name_of(dataset)
    if not confirmed:
        raise ChangeSomethingError(f"would remove {planned(store, name)}; add --yes to do it")
    with progress_bar() as progress:
        return remove(store, name, home, progress)


def print_removed(result: RemoveResult) -> None:
    """What a removal took away, and what it left."""
    nodes = ", ".join(f"{count} {label}" for label, count in result.nodes.items())
    out.print(
        f"removed data set {result.dataset}: {nodes or 'no'} nodes, {result.relations} relations, "
        f"{result.orphans} shared nodes that nothing else uses",
        markup=False,
    )
    if result.kept_for:
        out.print(
            f"kept shared nodes without relations, because loads of {', '.join(result.kept_for)} "
            "are open; the next kg remove takes them",
            markup=False,
        )


def export_to(
    store: GraphStore, dataset: str, form: str, out: Path, *, force: bool, interactions: bool
) -> ExportResult:
    """Write a data set of the graph into a folder."""
    from kg.export import export_data_set

    with progress_bar() as progress:
        return export_data_set(
            store, dataset, form, out, progress, force=force, interactions=interactions
        )


def print_exported(result: ExportResult) -> None:
    """The files of an export, and where they are."""
    print_table(f"data set {result.dataset}", ("file", "rows"), sorted(result.files.items()))
    out.print(f"written: {result.folder}", markup=False)


def print_stats(found: dict[str, Any]) -> None:
    """Counts, and the ledger."""
    print_table("nodes", ("label", "count"), sorted(found["nodes"].items()))
    print_table("relations", ("type", "count"), sorted(found["relations"].items()))
    if found["loads"]:
        columns = tuple(found["loads"][0])
        print_table("loads", columns, [tuple(load.values()) for load in found["loads"]])


def parse_parameters(given: Sequence[str]) -> dict[str, object]:
    """``NAME=JSON`` as parameters; a value that is no JSON is a text."""
    parameters: dict[str, object] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name.isidentifier():
            raise ChangeSomethingError(f"--param must be NAME=VALUE, not {entry[:50]!r}")
        try:
            parameters[name] = json.loads(value)
        except json.JSONDecodeError:
            parameters[name] = value
    return parameters


def schema_document() -> dict[str, Any]:
    """The schema as plain data."""
    return {
        "nodes": [asdict(n) | {"role": n.role.value} for n in NODE_TYPES],
        "relations": [asdict(r) for r in RELATION_TYPES],
    }


def print_schema() -> None:
    """The schema as two tables."""
    print_table(
        "nodes",
        ("label", "role", "properties", "what"),
        [
            (n.label, n.role.value, ", ".join(p.name for p in n.properties), n.doc)
            for n in NODE_TYPES
        ],
    )
    print_table(
        "relations",
        ("type", "from", "to", "predicate", "what"),
        [
            (
                r.name, " ".join(r.sources), " ".join(t or "the same" for t in r.targets),
                r.predicate, r.doc,
            )
            for r in RELATION_TYPES
        ],
    )  # fmt: skip


# -- personas --------------------------------------------------------------------------------------


def find_neighbours(
    store: GraphStore, dataset: str, user: str, n: int
) -> tuple[str, list[Neighbour]]:
    """A user's key and nearest users."""
    key = require_user(store, dataset, user)
    return key, neighbours(store, key, require_model(store, dataset), n)


def print_neighbours(user: str, found: list[Neighbour]) -> None:
    """Nearest users with what they share, in words."""
    rows = [
        (
            f.user, f"{f.cosine:.3f}", f.shared_items,
            "; ".join(_fact_words(s) for s in f.shared[:4]),
        )
        for f in found
    ]  # fmt: skip
    columns = ("neighbour", "cosine", "items in common", "both like")
    print_table(f"nearest to {user}", columns, rows)


def persona_document(store: GraphStore, dataset: str, user: str) -> dict[str, Any]:
    """The persona of a user as plain data."""
    key = require_user(store, dataset, user)
    model = require_model(store, dataset)
    return {"user": key, "model": model.id, "preferences": preferences_of(store, key, model)}


def print_persona(document: dict[str, Any]) -> None:
    """A persona in words: what it likes, by kind, strongest first."""
    kinds: dict[str, list[str]] = {}
    for preference in document["preferences"]:
        kind = relation_type(preference["relation"]).doc
        kinds.setdefault(kind, []).append(f"{preference['name']} ({preference['weight']:.2f})")
    out.print(f"{document['user']} (personas {document['model']}) likes items", markup=False)
    for kind, names in kinds.items():
        out.print(f"  {kind}: {', '.join(names)}", markup=False)
    if not kinds:
        out.print("  of no known fact: nothing is known of the items this user touched")


def persona_versions(store: GraphStore, dataset: str) -> list[dict[str, Any]]:
    """Versions, oldest first."""
    current = current_model(store, dataset)
    return [
        asdict(m) | {"property": m.property_name, "index": m.index, "current": m == current}
        for m in versions(store, dataset)
    ]


def _fact_words(shared: dict[str, Any]) -> str:
    return f"{relation_type(shared['relation']).doc} {shared['name']}"


# -- training and recommending ---------------------------------------------------------------------


def train_config(
    refit: bool, seeds: int, rows: str | None, epochs: int | None, threads: int | None
) -> TrainConfig:
    """The settings that the options name. Raises ChangeSomethingError for an unknown row."""
    from personarec.training.config import ROWS, TrainConfig

    chosen = tuple(r.strip() for r in rows.split(",")) if rows else ROWS
    if unknown := [r for r in chosen if r not in ROWS]:
        raise ChangeSomethingError(f"no row {unknown[0]!r}; there are: {', '.join(ROWS)}")
    config = TrainConfig(refit=refit, seeds=tuple(range(seeds)), rows=chosen)  # type: ignore[arg-type]
    changes = {k: v for k, v in (("epochs", epochs), ("threads", threads)) if v is not None}
    return config.model_copy(update={"options": config.options.model_copy(update=changes)})


@dataclass(frozen=True)
class TrainOutcome:
    """A training, and one recommendation as an example."""

    metrics: dict[str, Any]
    folder: Path
    fresh: bool
    created: int
    changed: int
    example: RecommendOutcome


def train_whole_way(
    store: GraphStore,
    dataset: str,
    config: TrainConfig,
    home: Path,
    *,
    data: Path | None = None,
    workers: int | None = None,
    force: bool = False,
) -> TrainOutcome:
    """Ingest, train, and recommend once."""
    from personarec.training.run import train_data_set

    name = name_of(dataset)
    created = changed = 0
    if not _is_source(dataset) and name in _names(store):
        say(f"data set {name} is in the graph already; its files are not looked at")
    else:
        say(f"ingesting {dataset}")
        loaded, _ = ingest_data_set(store, Wanted(dataset, data=data), home)
        created, changed = loaded.created, loaded.changed
    with progress_bar() as progress:
        run = train_data_set(store, name, config, home, progress, say, workers=workers, force=force)
    example = recommend_for(store, home, name, _example_user(store, name), None, 3, explained=True)
    return TrainOutcome(run.metrics, run.folder, run.fresh, created, changed, example)


def _names(store: GraphStore) -> list[str]:
    return [d["id"] for d in data_sets(store) if d["domain"]]


def _is_source(dataset: str) -> bool:
    from personarec.datasets.manifest import builtin_names

    return dataset in builtin_names() or Path(dataset).exists()


def _example_user(store: GraphStore, dataset: str) -> str:
    from kg.views import read_users

    return read_users(store, dataset)[0]


def print_training(outcome: TrainOutcome) -> None:
    """The table, the comparisons in words, and the example."""
    from personarec.training.report import COLUMNS, in_words

    metrics = outcome.metrics
    rows = [(r["name"], *(f"{r[c]:.4f}" for c in COLUMNS)) for r in metrics["rows"]]
    seeds = len(metrics["seeds"])
    title = (
        f"{metrics['dataset']}: {metrics['users']} users, {metrics['items']} items, {seeds} "
        f"seed{'s' if seeds > 1 else ''}; {metrics['protocol']}"
    )
    print_table(title, ("row", *COLUMNS), rows)
    for difference in metrics["differences"]:
        out.print(in_words(difference), markup=False)
    state = "run" if outcome.fresh else "this training was there already (--force trains again)"
    out.print(f"{state}: {outcome.folder}", markup=False)
    graph = f"{outcome.created} created, {outcome.changed} changed by the ingest"
    out.print(f"graph: {graph}\n", markup=False)
    print_recommended(outcome.example)


@dataclass(frozen=True)
class RecommendOutcome:
    """An answer to ``recommend``."""

    dataset: str
    who: str
    history: list[str]
    titles: list[str]
    found: list[Recommended]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset,
            "for": self.who,
            "history": self.history,
            "recommendations": [f.as_dict() for f in self.found],
        }


def recommend_for(
    store: GraphStore,
    home: Path,
    dataset: str | None,
    user: str | None,
    items: str | None,
    n: int,
    *,
    explained: bool,
) -> RecommendOutcome:
    """Recommend to a known user or to a session."""
    from personarec.recommend.service import Recommender, open_run

    name, retriever = open_run(home, name_of(dataset) if dataset else None)
    recommender = Recommender(store, name, retriever)
    if user is not None:
        history, who = recommender.history_of(user), user
    else:
        # As in a CSV line, so that a title with a comma can be quoted.
        cells = next(csv.reader([items or ""], skipinitialspace=True), [])
        asked = [cell.strip() for cell in cells if cell.strip()]
        if not asked:
            raise ChangeSomethingError("--items is empty; give item ids or titles: --items A,B,C")
        history, who = recommender.session(asked), "this session"
    found = recommender.recommend(history, n, explained=explained)
    titles = [recommender.titles.get(h) or h for h in history]
    return RecommendOutcome(name, who, history, titles, found)


def print_recommended(outcome: RecommendOutcome) -> None:
    """Recommendations, with their paths where there are some."""
    last = ", ".join(outcome.titles[-3:]) or "nothing yet"
    out.print(f"for {outcome.who}, who came last to {last}:", markup=False)
    for place, item in enumerate(outcome.found, 1):
        parts = ", ".join(f"{k} {v:+.2f}" for k, v in item.parts.items())
        out.print(
            f"{place:3}. {item.title}  [{item.item}]  {item.score:.2f} = {parts}", markup=False
        )
        for path in item.paths:
            out.print(f"       {path.words()}", markup=False)
