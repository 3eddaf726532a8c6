"""Our SASRec, as a worker: ``-m benchmarks.retriever.ours SPLIT_FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.retriever.prepare import load_split
from benchmarks.retriever.worker import Reply, serve
from personarec.evaluation.metrics import Ranking, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.epochs import Trainer
from personarec.retriever.parallel import Peers
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.training import TrainingOptions, sequence_scorer

DEFAULTS, THEIR_SHAPE = "ours", "ours, RecBole's shape and loss"
SETTINGS = {
    DEFAULTS: (SasRecConfig(), TrainingOptions()),
    # RecBole's width, blocks, heads, window, dropout, batch, learning rate and full softmax. What
    # stays ours: whole windows instead of a copy of the sequence per target, ages, pre-LN.
    THEIR_SHAPE: (
        SasRecConfig(
            embedding_size=64, blocks=2, heads=2, hidden_factor=4, dropout=0.5, max_length=50
        ),
        TrainingOptions(batch_size=2048, learning_rate=1e-3, negatives=0),
    ),
}


def nothing_seen(users: int, n_items: int) -> Sequences:
    """Masks nothing: RecBole's sequential models leave seen items among the candidates."""
    return Sequences(np.zeros(users + 1, np.int64), np.empty(0, np.int32), n_items)


def metrics(ranking: Ranking) -> dict[str, float]:
    """Under RecBole's names."""
    return {
        "hit@10": ranking.hit_rate(10),
        "ndcg@10": ranking.ndcg(10),
        "mrr@10": ranking.mrr(10),
    }


def new_trainer(split: Split, name: str) -> Trainer:
    """An untrained model of ``SETTINGS`` with its optimiser."""
    config, options = SETTINGS[name]
    torch.manual_seed(options.seed)
    model = SasRec(split.train.n_items, config)
    return Trainer(model, split.train, options, None, Peers.current())


class Ours:
    """One model per entry of ``SETTINGS``."""

    def __init__(self, split: Split) -> None:
        torch.set_num_threads(1)
        self.split = split
        self.trainers = {name: new_trainer(split, name) for name in SETTINGS}
        self.epochs = dict.fromkeys(SETTINGS, 0)

    def epoch(self, name: str) -> Reply:
        """One epoch of the schedule of the defaults."""
        self.epochs[name] += 1
        return {"loss": self.trainers[name].epoch(self.epochs[name])}

    def evaluate(self, name: str, which: str) -> Reply:
        """As RecBole does it: every item is a candidate."""
        return {"metrics": metrics(self._ranking(name, which, 1024))}

    def batch_sizes(self, name: str, sizes: list[int]) -> Reply:
        """Largest difference of any test user's rank to that with blocks of the first size."""
        found = [self._ranking(name, "test", size).ranks for size in sizes]
        return {
            "users": len(found[0]),
            "differing_users": [int((f != found[0]).sum()) for f in found],
            "largest_difference": [float(np.abs(f - found[0]).max()) for f in found],
        }

    def rank(self, folder: str) -> Reply:
        """Metrics of the scores that RecBole wrote, with its padding item left out."""
        scores = np.load(f"{folder}/scores.npy", mmap_mode="r")
        targets = np.load(f"{folder}/targets.npy").astype(np.int32) - 1
        ranking = rank_all(
            lambda users: np.array(scores[users[0] : users[-1] + 1, 1:]),
            nothing_seen(len(targets), scores.shape[1] - 1),
            targets,
        )
        return {"metrics": metrics(ranking), "tied": int((ranking.ranks % 1 != 0).sum())}

    def _ranking(self, name: str, which: str, batch_size: int) -> Ranking:
        shown = self.split.fit(refit=which == "test")
        targets = {"valid": self.split.valid, "test": self.split.test}[which]
        scorer = sequence_scorer(self.trainers[name].model, shown)
        return rank_all(scorer, nothing_seen(len(shown), shown.n_items), targets, batch_size)


if __name__ == "__main__":
    ours = Ours(load_split(Path(sys.argv[1])))
    serve({name: getattr(ours, name) for name in ("epoch", "evaluate", "batch_sizes", "rank")})
