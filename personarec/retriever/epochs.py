"""One epoch of training: batches, negatives, loss, gradients, step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from personarec.evaluation.sequences import Sequences
from personarec.retriever.batches import Batch, training_batches
from personarec.retriever.losses import full_softmax, gbce, sampled_softmax
from personarec.retriever.parallel import Peers
from personarec.retriever.popularity import item_counts
from personarec.retriever.sasrec import SasRec

if TYPE_CHECKING:
    from personarec.retriever.training import TrainingOptions


class Trainer:
    """One model's optimiser, its negatives and its personas.

    Attributes:
        rows: float32, shape (n_users, embedding_size), the users' trained tokens, if it has them.
    """

    def __init__(
        self,
        model: SasRec,
        sequences: Sequences,
        options: TrainingOptions,
        personas: NDArray[np.float32] | None,
        peers: Peers,
    ) -> None:
        self.model = model
        self.sequences = sequences
        self.options = options
        self.peers = peers
        device = model.table.device
        self.personas: Tensor | None = None
        self.rows: nn.Parameter | None = None
        if personas is not None and model.config.fusion == "rows":
            self.rows = nn.Parameter(torch.tensor(personas, device=device))
        elif personas is not None:
            # Moved once, looked up by row, never a parameter.
            self.personas = torch.from_numpy(personas).to(device)
        self.parameters = [*model.parameters(), *([] if self.rows is None else [self.rows])]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )
        looked_up = [model.table] if self.rows is None else [model.table, self.rows]
        self.dense_gradients = [(table, torch.zeros_like(table)) for table in looked_up]
        weights = (item_counts(sequences) + 1.0) ** options.sampling_power
        share = weights / weights.sum()
        self.cumulative = np.cumsum(share)
        self.log_expected = np.log(share * max(options.negatives, 1)).astype(np.float32)

    def epoch(self, number: int) -> float:
        """Train one epoch; mean loss over the targets."""
        options = self.options
        self.model.train()
        # Apart from the batches, so that neither changes with how often the other draws.
        rng = np.random.default_rng((options.seed, number, 1))
        total, count = 0.0, 0
        batches = training_batches(
            self.sequences, options.batch_size, self.model.config.max_length, options.seed, number
        )
        for place, batch in enumerate(batches):
            self._set_rate(number - 1 + place / len(batches))
            targets = int((batch.targets >= 0).sum())
            total += self._step(self.peers.share(batch), targets, rng) * targets
            count += targets
        summed = torch.tensor(total, dtype=torch.float64, device=self.model.table.device)
        return float(self.peers.sum(summed)) / count

    def _step(self, batch: Batch, total: int, rng: np.random.Generator) -> float:
        """One step; this process's part of the mean loss over the ``total`` targets of all."""
        drawn = self._draw(rng)
        self.optimizer.zero_grad()
        share = float((batch.targets >= 0).sum()) / total
        value = 0.0
        if share:
            kind = self.model.table.device.type
            with torch.autocast(kind, torch.bfloat16, enabled=self.options.bfloat16):
                loss = self._loss(batch, drawn) * share
            loss.backward()  # type: ignore[no-untyped-call]
            value = float(loss.detach())
        self._densify()
        self.peers.sum_gradients(self.parameters)
        self.optimizer.step()
        return value

    def _loss(self, batch: Batch, drawn: NDArray[np.int64]) -> Tensor:
        model, options, device = self.model, self.options, self.model.table.device
        targets = torch.from_numpy(batch.targets).to(device)
        states = model(torch.from_numpy(batch.items).to(device), self._personas_of(batch.users))
        real = targets >= 0
        if not options.negatives:
            return full_softmax(states[real], targets[real], model.item_table)
        negatives = torch.from_numpy(drawn).to(device)
        if options.loss == "gbce":
            return gbce(
                states[real],
                targets[real],
                model.table,
                negatives,
                model.n_items,
                options.calibration,
            )
        return sampled_softmax(
            states[real],
            targets[real],
            model.table,
            negatives,
            torch.from_numpy(self.log_expected[drawn]).to(device),
        )

    def _personas_of(self, users: NDArray[np.int64]) -> Tensor | None:
        which = torch.from_numpy(users).to(self.model.table.device)
        if self.rows is not None:
            return functional.embedding(which, self.rows, sparse=True)
        return None if self.personas is None else self.personas[which]

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Negatives, int64, shape (negatives,); the same in all processes."""
        drawn = np.searchsorted(self.cumulative, rng.random(self.options.negatives))
        # Rounding may leave the last sum a little below 1.
        return np.minimum(drawn, self.model.n_items - 1)

    def _set_rate(self, epochs: float) -> None:
        """Learning rate after so many epochs: up to its peak, then down to nothing."""
        done, warmup = epochs / self.options.epochs, self.options.warmup
        # Not from 0: with few batches the very first step would be lost.
        share = min((done + 1e-3) / warmup, (1 - done) / (1 - warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * share

    def _densify(self) -> None:
        """Add the touched rows up in one buffer that lives as long as the training.

        Letting autograd make dense gradients allocates and clears the whole table at each look-up,
        which doubles the time of a step.
        """
        for table, dense in self.dense_gradients:
            gradient = table.grad
            if gradient is None or not gradient.is_sparse:
                continue
            dense.zero_()
            dense.index_add_(0, gradient._indices()[0], gradient._values())
            table.grad = dense
