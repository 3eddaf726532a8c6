"""Peak memory of our staging, training and evaluation by size, each size in a new process.

    python -m benchmarks.retriever.memory SPLIT_FILE TIMES      prints one line of JSON

The users are the data set's so many times over, with the same items. Staged are all batches of one
epoch; trained on are the first STEPS of them, and ranked are RANKED users (a whole
epoch or evaluation holds nothing more); the states are those of all users.
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

import numpy as np
import torch

from benchmarks.retriever.ours import DEFAULTS, new_trainer, nothing_seen
from benchmarks.retriever.prepare import load_split, replicated
from benchmarks.retriever.worker import ONE_THREAD
from personarec.evaluation.metrics import rank_all
from personarec.retriever.batches import training_batches
from personarec.retriever.epochs import Trainer
from personarec.retriever.training import sequence_scorer

STEPS = 172
"""Of the default batches; an epoch of Beauty."""
RANKED = 22_363


class PartOfAnEpoch(Trainer):
    """Our trainer, ended before its epoch is over."""

    def part(self, steps: int) -> int:
        """Stage the first epoch whole and do some steps of it; the number of staged batches."""
        rng = np.random.default_rng(0)
        batches = training_batches(
            self.sequences,
            self.options.batch_size,
            self.model.config.max_length,
            self.options.seed,
            1,
        )
        self.model.train()
        for place, batch in enumerate(batches[:steps]):
            self._set_rate(place / len(batches))
            self._step(batch, int((batch.targets >= 0).sum()), rng)
        return len(batches)


def peak_mib() -> float:
    """This process's peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(file: Path, times: int) -> dict[str, Any]:
    """Stage, train and rank in this process."""
    torch.set_num_threads(1)
    split = replicated(load_split(file), times)
    made = new_trainer(split, DEFAULTS)
    trainer = PartOfAnEpoch(made.model, split.train, made.options, None, made.peers)
    del made
    found: dict[str, Any] = {
        "times": times,
        "users": len(split.train),
        "interactions": len(split.train.items),
        "table_of_scores_mib": len(split.train) * split.train.n_items * 4 / 2**20,
        "data_mib": peak_mib(),
    }
    cpu = time.process_time()
    found["batches"] = trainer.part(STEPS)
    found |= {"steps": min(STEPS, found["batches"]), "train_cpu": time.process_time() - cpu}
    found["trained_mib"] = peak_mib()
    cpu = time.process_time()
    targets = split.valid.copy()
    targets[RANKED:] = -1
    ranking = rank_all(
        sequence_scorer(trainer.model, split.train),
        nothing_seen(len(split.train), split.train.n_items),
        targets,
    )
    found |= {"ranked": len(ranking.users), "rank_cpu": time.process_time() - cpu}
    found["peak_mib"] = peak_mib()
    return found


def measure_alone(root: Path, file: Path, times: int) -> dict[str, Any]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.retriever.memory", file, str(times)],
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
