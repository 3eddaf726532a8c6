"""Seconds and peak memory of an epoch and of an evaluation by size, each size in a new process.

    python -m benchmarks.retriever.growth SPLIT_FILE TIMES      prints one line of JSON

The users are the data set's so many times over, with the same items. An epoch is whole, and all
users are ranked.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.retriever.ours import DEFAULTS, new_trainer, nothing_seen
from benchmarks.retriever.prepare import load_split, replicated
from benchmarks.retriever.worker import ONE_THREAD
from personarec.evaluation.metrics import rank_all
from personarec.retriever.training import sequence_scorer


def peak_mib() -> float:
    """This process's peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(file: Path, times: int) -> dict[str, Any]:
    """Stage, train and rank in this process."""
    torch.set_num_threads(1)
    split = replicated(load_split(file), times)
    trainer = new_trainer(split, DEFAULTS)
    found: dict[str, Any] = {
        "times": times,
        "users": len(split.train),
        "interactions": len(split.train.items),
        "table_of_scores_mib": len(split.train) * split.train.n_items * 4 / 2**20,
        "data_mib": peak_mib(),
    }
    cpu = time.process_time()
    trainer.epoch(1)
    found |= {"epoch_cpu": time.process_time() - cpu, "trained_mib": peak_mib()}
    cpu = time.process_time()
    ranking = rank_all(
        sequence_scorer(trainer.model, split.train),
        nothing_seen(len(split.train), split.train.n_items),
        split.valid,
    )
    found |= {"ranked": len(ranking.users), "rank_cpu": time.process_time() - cpu}
    found["peak_mib"] = peak_mib()
    return found


def measure_alone(root: Path, file: Path, times: int) -> dict[str, Any]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.retriever.growth", file, str(times)],
        cwd=root,
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
