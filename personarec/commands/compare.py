"""The comparison: every row with its controls, and its report."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.ingest import loaded_names
from kg.store import GraphStore
from personarec.commands.ingest import Wanted, ingest_data_set
from personarec.console import out as console
from personarec.console import print_table, say, tell
from personarec.datasets.manifest import name_of

if TYPE_CHECKING:
    from personarec.compare.config import CompareConfig


@dataclass(frozen=True)
class CompareOutcome:
    """A comparison and its report.

    Attributes:
        document: content of results.json.
        markdown: the report.
        html: the same as a page.
        made: cells that were made now, not found.
    """

    document: dict[str, Any]
    markdown: Path
    html: Path
    made: int


def compare_config(
    dataset: str,
    rows: str | None,
    seeds: int,
    refit: bool,
    split: str | None,
    trials: int,
    encoder: str | None,
    epochs: int | None,
    tuned: Path | None = None,
    *,
    dim: int | None = None,
    texts: bool = False,
    llm_url: str | None = None,
    llm_model: str | None = None,
) -> CompareConfig:
    """The settings that the options name.

    Raises ChangeSomethingError for a row, split or encoder that there is not.
    """
    from personarec.compare.config import CompareConfig
    from personarec.compare.rows import chosen_rows
    from personarec.evaluation.protocols import require_protocol
    from personarec.personas.registry import make_encoder
    from personarec.retriever.settings import settings_for

    if bool(llm_url) != bool(llm_model):
        raise ChangeSomethingError("name a language model by --llm-model with --llm-url")
    names = tuple(r.strip() for r in rows.split(",") if r.strip()) if rows else ()
    chosen_rows(names)
    network = settings_for(name_of(dataset), tuned)
    config = CompareConfig(
        rows=names, seeds=seeds, refit=refit, split=split, trials=trials,
        sasrec=network.sasrec, options=network.options, texts=texts, llm_url=llm_url,
        llm_model=llm_model,
    )  # fmt: skip
    if split is not None:
        require_protocol(split)
    if encoder is not None:
        make_encoder(encoder)
        config = config.model_copy(update={"encoder": encoder})
    if dim is not None:
        config = config.model_copy(update={"dim": dim})
    if epochs is not None:
        options = config.options.model_copy(update={"epochs": epochs})
        config = config.model_copy(update={"options": options})
    return config


def compare_data_set(
    store: GraphStore,
    dataset: str,
    config: CompareConfig,
    home: Path,
    *,
    data: Path | None = None,
    out: Path | None = None,
    workers: int | None = None,
) -> CompareOutcome:
    """Ingest where need be, make what is missing, write the report."""
    from personarec.compare.document import results_document
    from personarec.compare.report import write_report
    from personarec.compare.run import compare, save_document

    name = name_of(dataset)
    if name not in loaded_names(store):
        say(f"ingesting {dataset}")
        ingest_data_set(store, Wanted(dataset, data=data), home)
    say("reading the graph")
    done = compare(store, name, config, home, tell, out=out, workers=workers)
    say("figures and tables")
    document = results_document(done)
    save_document(done.world.out, document)
    command = "personarec " + shlex.join(sys.argv[1:])
    return CompareOutcome(document, *write_report(done.world.out, document, command), done.made)


def print_comparison(outcome: CompareOutcome) -> None:
    """The table, the sentences, and where the report is."""
    from personarec.compare.words import sentences

    document = outcome.document
    columns = ("HR@10", "NDCG@10", "MRR@10", "HR@100", "NDCG@100")
    rows = [
        (r["name"], *(f"{r[c]:.4f}" for c in columns), f"{r['seconds']:.1f}")
        for r in document["rows"]
    ]
    title = f"{document['dataset']}, {document['split']}: {document['users']} users tested"
    print_table(title, ("row", *columns, "s a cell"), rows)
    for absent in document["absent"]:
        console.print(f"not there: {absent['name']}: {absent['reason']}", markup=False)
    for text in sentences(document):
        console.print(text, markup=False)
    console.print(f"{outcome.made} cells made; report: {outcome.html}", markup=False)
