"""One training from graph to report, with a folder that holds all it took and gave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kg.errors import ChangeSomethingError
from kg.ingest.stage import Progress
from kg.partial import write_json, written_whole
from kg.store import GraphStore
from kg.views import read_transitions
from kg.views.transitions import write_transitions
from personarec.evaluation.splits import require_held_out
from personarec.retriever.popularity import item_counts
from personarec.retriever.recommender import Retriever
from personarec.retriever.transitions import transition_counts
from personarec.training.config import TrainConfig, without_token
from personarec.training.data import GraphData, fact_model, read_data
from personarec.training.environment import environment
from personarec.training.jobs import Job, run_jobs
from personarec.training.persona_versions import FittedPersonas, store_personas, version_key
from personarec.training.report import Results, metrics_document
from personarec.training.rerank import kept_part, rerank_document
from personarec.training.table import (
    BASE,
    Inputs,
    JobResult,
    Phase,
    check_phase,
    job_names,
    make_phase,
)

RUN_FORMAT = 3
"""Raised whenever the same configuration and data would give other results."""


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: its run directory.
        metrics: content of metrics.json.
        fresh: False when the same training was already there and was only confirmed.
    """

    folder: Path
    metrics: dict[str, Any]
    fresh: bool


def train_data_set(
    store: GraphStore,
    dataset: str,
    config: TrainConfig,
    home: Path,
    progress: Progress,
    say: Callable[[str], None],
    *,
    workers: int | None = None,
    force: bool = False,
) -> Run:
    """Graph → personas → write-back → retriever → table.

    A training of the same configuration and data that is complete is not done again unless forced;
    the graph's personas and transitions are brought to it all the same, which changes nothing when
    they are.

    Args:
        store: the graph, with the data set loaded.
        dataset: its name.
        config: what to do.
        home: the run directory goes under ``runs``.
        progress: called as the graph is written.
        say: called with a line for each step.
        workers: processes to train in; as many as there are processors when data are many.
        force: train even when the result is there.

    Raises:
        ChangeSomethingError: the data set is not in the graph.
        LeakError: an input knows held-out interactions.
    """
    say("reading the graph")
    data = read_data(store, dataset, home / "texts" if config.texts else None)
    if data.remark:
        say(data.remark)
    require_held_out(data.split, dataset)
    personas = FittedPersonas(data, config)
    key = _key(config, data, version_key(data, personas.sequences, config))
    folder = home / "runs" / f"{dataset}-{key[:12]}"
    say("personas")
    facts = fact_model(data, config.facts)
    fit = personas.sequences
    model, vectors = store_personas(store, facts, personas, progress)
    if not model.dimension:
        config = without_token(config)
    counts = transition_counts(fit)
    write_transitions(store, dataset, data.catalogue, counts, f"run-{key[:12]}", progress)
    finished = folder / "metrics.json"
    if finished.exists() and not force:
        _point_to(home, dataset, folder)
        return Run(folder, json.loads(finished.read_text("utf-8")), False)

    stored = read_transitions(store, data.catalogue)
    say("evidence")
    scores = personas.encoder.recency
    report = make_phase(
        data, fit, vectors, facts, stored, config, personas.reporting if scores else None
    )
    check_phase(data, report, stored, refit=config.refit)
    choose = report
    if config.refit:
        train = data.split.train
        early = personas.choosing.long_term(train) if model.dimension else vectors
        early_counts = transition_counts(train)
        choose = make_phase(
            data, train, early, facts, early_counts, config, personas.choosing if scores else None
        )
        check_phase(data, choose, early_counts, refit=False)

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"dataset": dataset} | config.model_dump(mode="json"))
    write_json(
        folder / "environment.json",
        environment(store.engine) | {"dataHash": data.content_hash(), "personaModel": model.id},
    )
    jobs = run_jobs(Inputs(data, choose, report, config), workers, say)
    bases = [jobs[seed, BASE] for seed in config.seeds]
    rerank = rerank_document(config.seeds, [base.rerank for base in bases])
    say(rerank["why"])
    results = table_rows(jobs, config, rerank["why"])
    _write_ranks(folder / "ranks.parquet", data, results)
    _save_checkpoint(folder / "checkpoint", data, report, bases[0])
    metrics = metrics_document(dataset, config, data, results) | {"rerank": rerank}
    write_json(finished, metrics)
    _point_to(home, dataset, folder)
    return Run(folder, metrics, True)


def table_rows(jobs: Mapping[Job, JobResult], config: TrainConfig, why: str) -> Results:
    """The rows asked for that every seed has.

    Args:
        jobs: all jobs of all seeds.
        config: what was asked for.
        why: one may be missing, which is that of the learned rerank.

    Raises:
        ChangeSomethingError: there is none.
    """
    results: Results = {
        row: {seed: jobs[seed, name].rows[row] for seed in config.seeds}
        for row in config.rows
        for name in job_names(config)
        if all(row in jobs[seed, name].rows for seed in config.seeds)
    }
    if not results:
        raise ChangeSomethingError(f"no row {', '.join(config.rows)}: {why}; choose other --rows")
    return results


def latest_run(home: Path, dataset: str | None) -> tuple[str, Path] | None:
    """(data set, run directory) of the last training, of one data set where it is named."""
    pattern = f"{dataset}.latest.json" if dataset else "*.latest.json"
    pointers = sorted((home / "runs").glob(pattern), key=lambda p: p.stat().st_mtime)
    if not pointers:
        return None
    content = json.loads(pointers[-1].read_text("utf-8"))
    return content["dataset"], home / "runs" / content["run"]


def _key(config: TrainConfig, data: GraphData, personas: str) -> str:
    # The version of the personas tells also how their encoder works, which the settings do not.
    text = json.dumps([RUN_FORMAT, config.model_dump(mode="json"), data.content_hash(), personas])
    return hashlib.sha256(text.encode()).hexdigest()


def _point_to(home: Path, dataset: str, folder: Path) -> None:
    pointer = home / "runs" / f"{dataset}.latest.json"
    content = {"dataset": dataset, "run": folder.name}
    if not pointer.exists() or json.loads(pointer.read_text("utf-8")) != content:
        write_json(pointer, content)


def _write_ranks(path: Path, data: GraphData, results: Results) -> None:
    """Rank of each user's test item, by row and seed: what any other statistic can be made of."""
    frames = []
    users = np.array(data.users, object)
    for row, by_seed in results.items():
        for seed, found in by_seed.items():
            who = found.ranking.users
            items = [data.catalogue.ids[i] for i in data.split.test[who]]
            frame = pl.DataFrame({"user": users[who], "item": items, "rank": found.ranking.ranks})
            frames.append(frame.with_columns(row=pl.lit(row), seed=pl.lit(seed, pl.Int64)))
    with written_whole(path) as file:
        pl.concat(frames).write_parquet(file)


def _save_checkpoint(path: Path, data: GraphData, phase: Phase, base: JobResult) -> None:
    if base.base is None:
        raise ValueError("the base job keeps its model")
    Retriever(
        items=data.catalogue.ids,
        model=base.base,
        weights=base.weights,
        popularity=item_counts(phase.fit),
        evidence=phase.evidence,
        cold=phase.cold,
        rerank=kept_part(base.rerank, data, phase),
        fact_keys=tuple(f"{c.relation} {c.entity}" for c in data.fact_columns),
    ).save(path)
