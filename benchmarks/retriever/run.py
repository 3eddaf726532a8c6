"""Benchmark of the sequence model against RecBole's SASRec, both on one thread of one machine.

    python -m benchmarks.retriever.run --dataset beauty [--recbole-seconds 600]

Needs the data set's files (PERSONAREC_DATA) and RecBole's environment, which the first run makes
(setup-recbole.sh). The data set is loaded by ``kg ingest`` and exported as atomic files; both sides
must then hold out the same items (leave-one-out), or the run ends. Both rank all items and mask
none, as RecBole does for sequences. The two take turns: some batches of theirs, an epoch of ours.
RecBole trains for ``--recbole-seconds`` CPU seconds, evaluations included; its defaults ask for up
to 300 epochs, so what it would reach after that is not known and not guessed.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.retriever.memory import measure_alone
from benchmarks.retriever.ours import DEFAULTS, SETTINGS, THEIR_SHAPE
from benchmarks.retriever.prepare import Prepared, prepare
from benchmarks.retriever.quality import Point, levels
from benchmarks.retriever.report import as_markdown, draw
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


class Side:
    """One worker's training so far."""

    def __init__(self, worker: Worker, **asked: Any) -> None:
        self.worker = worker
        self.asked = asked
        self.curve: list[Point] = []
        self.parts: list[Reply] = []
        self.evaluations: list[Reply] = []
        self.epochs = 0.0

    @property
    def train_cpu(self) -> float:
        """CPU seconds of training."""
        return float(sum(part["cpu"] for part in self.parts))

    @property
    def cpu(self) -> float:
        """CPU seconds of training and of the evaluations between."""
        return self.train_cpu + float(sum(found["cpu"] for found in self.evaluations))

    def train(self, do: str, **asked: Any) -> None:
        """Train on."""
        self.parts.append(self.worker.ask(do, **self.asked, **asked))
        self.epochs = self.parts[-1].get("epochs", len(self.parts))

    def evaluate(self) -> None:
        """A point of the curve."""
        found = self.worker.ask("evaluate", which="valid", **self.asked)
        self.evaluations.append(found)
        point = Point(self.epochs, self.cpu, self.train_cpu, found["metrics"]["ndcg@10"])
        self.curve.append(point)
        print(self.asked.get("name", "RecBole"), point, file=sys.stderr, flush=True)

    def as_dict(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "epochs": self.epochs,
            "curve": [asdict(point) for point in self.curve],
            "parts": self.parts,
            "evaluations": self.evaluations,
        }


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


def take_turns(theirs: Side, ours: Side, shaped: Side, seconds: float, minutes: float) -> None:
    """Train all three; RecBole until it has spent its seconds, evaluated after each epoch."""
    schedule = SETTINGS[DEFAULTS][1].epochs
    until = time.monotonic() + 60 * minutes
    more = True
    while more or ours.epochs < schedule:
        if more:
            theirs.train("part", batches=PART)
            more = theirs.cpu < seconds and time.monotonic() < until
            if theirs.epochs == int(theirs.epochs) or not more:
                theirs.evaluate()
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
        take_turns(other, mine, shaped, seconds, minutes)
        ranked = evaluations(theirs, ours, CACHE)
    return {
        "dataset": data.name,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "torch": described["torch"],
        "recbole_settings": described["settings"],
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
    parser.add_argument("--part", choices=("speed", "memory", "both"), default="both")
    parser.add_argument("--scales", default="1,10,100")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    data = prepare(options.dataset, CACHE)
    if options.part != "memory":
        keep("speed", speed(data, options.recbole_seconds, options.minutes))
    if options.part != "speed":
        scales = [int(times) for times in options.scales.split(",")]
        keep("memory", [measure_alone(ROOT, data.split, times) for times in scales])


if __name__ == "__main__":
    main()
