"""A comparison from graph to report: what is missing is made, the rest is found as it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kg.errors import ChangeSomethingError, one_line
from kg.partial import write_json
from kg.store import GraphStore
from personarec.compare.cells import (
    CellResult,
    cell_folder,
    cell_key,
    is_there,
    write_cell,
)
from personarec.compare.checks import Check, run_checks
from personarec.compare.config import CompareConfig
from personarec.compare.fitted import Fitted
from personarec.compare.identity import row_identity
from personarec.compare.rows import ROWS, SASREC, Row, chosen_rows, keeps_model
from personarec.compare.settings import Settings
from personarec.compare.tuning import settings_of, tunable, tune_row
from personarec.compare.work import RERANK, STEPS, make_cell
from personarec.compare.world import World, read_world
from personarec.evaluation.metrics import METRICS
from personarec.evaluation.protocols import UNSEEN_USERS
from personarec.training.processes import Say, default_workers, each_job

CUTOFFS = (10, 20, 100)
BETWEEN_LINES = 10.0
"""Seconds from one line about a job to the next."""


@dataclass(frozen=True)
class Cell:
    """One row and one seed, and the folder that it is kept in.

    Attributes:
        row: name of the row.
        seed: of everything random.
        key: hash of all that it follows from.
        folder: where it is, or will be.
        bases: folders of the cells it builds on, by row.
    """

    row: str
    seed: int
    key: str
    folder: Path
    bases: Mapping[str, Path]


@dataclass
class Bench:
    """What a process needs to make cells; sent once to each."""

    world: World
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What trials have found so far, by row."""

    @cached_property
    def fitted(self) -> Fitted:
        """Evidence and personas, shared by the cells and trials of this process."""
        return Fitted(self.world)

    def settings(self, row: Row) -> Settings:
        """A row's settings."""
        return settings_of(row, self.world.config, self.found)

    def __getstate__(self) -> dict[str, Any]:
        return {"world": self.world, "found": self.found}  # what was fitted stays here


@dataclass(frozen=True)
class Finished:
    """A comparison with all its cells.

    Attributes:
        world: what it was made from.
        checks: leak checks that passed.
        rows: the rows that are there, in the order of the table.
        cells: of each row, one per seed; one alone where nothing differs by seed.
        absent: rows that could not be made, with the reason.
        made: cells that were made now, not found.
    """

    world: World
    checks: list[Check]
    rows: list[Row]
    cells: dict[str, list[Cell]]
    absent: dict[str, str]
    made: int = 0
    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def compare(
    store: GraphStore,
    dataset: str,
    config: CompareConfig,
    home: Path,
    say: Say,
    *,
    out: Path | None = None,
    workers: int | None = None,
) -> Finished:
    """Make every cell that is not there yet.

    Args:
        store: the graph, with the data set loaded.
        dataset: its name.
        config: what to compare.
        home: folder for all state.
        say: called with lines of progress.
        out: folder of the comparison; under ``home`` where none is given.
        workers: processes; as many as there are processors when data are many.

    Raises:
        ChangeSomethingError: no such row or data set, or a split that leaves nothing.
        LeakError: an input knows held-out interactions.
    """
    chosen_rows(config.rows)  # a wrong name is said before the graph is read
    return compare_world(read_world(store, dataset, config, out, home), say, workers=workers)


def compare_world(world: World, say: Say, *, workers: int | None = None) -> Finished:
    """The same of data that were read already; see :func:`compare`."""
    rows = chosen_rows(world.config.rows)
    checks = run_checks(world)
    for check in checks:
        say(f"no leak in {check.name}: {check.found}")
    world.out.mkdir(parents=True, exist_ok=True)
    absent = _absent(rows, world)
    rows = [row for row in rows if row.name not in absent]
    workers = workers or default_workers(len(world.data.interactions))
    bench = Bench(world)
    cells, made = _all_cells(bench, rows, absent, workers, say)
    rows = [row for row in rows if row.name not in absent]
    return Finished(world, checks, rows, cells, absent, made, bench.found)


def _absent(rows: list[Row], world: World) -> dict[str, str]:
    facts = bool(world.data.facts.nnz)
    strangers = world.protocol.name == UNSEEN_USERS
    absent: dict[str, str] = {}
    for row in rows:
        reason = row.missing(facts=facts, strangers=strangers)
        if not reason and row.base in absent:
            reason = f"it builds on {row.base}, which is not there"
        if reason:
            absent[row.name] = reason
    return absent


def _all_cells(
    bench: Bench, rows: list[Row], absent: dict[str, str], workers: int, say: Say
) -> tuple[dict[str, list[Cell]], int]:
    cells: dict[str, list[Cell]] = {}
    total = sum(bench.world.config.seeds if r.seeded else 1 for r in rows)
    done = made = 0
    for wave in _waves(rows):
        for row in wave:
            if lost := [base for base in _bases(row) if base in absent]:
                absent[row.name] = f"it builds on {', '.join(lost)}, which is not there"
        if bench.world.config.trials:
            _tune_wave(bench, wave, cells, absent, workers, say)
        wanted = []
        for row in wave:
            if row.name in absent:
                continue
            cells[row.name] = [
                _cell(bench, row, seed, cells)
                for seed in range(bench.world.config.seeds if row.seeded else 1)
            ]
            wanted += cells[row.name]
        # By seed, so that what a process has fitted for one row serves the next.
        missing = sorted(
            (c for c in wanted if not is_there(c.folder, model=keeps_model(ROWS[c.row]))),
            key=lambda c: c.seed,
        )
        done += len(wanted) - len(missing)
        if wanted and not missing:
            say(f"{done} of {total} cells: were there")
        for cell, reason in each_job(_make, bench, missing, workers, say):
            done += 1
            made += not reason
            say(f"{done} of {total} cells: {cell.row}, seed {cell.seed}: {reason or 'done'}")
            if reason:
                absent[cell.row] = reason
    return {n: c for n, c in cells.items() if n not in absent}, made


def _tune_wave(
    bench: Bench, wave: list[Row], cells: Mapping[str, list[Cell]], absent: dict[str, str],
    workers: int, say: Say,
) -> None:  # fmt: skip
    jobs = [
        (row.name, {base: cells[base][0].folder for base in _bases(row)})
        for row in wave
        if tunable(row) and row.name not in absent
    ]
    if jobs:
        say(f"tuning {len(jobs)} rows, {bench.world.config.trials} trials each")
    for (name, _), settings in each_job(_tune, bench, jobs, workers, say):
        if isinstance(settings, str):
            absent[name] = settings
        else:
            bench.found[name] = settings
            say(f"{name}: validation NDCG@10 {settings['validation']:.4f} by its trials")


def _tune(bench: Bench, job: tuple[str, Mapping[str, Path]], say: Say) -> dict[str, Any] | str:
    name, bases = job
    try:
        return tune_row(bench.fitted, ROWS[name], bases, _now_and_then(name, say))
    except ChangeSomethingError as error:
        return one_line(error, 300)


def _now_and_then(what: str, say: Say) -> Say:
    """Lines about something that takes long; those that come soon after the last are left out."""
    last = time.monotonic()

    def said(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= BETWEEN_LINES:
            last = time.monotonic()
            say(f"{what}: {line}")

    return said


def _waves(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows that build on none, then those that build on these, and so on."""
    left, there = list(rows), set[str]()
    while left:
        ready = [row for row in left if set(_bases(row)) <= there]
        yield ready
        there |= {row.name for row in ready}
        left = [row for row in left if row.name not in there]


def _bases(row: Row) -> list[str]:
    """Rows whose cells a row reads: its own base, that one's, and the model that reranks."""
    bases = []
    if row.base:
        bases = [row.base, *_bases(ROWS[row.base])]
    if row.kind == "rerank":
        bases.append(SASREC)
    return list(dict.fromkeys(bases))


def _cell(bench: Bench, row: Row, seed: int, cells: Mapping[str, list[Cell]]) -> Cell:
    world = bench.world
    built_on = {name: cells[name][min(seed, len(cells[name]) - 1)] for name in _bases(row)}
    identity = {
        "row": row_identity(row, world.config),
        "settings": _own_settings(row, bench.settings(row)),
        "seed": seed,
        "split": world.protocol.name,
        "refit": world.config.refit,
        "data": world.data_hash,
        "built on": {name: cell.key for name, cell in built_on.items()},
    }
    if world.protocol.cuts:
        identity |= {"cuts": world.protocol.cuts, "queries": len(world.protocol.test)}
    if world.protocol.name == UNSEEN_USERS:
        identity["validate"] = int(np.count_nonzero(world.protocol.split.valid >= 0))
    key = cell_key(identity)
    folder = cell_folder(world.out, row.name, seed, key)
    return Cell(row.name, seed, key, folder, {n: c.folder for n, c in built_on.items()})


def _own_settings(row: Row, settings: Settings) -> dict[str, Any]:
    """The settings that a row's own work follows from; its base has a key of its own."""
    whole = settings.as_dict()
    if row.kind == "learned":
        return {"rerank": RERANK.model_dump(exclude={"seed"})}
    names = ("sasrec", "options") if row.kind == "network" else ("evidence",)
    found = {name: whole[name] for name in names if row.kind != "rerank"}
    return found | {"weights": STEPS, "cold": row.cold} if row.kind == "late" else found


def _make(bench: Bench, cell: Cell, say: Say) -> str:
    """Make a cell and write it; the reason where the data do not allow it."""
    row, world = ROWS[cell.row], bench.world
    started = time.perf_counter()
    try:
        said = _now_and_then(f"{cell.row}, seed {cell.seed}", say)
        result = make_cell(row, cell.seed, bench.settings(row), bench.fitted, cell.bases, said)
    except ChangeSomethingError as error:
        return one_line(error, 300)
    seconds = round(time.perf_counter() - started, 2)
    test, data = world.protocol.test, world.data
    write_cell(
        cell.folder,
        result,
        {
            "row": row.name, "what": row.what, "seed": cell.seed,
            "made of": row.made_of(world.config.encoder_named),
            "dataset": data.name, "split": world.protocol.name, "refit": world.config.refit,
            "settings": bench.settings(row).as_dict(), "encoder": world.config.encoder,
            "key": cell.key,
        },
        world.environment | {"dataHash": world.data_hash},
        cell_metrics(result, cell, seconds),
        {
            "user": [data.users[u] for u in test.users],
            "item": [data.catalogue.ids[i] for i in test.targets],
        },
    )  # fmt: skip
    return ""


def cell_metrics(result: CellResult, cell: Cell, seconds: float) -> dict[str, Any]:
    """Content of a cell's metrics.json."""
    ranks = result.answers.ranks
    return {
        "row": cell.row,
        "seed": cell.seed,
        "validation": result.validation,
        **{
            f"{name}@{k}": float(np.mean(metric(ranks, k)))
            for k in CUTOFFS
            for name, metric in METRICS.items()
        },
        "weights": dict(result.weights),
        "notes": dict(result.notes),
        "seconds": seconds,
    }


def save_document(out: Path, document: Mapping[str, Any]) -> None:
    """Write results.json."""
    write_json(out / "results.json", document)
