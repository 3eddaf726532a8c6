"""A side's training so far, and RecBole's between two runs of the benchmark."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.retriever.quality import Point
from benchmarks.retriever.worker import Reply, Worker
from kg.partial import write_json


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

    def go_on(self, found: dict[str, Any]) -> None:
        """Have behind it what :meth:`as_dict` of an earlier run says."""
        self.epochs, self.parts = found["epochs"], found["parts"]
        self.evaluations = found["evaluations"]
        self.curve = [Point(**point) for point in found["curve"]]


@dataclass
class Kept:
    """RecBole's training between runs: how far it is, and the model it goes on with.

    Attributes:
        file: JSON beside which the models lie.
        identity: what it was trained on and how; another one is not gone on with.
    """

    file: Path
    identity: dict[str, Any]

    def restore(self, side: Side) -> int:
        """Put the side where the last run left it; how many runs there were before this one."""
        if not self.file.exists():
            return 0
        found = json.loads(self.file.read_text("utf-8"))
        if found["identity"] != self.identity:
            raise SystemExit(f"{self.file} is of other data or settings; begin again with --fresh")
        side.worker.ask("restore", file=str(self.file.parent / found["model"]))
        side.go_on(found["side"])
        return int(found["runs"])

    def save(self, side: Side, runs: int) -> None:
        """Keep the side after a whole epoch."""
        model = self.file.with_suffix(f".{round(side.epochs)}.pt")
        side.worker.ask("save", file=str(model))
        found = {
            "identity": self.identity, "model": model.name, "runs": runs, "side": side.as_dict(),
        }  # fmt: skip
        write_json(self.file, found)
        for old in self.file.parent.glob(f"{self.file.stem}.*.pt"):
            if old != model:
                old.unlink()
