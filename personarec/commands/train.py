"""The whole road from files to a table and one recommendation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from kg.ingest import loaded_names
from kg.store import GraphStore
from personarec.commands.ingest import Wanted, ingest_data_set
from personarec.commands.recommend import RecommendOutcome, print_recommended, recommend_for
from personarec.console import out, print_table, progress_bar, say
from personarec.datasets.manifest import name_of

if TYPE_CHECKING:
    from personarec.training.config import TrainConfig


def train_config(
    dataset: str,
    refit: bool,
    seeds: int,
    rows: str | None,
    epochs: int | None,
    threads: int | None,
    tuned: Path | None = None,
    rerank: bool = True,
    processes: int = 1,
) -> TrainConfig:
    """The settings that the options name, of the network those tuned for the data set.

    Raises ChangeSomethingError for an unknown row, one that the options leave out, or a file that
    holds no settings.
    """
    from personarec.retriever.settings import settings_for
    from personarec.training.config import RERANKED, ROWS, TrainConfig

    chosen = tuple(r.strip() for r in rows.split(",")) if rows else ROWS
    if unknown := [r for r in chosen if r not in ROWS]:
        raise ChangeSomethingError(f"no row {unknown[0]!r}; there are: {', '.join(ROWS)}")
    if rows and not rerank and RERANKED in chosen:
        raise ChangeSomethingError(f"row {RERANKED!r} needs a rerank; leave out one of the two")
    network = settings_for(name_of(dataset), tuned)
    changes = {k: v for k, v in (("epochs", epochs), ("threads", threads)) if v is not None}
    return TrainConfig(
        refit=refit,
        seeds=tuple(range(seeds)),
        rows=chosen,  # type: ignore[arg-type]
        rerank=rerank,
        processes=processes,
        sasrec=network.sasrec,
        options=network.options.model_copy(update=changes),
    )


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
    if not _is_source(dataset) and name in loaded_names(store):
        say(f"data set {name} is in the graph already; its files are not looked at")
    else:
        say(f"ingesting {dataset}")
        loaded, _ = ingest_data_set(store, Wanted(dataset, data=data), home)
        created, changed = loaded.created, loaded.changed
    with progress_bar() as progress:
        run = train_data_set(store, name, config, home, progress, say, workers=workers, force=force)
    example = recommend_for(store, home, name, _example_user(store, name), None, 3, explained=True)
    return TrainOutcome(run.metrics, run.folder, run.fresh, created, changed, example)


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
    out.print(metrics["rerank"]["why"], markup=False)
    state = "run" if outcome.fresh else "this training was there already (--force trains again)"
    out.print(f"{state}: {outcome.folder}", markup=False)
    graph = f"{outcome.created} created, {outcome.changed} changed by the ingest"
    out.print(f"graph: {graph}\n", markup=False)
    print_recommended(outcome.example)
