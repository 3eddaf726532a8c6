"""The command line: groups and options. What a command does is imported when it runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from kg.store import GraphStore

STOP_SECONDS = 8.0  # that a stopped command has to end in order
STOPPED = "stopped; the same command goes on from here"
_EXTRAS = {
    "dgl": "dgl", "fastapi": "serve", "matplotlib": "report", "optuna": "tune",
    "prometheus_client": "serve", "py2neo": "py2neo",
    "pyspark": "spark", "safetensors": "train", "sentence_transformers": "text",
    "sklearn": "train", "torch": "train", "transformers": "text", "urllib3": "text",
    "uvicorn": "serve",
}  # fmt: skip
EXIT_CHANGE, EXIT_AGAIN, EXIT_DEFECT = 1, 75, 70  # 75 and 70 as in sysexits.h


def main() -> NoReturn:
    """Entry point: errors in one line, exit code not 0, a traceback only with --debug."""
    stopped: list[int] = []

    def stop(number: int, _frame: object) -> NoReturn:
        if not stopped:  # a library may swallow the interruption, or wait for something for ever
            last = threading.Timer(STOP_SECONDS, _leave, [128 + number])
            last.daemon = True
            last.start()
        stopped.append(128 + number)
        # With the graph's driver loaded, of a kind that does not leave it waiting for ever.
        raise getattr(sys.modules.get("kg.store"), "Interruption", KeyboardInterrupt)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        cli.main(prog_name="personarec", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "personarec"
        _fail(f"{error.format_message().rstrip('.')}; see {where} --help", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(STOPPED, stopped[0] if stopped else 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; nobody is left to tell
        sys.exit(0)
    except Exception as error:
        if stopped:  # a library took the interruption for a fault, or failed on the way out
            _fail(STOPPED, stopped[0])
        if "--debug" in sys.argv:
            raise
        from kg.errors import PersonarecError, TryAgainError, one_line

        if isinstance(error, TryAgainError):
            _fail(one_line(error, 600), EXIT_AGAIN)
        if isinstance(error, PersonarecError):
            _fail(one_line(error, 600), EXIT_CHANGE)
        # The libraries that write Parquet and tensors have errors of their own for a full disk.
        if isinstance(error, OSError) or "No space left on device" in str(error):
            advice = "free space or mend permissions, and run it again"
            _fail(f"{one_line(error)}; {advice}", EXIT_AGAIN)
        if isinstance(error, ModuleNotFoundError):
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            what = f"'personarec[{extra}]'" if extra else "--force-reinstall personarec"
            _fail(f"{error.name} is not installed; pip install {what}", EXIT_CHANGE)
        what = f"{type(error).__name__}: {one_line(error)}"
        _fail(f"a defect of personarec: {what}; --debug shows where, please report it", EXIT_DEFECT)
    sys.exit(0)


def _leave(code: int) -> NoReturn:
    """End at once, as by kill -9, which every command survives."""
    click.echo(f"personarec: {STOPPED}", err=True)
    os._exit(code)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"personarec: {message}", err=True)
    sys.exit(code)


# -- options that commands share -------------------------------------------------------------------

_graph = click.option(
    "--graph", envvar="PERSONAREC_GRAPH", metavar="URI",
    help="bolt:// or neo4j:// server; the embedded engine when left out.",
)  # fmt: skip
_home = click.option(
    "--home", envvar="PERSONAREC_HOME", default=".personarec", show_default=True,
    type=click.Path(path_type=Path, file_okay=False), help="Folder for all state.",
)  # fmt: skip
_debug = click.option("--debug", is_flag=True, help="Show tracebacks.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_data = click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the data set's files.",
)  # fmt: skip
_dataset = click.option("--dataset", metavar="NAME|FOLDER|MANIFEST", help="Which data set.")


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """The options every command has; the command gets ``graph``, ``home`` and ``as_json``."""

    @_graph
    @_home
    @_json
    @_debug
    @wraps(command)
    def wrapped(debug: bool, **options: Any) -> None:
        command(**options)

    return wrapped


@contextmanager
def _open(graph: str | None, home: Path) -> Iterator[GraphStore]:
    from kg.store import connect

    with connect(graph, home) as store:
        yield store


def _loaded(store: GraphStore, dataset: str | None) -> str:
    """Name of a data set in the graph; the only one there when none is given."""
    from kg.errors import ChangeSomethingError
    from kg.ingest import loaded_names, require_data_set
    from personarec.datasets.manifest import name_of

    if dataset:
        return str(require_data_set(store, name_of(dataset))["id"])
    names = loaded_names(store)
    if len(names) != 1:
        known = ", ".join(names) or "none yet"
        raise ChangeSomethingError(f"say which data set with --dataset (in the graph: {known})")
    return names[0]


# -- commands --------------------------------------------------------------------------------------


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="personarec")
def cli() -> None:
    """Persona-driven sequential recommendation on a knowledge graph."""


@cli.command()
@_common
def doctor(graph: str | None, home: Path, as_json: bool) -> None:
    """Versions, device and graph engine on one screen."""
    from personarec import console
    from personarec.doctor import examine

    checks = examine(graph, home)
    if as_json:
        console.print_json([dict(zip(("what", "state", "detail"), c, strict=True)) for c in checks])
    else:
        console.print_table("", ("", "state", "detail"), checks)
    if any(state == "failed" for _, state, _ in checks):
        sys.exit(EXIT_CHANGE)


@cli.group()
def kg() -> None:
    """The knowledge graph: load it, look at it."""


@kg.command()
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="What to load.")
@_data
@click.option("--dbpedia", metavar="URL|DIR",
              help="Link items to DBpedia and fetch facts, by endpoint or dumps.")  # fmt: skip
@click.option("--rate", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Requests a second to the endpoint.")  # fmt: skip
@click.option("--contact", metavar="ADDRESS", help="Yours, for the endpoint's keepers.")
@click.option("--k-core", type=click.IntRange(0),
              help="Keep users and items with at least so many interactions.")  # fmt: skip
@click.option("--also", is_flag=True,
              help="Load also-bought lists: later purchases, a leak in evaluation.")  # fmt: skip
@click.option("--max-bad", default=0.01, show_default=True, type=click.FloatRange(0, 1),
              help="Share of malformed rows to put up with.")  # fmt: skip
@click.option("--batch-rows", default=5000, show_default=True, type=click.IntRange(1, 5000),
              help="Rows a transaction.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what a load would do, and write nothing.")
@click.option("--offline", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Touch no graph; write files for neo4j-admin's import into DIR.")  # fmt: skip
@click.option("--engine", default="local", show_default=True,
              type=click.Choice(["local", "spark"]),
              help="What stages the files; spark fills a server by its tasks too.")  # fmt: skip
@_common
def ingest(
    batch_rows: int, dry_run: bool, offline: Path | None, graph: str | None, home: Path,
    as_json: bool, **wanted: Any,
) -> None:  # fmt: skip
    """Load a data set, go on with an interrupted load, or confirm that nothing changed."""
    from personarec import console
    from personarec.commands.ingest import (
        Wanted,
        ingest_data_set,
        print_enriched,
        print_import_files,
        print_ingest,
        write_import_files,
    )

    result: Any
    show: Callable[[Any], None]
    if offline is not None:
        if dry_run:
            raise click.UsageError("--offline writes files and --dry-run nothing; give one")
        result, enriched = write_import_files(Wanted(**wanted), home, offline)
        show = print_import_files
    else:
        with _open(graph, home) as store:
            result, enriched = ingest_data_set(
                store, Wanted(**wanted), home, batch_rows=batch_rows, dry_run=dry_run
            )
        show = print_ingest
    if as_json:
        document = result.as_dict()
        console.print_json(document | {"dbpedia": enriched.as_dict()} if enriched else document)
        return
    if enriched:
        print_enriched(enriched)
    show(result)


@kg.command()
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="Which data set.")
@_data
@click.option("--limit", type=click.IntRange(1), help="Most rows; all by default.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write them with their whole text, as JSON lines to mend.")  # fmt: skip
@click.option("--take-back", type=click.Path(path_type=Path), metavar="FILE",
              help="Such lines, mended: the next ingest reads them instead.")  # fmt: skip
@_common
def quarantine(
    dataset: str, data: Path | None, limit: int | None, out: Path | None, take_back: Path | None,
    graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Rows that the last ingest of a data set set aside, with reasons; and their way back."""
    from personarec import console
    from personarec.commands.review import (
        print_quarantine,
        quarantine_document,
        take_back_rows,
        write_quarantined,
    )

    if out and take_back:
        raise click.UsageError("--out writes rows to mend, --take-back reads them; give one")
    if out:
        count = write_quarantined(home, dataset, data, out)
        click.echo(f'{{"written": {count}}}' if as_json else f"{count} rows written: {out}")
    elif take_back:
        count = take_back_rows(home, dataset, data, take_back)
        text = f"{count} mended rows; the next personarec kg ingest reads them"
        click.echo(f'{{"mended": {count}}}' if as_json else text)
    else:
        document = quarantine_document(home, dataset, limit)
        console.print_json(document) if as_json else print_quarantine(document)


@kg.command()
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="Which data set.")
@click.option("--accept", type=click.Path(path_type=Path), metavar="FILE",
              help="Lines of item_id and IRI, tab-separated: these links are right.")  # fmt: skip
@click.option("--reject", type=click.Path(path_type=Path), metavar="FILE",
              help="The same: these are wrong; without an IRI, any link is.")  # fmt: skip
@click.option("--report", is_flag=True, help="Show the links; so does the command by itself.")
@click.option("--sample", default=10, show_default=True, type=click.IntRange(0),
              help="Links to show, drawn at random.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=int, help="Seed of that draw.")
@_common
def links(
    dataset: str, accept: Path | None, reject: Path | None, report: bool, sample: int, seed: int,
    graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Links of items to DBpedia: how good they look, and a person's corrections."""
    from personarec import console
    from personarec.commands.review import (
        correct_links,
        link_document,
        print_corrected,
        print_links,
    )

    if accept or reject:
        corrected = correct_links(home, dataset, accept, reject)
        if not report:
            console.print_json(corrected) if as_json else print_corrected(corrected)
            return
    document = link_document(home, dataset, sample, seed)
    console.print_json(document) if as_json else print_links(document)


@kg.command()
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="What to remove.")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would go.")
@_common
def remove(dataset: str, yes: bool, graph: str | None, home: Path, as_json: bool) -> None:
    """Take one data set out of the graph, with its stage; its run directories stay."""
    from personarec import console
    from personarec.commands.graph import print_removed, remove_data_set

    with _open(graph, home) as store:
        result = remove_data_set(store, dataset, home, confirmed=yes)
    console.print_json(result.as_dict()) if as_json else print_removed(result)


@kg.command()
@_dataset
@_common
def stats(dataset: str | None, graph: str | None, home: Path, as_json: bool) -> None:
    """How many nodes and relations there are, and the ledger of loads."""
    from kg.ingest import stats as collect
    from personarec import console
    from personarec.commands.graph import print_stats

    with _open(graph, home) as store:
        found = collect(store, _loaded(store, dataset) if dataset else None)
    console.print_json(found) if as_json else print_stats(found)


@kg.command()
@_dataset
@click.option("--hash", "only_hash", is_flag=True, help="Print the SHA-256 of the dump alone.")
@click.option("--derived", is_flag=True, help="Include personas, preferences and transitions.")
@_common
def dump(
    dataset: str | None, only_hash: bool, derived: bool, graph: str | None, home: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """The graph's content as canonical lines, equal for equal content on every engine."""
    from kg.ingest import dump as lines
    from kg.ingest import dump_hash

    with _open(graph, home) as store:
        name = _loaded(store, dataset) if dataset else None
        if only_hash:
            digest = dump_hash(store, name, derived=derived)
            click.echo(f'{{"hash": "{digest}"}}' if as_json else digest)
            return
        for line in lines(store, name, derived=derived):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@kg.command()
@_dataset
@click.option("--format", "form", required=True, help="What the files are.",
              type=click.Choice(["atomic", "parquet", "ntriples"]))  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace an earlier export in that folder.")
@click.option("--interactions", is_flag=True, help="For ntriples: who touched what, too.")
@_common
def export(
    dataset: str | None, form: str, out: Path, force: bool, interactions: bool,
    graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """A data set as RecBole's atomic files, as Parquet or as N-Triples."""
    from personarec import console
    from personarec.commands.graph import export_to, print_exported

    if interactions and form != "ntriples":
        raise click.UsageError("--interactions is for --format ntriples; the others have them")
    with _open(graph, home) as store:
        name = _loaded(store, dataset)
        result = export_to(store, name, form, out, force=force, interactions=interactions)
    console.print_json(result.as_dict()) if as_json else print_exported(result)


@kg.command()
@click.argument("text")
@click.option("--param", "-p", multiple=True, metavar="NAME=JSON", help="A parameter's value.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Most rows.")
@_common
def query(
    text: str, param: tuple[str, ...], limit: int, graph: str | None, home: Path, as_json: bool
) -> None:
    """Run a Cypher query that reads."""
    from kg.store.query import read_only_query
    from personarec import console
    from personarec.commands.named_values import named_values

    parameters = named_values(param, "--param")
    with _open(graph, home) as store:
        columns, rows = read_only_query(store, text, parameters, limit)
    if as_json:
        console.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        console.print_table("", columns, rows)


@kg.command()
@_common
def schema(graph: str | None, home: Path, as_json: bool) -> None:
    """Node and relation types, with their properties."""
    from personarec import console
    from personarec.commands.graph import print_schema, schema_document

    console.print_json(schema_document()) if as_json else print_schema()


@kg.command()
@click.argument("user")
@_dataset
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@_common
def neighbours(
    user: str, dataset: str | None, n: int, graph: str | None, home: Path, as_json: bool
) -> None:
    """Users whose persona is nearest to USER's, and what they share."""
    from personarec import console
    from personarec.commands.personas import find_neighbours, print_neighbours

    with _open(graph, home) as store:
        key, found = find_neighbours(store, _loaded(store, dataset), user, n)
    if as_json:
        console.print_json({"user": key, "neighbours": [vars(f) for f in found]})
    else:
        print_neighbours(key, found)


@cli.group()
def personas() -> None:
    """Personas in the graph."""


_texts = click.option(
    "--texts", is_flag=True, help="Tell items by what personarec texts wrote, not by facts alone."
)


def _encoder(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name personas; the command gets them as it is."""
    for option in (
        _texts,
        click.option("--prototypes", type=click.IntRange(2), metavar="N",
                     help="How many prototypes; by default as many as are stable."),
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
                     help="A setting of the encoder; may be given again."),
        click.option("--dim", type=click.IntRange(2),
                     help="Dimensions of the vector; 256, of relational 64."),
        click.option("--encoder", metavar="[WRAPPER:]NAME",
                     help="What makes the personas; propagation by default. In train the score of "
                          "relational's is part of the retriever."),
    ):  # fmt: skip
        command = option(command)
    return command


@personas.command("train")
@_dataset
@_encoder
@click.option("--refit", is_flag=True, help="Learn from validation items too.")
@click.option("--nproc", default=1, show_default=True, type=click.IntRange(1, 64), metavar="N",
              help="Processes that train one model together; relational can.")  # fmt: skip
@click.option("--force", is_flag=True, help="Learn even when these personas are there.")
@_common
def train_personas(
    dataset: str | None, encoder: str | None, dim: int | None, settings: tuple[str, ...],
    prototypes: int | None, texts: bool, refit: bool, nproc: int, force: bool, graph: str | None,
    home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Learn personas and save them in a folder; the graph stays as it is."""
    from personarec import console
    from personarec.commands import personas as commands
    from personarec.training.config import TrainConfig

    plain = TrainConfig(refit=refit)
    config = commands.with_encoder(plain, encoder, dim, settings, prototypes, texts)
    with _open(graph, home) as store:
        name = _loaded(store, dataset)
        document = commands.train_personas(store, name, config, home, force=force, processes=nproc)
    console.print_json(document) if as_json else commands.print_trained(document)


@personas.command("write")
@click.argument("version", required=False)
@_dataset
@_common
def write_personas(
    version: str | None, dataset: str | None, graph: str | None, home: Path, as_json: bool
) -> None:
    """Write learned personas to the graph and make them current: the last, or VERSION."""
    from personarec import console
    from personarec.commands.personas import print_written, write_personas_of

    with _open(graph, home) as store:
        document = write_personas_of(store, _loaded(store, dataset), version, home)
    console.print_json(document) if as_json else print_written(document)


@personas.command()
@_dataset
@_common
def prototypes(dataset: str | None, graph: str | None, home: Path, as_json: bool) -> None:
    """Kinds of readers, with what characterises each."""
    from personarec import console
    from personarec.commands.personas import print_prototypes, prototype_document

    with _open(graph, home) as store:
        document = prototype_document(store, _loaded(store, dataset))
    console.print_json(document) if as_json else print_prototypes(document)


@personas.command("map")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
              metavar="FILE", help="Picture to write: .svg, .html or .png.")  # fmt: skip
@_dataset
@_common
def map_personas(
    out: Path, dataset: str | None, graph: str | None, home: Path, as_json: bool
) -> None:
    """A picture of all readers, near where they are alike, with the prototypes' names."""
    from personarec import console
    from personarec.commands.personas import draw_map

    with _open(graph, home) as store:
        drawn = draw_map(store, _loaded(store, dataset), out)
    console.print_json(drawn) if as_json else click.echo(f"written: {out}")


@personas.command()
@click.argument("user")
@_dataset
@_common
def show(user: str, dataset: str | None, graph: str | None, home: Path, as_json: bool) -> None:
    """The persona of USER in words."""
    from personarec import console
    from personarec.commands.personas import persona_document, print_persona

    with _open(graph, home) as store:
        document = persona_document(store, _loaded(store, dataset), user)
    console.print_json(document) if as_json else print_persona(document)


@personas.command("list")
@_dataset
@_common
def list_personas(dataset: str | None, graph: str | None, home: Path, as_json: bool) -> None:
    """Versions of the personas, and which one is current."""
    from personarec import console
    from personarec.commands.personas import persona_versions

    with _open(graph, home) as store:
        rows = persona_versions(store, _loaded(store, dataset))
    if as_json:
        console.print_json(rows)
    elif rows:
        console.print_table("", tuple(rows[0]), [list(r.values()) for r in rows])
    else:
        click.echo("no personas yet")


@personas.command()
@click.argument("version")
@_dataset
@_common
def use(version: str, dataset: str | None, graph: str | None, home: Path, as_json: bool) -> None:
    """Make VERSION the current personas."""
    from kg.views.personas import use_personas

    with _open(graph, home) as store:
        use_personas(store, _loaded(store, dataset), version)
    click.echo(f'{{"current": "{version}"}}' if as_json else f"current personas: {version}")


@cli.command()
@_dataset
@click.option("--embedder", default="auto", show_default=True, metavar="NAME",
              help="tfidf, minilm, or a sentence-transformers model.")  # fmt: skip
@click.option("--users", is_flag=True, help="Keywords of users too, from training items.")
@click.option("--llm-url", metavar="URL",
              help="OpenAI-compatible endpoint; its key in PERSONAREC_LLM_KEY.")  # fmt: skip
@click.option("--llm-model", metavar="NAME", help="Language model that writes the texts.")
@click.option("--llm-local", is_flag=True, help="Run it on this machine, by transformers.")
@click.option("--concurrency", default=4, show_default=True, type=click.IntRange(1, 64),
              help="Questions under way at a time.")  # fmt: skip
@click.option("--max-tokens", default=400, show_default=True, type=click.IntRange(1),
              help="Most tokens of one answer.")  # fmt: skip
@click.option("--max-tokens-total", type=click.IntRange(1),
              help="Most tokens of this run, questions and answers.")  # fmt: skip
@click.option("--timeout", "seconds", default=120.0, show_default=True,
              type=click.FloatRange(0, min_open=True), help="Seconds for one answer.")  # fmt: skip
@click.option("--again", is_flag=True, help="Ask again where an answer was of no use.")
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1),
              help="Texts embedded a step.")  # fmt: skip
@click.option("--device", metavar="NAME", help="For torch: cpu, cuda; its own choice by default.")
@_common
def texts(dataset: str | None, graph: str | None, home: Path, as_json: bool, **wanted: Any) -> None:
    """Descriptions of items and keywords of users, from facts or a language model, embedded."""
    from personarec import console
    from personarec.commands.texts import TextsWanted, make_texts, print_texts

    with _open(graph, home) as store:
        made = make_texts(store, _loaded(store, dataset), home, TextsWanted(**wanted))
    console.print_json(vars(made)) if as_json else print_texts(made)


@cli.command()
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="What to train on.")
@_data
@click.option("--refit", is_flag=True, help="Choose on validation, then fit on it as well.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 100),
              help="How many seeds.")  # fmt: skip
@_encoder
@click.option("--rows", metavar="A,B,…", help="Only these rows of the table.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs.")
@click.option("--tuned", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Settings of the network that personarec tune found.")  # fmt: skip
@click.option("--rerank/--no-rerank", default=True, show_default=True,
              help="Learn a rerank, and keep it where validation is clearly better.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads of torch in one process.")
@click.option("--workers", type=click.IntRange(1),
              help="Models trained side by side; by default by size.")  # fmt: skip
@click.option("--nproc", default=1, show_default=True, type=click.IntRange(1, 64), metavar="N",
              help="Processes that train a model together, one model after another.")  # fmt: skip
@click.option("--force", is_flag=True, help="Train even when this result is there.")
@_common
def train(
    dataset: str, data: Path | None, refit: bool, seeds: int, rows: str | None, epochs: int | None,
    threads: int | None, workers: int | None, force: bool, encoder: str | None, dim: int | None,
    settings: tuple[str, ...], prototypes: int | None, texts: bool, tuned: Path | None,
    rerank: bool, nproc: int, graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Graph, personas, write-back, retriever and its table with controls, for one data set."""
    from personarec import console
    from personarec.commands.personas import with_encoder
    from personarec.commands.train import print_training, train_config, train_whole_way

    if nproc > 1 and workers is not None:
        raise click.UsageError(
            "--nproc trains one model in several processes, --workers several models; give one"
        )
    config = train_config(dataset, refit, seeds, rows, epochs, threads, tuned, rerank, nproc)
    config = with_encoder(config, encoder, dim, settings, prototypes, texts)
    with _open(graph, home) as store:
        outcome = train_whole_way(
            store, dataset, config, home, data=data, workers=workers, force=force
        )
    console.print_json(outcome.metrics["rows"]) if as_json else print_training(outcome)


@cli.command()
@_dataset
@click.option("--trials", default=30, show_default=True, type=click.IntRange(1),
              help="How many, those of a search that was stopped included.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="File of the settings; under --home when left out.")  # fmt: skip
@_common
def tune(
    dataset: str | None, trials: int, out: Path | None, graph: str | None, home: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """Search settings of the sequence model on validation items; stopped, it goes on from there."""
    from personarec import console
    from personarec.commands.tune import print_tuned, tune_data_set

    with _open(graph, home) as store:
        document = tune_data_set(store, _loaded(store, dataset), trials, home, out)
    console.print_json(document) if as_json else print_tuned(document)


@cli.command("compare")
@click.option("--dataset", required=True, metavar="NAME|FOLDER|MANIFEST", help="What to compare.")
@_data
@click.option("--rows", metavar="A,B,…", help="Only these rows, and what they build on.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1, 100),
              help="How many seeds.")  # fmt: skip
@click.option("--refit/--no-refit", default=True, show_default=True,
              help="Choose on validation, then fit on it as well.")  # fmt: skip
@click.option("--split", metavar="NAME",
              help="leave-one-out, global-temporal or user-disjoint; by time where there are "
              "times, when left out.")  # fmt: skip
@click.option("--trials", default=0, show_default=True, type=click.IntRange(0),
              help="Trials for each row's settings, on validation; 0: the defaults.")  # fmt: skip
@click.option("--encoder", metavar="NAME", help="Persona encoder of the rows that are trained.")
@click.option("--dim", type=click.IntRange(2), metavar="N",
              help="Dimensions of the personas; 64 when left out.")  # fmt: skip
@_texts
@click.option("--llm-url", metavar="URL",
              help="OpenAI-compatible endpoint that tells users in keywords; its key in "
              "PERSONAREC_LLM_KEY.")  # fmt: skip
@click.option("--llm-model", metavar="NAME", help="Language model of the rows of keywords.")
@click.option("--epochs", type=click.IntRange(1), help="Most epochs.")
@click.option("--tuned", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Settings of the network that personarec tune found.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder of cells and report; under --home when left out.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Processes; by default by size.")
@_common
def compare_rows(
    dataset: str, data: Path | None, rows: str | None, seeds: int, refit: bool, split: str | None,
    trials: int, encoder: str | None, dim: int | None, texts: bool, llm_url: str | None,
    llm_model: str | None, epochs: int | None, tuned: Path | None, out: Path | None,
    workers: int | None, graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Every row with its controls and one report; what an earlier run has finished is kept."""
    from personarec import console
    from personarec.commands.compare import compare_config, compare_data_set, print_comparison

    config = compare_config(
        dataset, rows, seeds, refit, split, trials, encoder, epochs, tuned,
        dim=dim, texts=texts, llm_url=llm_url, llm_model=llm_model,
    )  # fmt: skip
    with _open(graph, home) as store:
        outcome = compare_data_set(
            store, dataset, config, home, data=data, out=out, workers=workers
        )
    console.print_json(outcome.document) if as_json else print_comparison(outcome)


@cli.command("compare-personas")
@click.option("--dataset", "datasets", required=True, multiple=True, metavar="NAME",
              help="A data set in the graph; again for several.")  # fmt: skip
@click.option("--encoders", metavar="A,B,…", help="Only these; all that need no text by default.")
@click.option("--dims", default="64,256", show_default=True, metavar="N,N,…",
              help="Sizes of the personas.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 100),
              help="Of encoders that draw something.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the report here, as Markdown, and beside it as JSON.")  # fmt: skip
@_common
def compare_personas(
    datasets: tuple[str, ...], encoders: str | None, dims: str, seeds: int, out: Path | None,
    graph: str | None, home: Path, as_json: bool,
) -> None:  # fmt: skip
    """Every persona encoder beside every other; stopped, the same command goes on from there."""
    from personarec import console
    from personarec.commands import compare_personas as command

    with _open(graph, home) as store:
        names = [_loaded(store, name) for name in datasets]
        asked = command.wanted(names, encoders, dims, seeds)
        document, text = command.compare_personas(store, asked, home)
    if out is not None:
        command.write_report(out, document, text)
    console.print_json(document) if as_json else command.print_comparison(document)


@cli.command()
@click.argument("user", required=False)
@click.option("--items", metavar="A,B,C", help="An anonymous session: ids or titles, oldest first.")
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--explain", is_flag=True, help="Show the graph paths that lead there.")
@click.option("--with", "having", multiple=True, metavar="[RELATION=]ENTITY",
              help="Only items with this fact: IRI or name; may be given again.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="Only items with this text in the title.")
@click.option("--titled", is_flag=True, help="Only items that have a title.")
@click.option("--year", metavar="YEAR|FIRST..LAST", help="Only items of these years.")
@click.option("--seen", is_flag=True, help="Items of the history may come again.")
@click.option("--diversity", default=0.0, show_default=True, type=click.FloatRange(0, 1),
              help="Towards 1: items unlike each other.")  # fmt: skip
@_dataset
@_common
def recommend(
    user: str | None, items: str | None, n: int, explain: bool, diversity: float,
    dataset: str | None, graph: str | None, home: Path, as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """The next items for USER, or for a session given by --items."""
    from personarec import console
    from personarec.commands.recommend import filters_of, print_recommended, recommend_for

    if (user is None) == (items is None):
        raise click.UsageError("give either USER or --items A,B,C")
    wanted = filters_of(**filters)
    with _open(graph, home) as store:
        found = recommend_for(
            store, home, dataset, user, items, n,
            explained=explain, filters=wanted, diversity=diversity,
        )  # fmt: skip
    console.print_json(found.as_dict()) if as_json else print_recommended(found)


@cli.command()
@_dataset
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Where to listen; beyond loopback set PERSONAREC_TOKEN.")  # fmt: skip
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535),
              help="0 for a free one.")  # fmt: skip
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64),
              help="Requests worked on at a time.")  # fmt: skip
@_common
def serve(
    dataset: str | None, host: str, port: int, workers: int, graph: str | None, home: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """Answer over HTTP with the last run, until stopped; a newer run is taken when it is there."""
    from personarec import console
    from personarec.datasets.manifest import name_of
    from personarec.web.server import serve as answer

    def announce(what: dict[str, Any]) -> None:
        text = "serving {dataset} (run {run}, personas {personas}) at {address}".format(**what)
        console.print_json(what) if as_json else click.echo(text)
        sys.stdout.flush()

    with _open(graph, home) as store:
        name = name_of(dataset) if dataset else None
        answer(store, home, name, host, port, workers=workers, announce=announce)


if __name__ == "__main__":
    main()
