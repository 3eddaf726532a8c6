"""Benchmark of the sequence model against RecBole's SASRec, both on one thread of one machine.

    python -m benchmarks.retriever.run --dataset beauty [--recbole-seconds 600]

Needs the data set's files (PERSONAREC_DATA) and RecBole's environment, which the first run makes
(setup-recbole.sh). The data set is loaded by ``kg ingest`` and exported as atomic files; both sides
must then hold out the same items (leave-one-out), or the run ends. Both rank all items and mask
none, as RecBole does for sequences. The two take turns: some batches of theirs, an epoch of ours.
RecBole trains for ``--recbole-seconds`` CPU seconds, evaluations included, to the end of an epoch,
or until its own rule stops it (validation no better for more than ten epochs, of up to 300). That
takes hours: its training is kept after each epoch and the next run goes on from there, its CPU
seconds added to those spent before (``--fresh`` begins again). What it would reach later is not
guessed.

CPU seconds are the figures to compare: wall seconds say what else the machine did. Writes
results.json and results.md beside this file, and docs/img/retriever-speed.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.retriever.growth import measure_alone
from benchmarks.retriever.ours import DEFAULTS, SETTINGS, THEIR_SHAPE
from benchmarks.retriever.prepare import Prepared, prepare
from benchmarks.retriever.quality import has_stopped, levels
from benchmarks.retriever.report import as_markdown, draw
from benchmarks.retriever.sides import Kept, Side
from benchmarks.retriever.worker import Reply, Worker

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "benchmarks" / "retriever"
PICTURE = ROOT / "docs" / "img" / "retriever-speed.svg"
PART = 5
"""Batches of RecBole's between two epochs of ours."""
ROUNDS = 2
"""Of the evaluations, and epochs of ours in RecBole's shape."""
BLOCKS = (1024, 7, 64, 1000, 4096, 1_000_000)
"""Users per block, the same ranks being expected of all."""


def recbole_python() -> Path:
    """RecBole's interpreter, whose environment is made where it is missing."""
    done = subprocess.run(
        [HERE / "setup-recbole.sh"], stdout=subprocess.PIPE, check=True, text=True
    )
    return ROOT / done.stdout.split()[-1]


def check_same(data: Prepared, described: Reply) -> None:
    """End where RecBole made something else of the export than we of the graph."""
    for name in ("users", "items", "targets", "valid", "test"):
        if described[name] != getattr(data, name):
            raise SystemExit(f"RecBole has {name} {described[name]}, ours {getattr(data, name)}")


def take_turns(
    theirs: Side, ours: Side, shaped: Side, goes_on: Callable[[], bool], keep: Callable[[], None]
) -> None:
    """Train all three, evaluated after each epoch, RecBole's as long as ``goes_on`` says so."""
    schedule = SETTINGS[DEFAULTS][1].epochs
    more = goes_on()
    while more or ours.epochs < schedule:
        if more:
            theirs.train("part", batches=PART)
            if theirs.epochs == int(theirs.epochs):
                theirs.evaluate()
                keep()
                more = goes_on()
        if ours.epochs < schedule:
            ours.train("epoch")
            ours.evaluate()
        if shaped.epochs < ROUNDS:
            shaped.train("epoch")
            shaped.evaluate()


def evaluations(theirs: Worker, ours: Worker, folder: Path) -> dict[str, Any]:
    """Full ranking of the test users, whole and of the same scores, in turns."""
    found: dict[str, list[Reply]] = {"RecBole": [], DEFAULTS: [], THEIR_SHAPE: []}
    same: dict[str, list[Reply]] = {"RecBole": [], "ours": []}
    theirs.ask("scores", folder=str(folder))
    for _ in range(ROUNDS):
        found["RecBole"].append(theirs.ask("evaluate", which="test"))
        for name in SETTINGS:
            found[name].append(ours.ask("evaluate", name=name, which="test"))
        same["RecBole"].append(theirs.ask("rank", folder=str(folder)))
        same["ours"].append(ours.ask("rank", folder=str(folder)))
    (folder / "scores.npy").unlink()
    blocks = ours.ask("batch_sizes", name=DEFAULTS, sizes=BLOCKS)
    return {
        "whole": {
            # Test items are for docs/results.md: here they are only what takes time.
            name: [{k: v for k, v in reply.items() if k != "metrics"} for reply in replies]
            for name, replies in found.items()
        },
        "same_scores": same,
        "blocks": {"sizes": BLOCKS, **blocks},
    }


def speed(data: Prepared, seconds: float, minutes: float) -> dict[str, Any]:
    """Epochs, quality over time and evaluation of both sides."""
    until = time.monotonic() + 60 * minutes
    python = recbole_python()
    with (
        Worker(
            ROOT, python, "benchmarks.retriever.with_recbole", data.atomic.resolve(), data.name
        ) as theirs,
        Worker(ROOT, sys.executable, "benchmarks.retriever.ours", data.split) as ours,
    ):
        described = theirs.ask("describe")
        check_same(data, described)
        other = Side(theirs)
        mine, shaped = (Side(ours, name=name) for name in (DEFAULTS, THEIR_SHAPE))
        patience = described["settings"]["stopping_step"]
        same = ("users", "items", "targets", "valid", "test", "settings", "torch")
        identity = {name: described[name] for name in same}
        kept = Kept(CACHE / f"recbole-{data.name}.json", identity)
        runs = kept.restore(other) + 1

        def goes_on() -> bool:
            left = other.cpu < seconds and time.monotonic() < until
            return left and not has_stopped(other.curve, patience)

        take_turns(other, mine, shaped, goes_on, lambda: kept.save(other, runs))
        ranked = evaluations(theirs, ours, CACHE)
    return {
        "dataset": data.name,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "torch": described["torch"],
        "recbole_settings": described["settings"],
        "recbole_runs": runs,
        "recbole_stopped": has_stopped(other.curve, patience),
        "users": data.users,
        "items": data.items,
        "targets": data.targets,
        "epoch_cpu": {
            "RecBole": other.train_cpu / other.epochs,
            DEFAULTS: statistics.median(p["cpu"] for p in mine.parts),
            THEIR_SHAPE: statistics.median(p["cpu"] for p in shaped.parts),
        },
        "levels": [asdict(level) for level in levels(mine.curve, other.curve)],
        "evaluation": ranked,
        "sides": {
            "RecBole": other.as_dict(),
            DEFAULTS: mine.as_dict(),
            THEIR_SHAPE: shaped.as_dict(),
        },
    }


def keep(part: str, found: Any) -> None:
    """Put one part's figures into results.json, and make the table and the picture anew."""
    file = HERE / "results.json"
    document = json.loads(file.read_text("utf-8")) if file.exists() else {}
    document[part] = found
    file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    text = as_markdown(document)
    (HERE / "results.md").write_text(text, "utf-8")
    draw(document, PICTURE)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the retriever; see this file's head.")
    parser.add_argument("--dataset", default="beauty")
    parser.add_argument("--recbole-seconds", type=float, default=600.0)
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="of wall time, after which RecBole is stopped"
    )
    parser.add_argument("--fresh", action="store_true", help="train RecBole from the beginning")
    parser.add_argument("--part", choices=("speed", "growth", "both"), default="both")
    parser.add_argument("--scales", default="1,10,100")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    data = prepare(options.dataset, CACHE)
    if options.fresh:
        (CACHE / f"recbole-{data.name}.json").unlink(missing_ok=True)
    if options.part != "growth":
        keep("speed", speed(data, options.recbole_seconds, options.minutes))
    if options.part != "speed":
        scales = [int(times) for times in options.scales.split(",")]
        keep("growth", [measure_alone(ROOT, data.split, times) for times in scales])


if __name__ == "__main__":
    main()
