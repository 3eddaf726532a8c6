"""RecBole's SASRec, as a worker. Runs in an environment of its own (setup-recbole.sh).

Called as ``-m benchmarks.retriever.with_recbole FOLDER NAME``, FOLDER/NAME/NAME.inter being the
atomic file. It imports nothing of personarec. What is not RecBole's default is in ``SETTINGS``.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config  # type: ignore[import-not-found, unused-ignore]
from recbole.data import (  # type: ignore[import-not-found, unused-ignore]
    create_dataset,
    data_preparation,
)
from recbole.model.sequential_recommender import (  # type: ignore[import-not-found, unused-ignore]
    SASRec,
)
from recbole.trainer import Trainer  # type: ignore[import-not-found, unused-ignore]
from recbole.utils import init_seed  # type: ignore[import-not-found, unused-ignore]

from benchmarks.retriever.worker import Reply, serve

SETTINGS: dict[str, Any] = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "train_neg_sample_args": None,  # the loss is CE over all items, its default
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "metrics": ["Hit", "NDCG", "MRR"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 9,
    "use_gpu": False,
    "show_progress": False,
}


class RecBole:
    """Data, model and trainer, made as RecBole's quick start makes them."""

    def __init__(self, folder: Path, name: str) -> None:
        # No arguments of ours for it to read as settings of its own.
        sys.argv = sys.argv[:1]
        os.chdir(folder)  # it writes logs beside itself
        torch.set_num_threads(1)
        config = Config(model="SASRec", dataset=name, config_dict={**SETTINGS, "data_path": "."})
        init_seed(config["seed"], config["reproducibility"])
        self.config = config
        self.dataset = create_dataset(config)
        self.train, self.valid, self.test = data_preparation(config, self.dataset)
        init_seed(config["seed"], config["reproducibility"])
        self.model = SASRec(config, self.train.dataset)
        self.trainer = Trainer(config, self.model)
        self.trainer.eval_collector.data_collect(self.train)
        self.done = 0  # batches
        self.rest: Iterator[Any] = iter(())

    def describe(self) -> Reply:
        """What it made of the file, for the other side to compare with."""
        return {
            "users": self.dataset.user_num - 1,
            "items": self.dataset.item_num - 1,
            "targets": len(self.train.dataset),
            "valid": self._fingerprint(self.valid.dataset),
            "test": self._fingerprint(self.test.dataset),
            "settings": {
                name: self.config[name]
                for name in (
                    "hidden_size", "n_layers", "n_heads", "inner_size", "hidden_dropout_prob",
                    "attn_dropout_prob", "loss_type", "learning_rate", "train_batch_size",
                    "eval_batch_size", "MAX_ITEM_LIST_LENGTH", "stopping_step",
                )
            },
            "torch": torch.__version__,
        }  # fmt: skip

    def _fingerprint(self, dataset: Any) -> str:
        found = dataset.inter_feat
        users = dataset.id2token("user_id", found["user_id"].numpy())
        items = dataset.id2token("item_id", found["item_id"].numpy())
        lines = sorted(f"{user}\t{item}" for user, item in zip(users, items, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def part(self, batches: int) -> Reply:
        """So many more batches, or what is left of the epoch; ``epochs``: done since the start."""
        found = list(islice(self.rest, batches))
        if not found:
            self.rest = iter(self.train)
            found = list(islice(self.rest, batches))
        loss = self.trainer._train_epoch(found, self.done // len(self.train))
        self.done += len(found)
        epochs = self.done / len(self.train)  # a whole number after a whole epoch
        return {"loss": loss / len(found), "epochs": epochs, "batches": len(found)}

    def save(self, file: str) -> Reply:
        """Write all that the next epoch follows from; only after a whole epoch."""
        torch.save(
            {
                "done": self.done,
                "model": self.model.state_dict(),
                "optimizer": self.trainer.optimizer.state_dict(),
                "drawn": torch.get_rng_state(),
                "shuffled": self.train.generator.get_state(),
            },
            file,
        )
        return {}

    def restore(self, file: str) -> Reply:
        """Go on from what :meth:`save` wrote."""
        found = torch.load(file, weights_only=True)
        self.done, self.rest = found["done"], iter(())
        self.model.load_state_dict(found["model"])
        self.trainer.optimizer.load_state_dict(found["optimizer"])
        torch.set_rng_state(found["drawn"])
        self.train.generator.set_state(found["shuffled"])
        return {}

    def evaluate(self, which: str) -> Reply:
        data = {"valid": self.valid, "test": self.test}[which]
        return {"metrics": dict(self.trainer.evaluate(data, load_best_model=False))}

    @torch.no_grad()
    def scores(self, folder: str) -> Reply:
        """Write the scores of all test users, shape (n_users, n_items + 1), and their targets."""
        self.model.eval()
        shape = (len(self.test.dataset), self.dataset.item_num)
        out = np.lib.format.open_memmap(
            f"{folder}/scores.npy", mode="w+", dtype=np.float32, shape=shape
        )
        targets: list[Any] = []
        for interaction, _, _, positive in self.test:
            start = len(targets)
            out[start : start + len(positive)] = self.model.full_sort_predict(interaction).numpy()
            targets.extend(positive.tolist())
        out.flush()
        np.save(f"{folder}/targets.npy", np.array(targets))
        return {}

    def rank(self, folder: str) -> Reply:
        """Metrics of written scores, by RecBole's collector and evaluator, in its batches."""
        scores = np.load(f"{folder}/scores.npy", mmap_mode="r")
        targets = torch.from_numpy(np.load(f"{folder}/targets.npy"))
        size = self.config["eval_batch_size"]
        for start in range(0, len(scores), size):
            block = torch.from_numpy(np.array(scores[start : start + size]))
            block[:, 0] = -np.inf
            self.trainer.eval_collector.eval_batch_collect(
                block, None, torch.arange(len(block)), targets[start : start + size]
            )
        found = self.trainer.evaluator.evaluate(self.trainer.eval_collector.get_data_struct())
        return {"metrics": dict(found)}


if __name__ == "__main__":
    ours = RecBole(Path(sys.argv[1]), sys.argv[2])
    names = ("describe", "part", "save", "restore", "evaluate", "scores", "rank")
    serve({name: getattr(ours, name) for name in names})
