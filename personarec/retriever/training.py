"""Training of the sequence model, with early stopping on the validation items."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from personarec.evaluation.metrics import Scorer, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.batches import Batch, pad_right, training_batches
from personarec.retriever.losses import full_softmax, sampled_softmax
from personarec.retriever.popularity import item_counts
from personarec.retriever.sasrec import SasRec, SasRecConfig

CUTOFF = 10
"""Early stopping looks at NDCG at this rank."""


class TrainingOptions(BaseModel):
    """How to train, apart from the shape of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    device: str = "cpu"
    epochs: int = Field(default=12, ge=1)
    """Length of the schedule: the learning rate ends at 0 after them."""
    patience: int = Field(default=3, ge=1)
    """Evaluations without a better one before training stops."""
    evaluate_every: int = Field(default=2, ge=1)
    """Epochs from one evaluation to the next."""
    batch_size: int = Field(default=768, ge=1)
    """Targets per batch, about."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """The peak; reached after ``warmup``, then falling in a straight line."""
    warmup: float = Field(default=0.1, gt=0, lt=1)
    """Share of the schedule in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    negatives: int = Field(default=1024, ge=0)
    """Sampled negatives a batch shares; 0: the whole catalogue, exactly."""
    sampling_power: float = Field(default=0.5, ge=0)
    """Negatives are drawn in proportion to (count + 1) to this power; 0: uniformly."""
    threads: int | None = Field(default=1, ge=1)
    """Threads of torch while training; none: as torch is set. One, so that the same seed gives the
    same model on every machine, alone or beside others; more gain little on models this small."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave.

    Attributes:
        epoch: from 1.
        loss: mean over the targets.
        seconds: of training, without evaluation.
        ndcg: NDCG@10 on the validation items; none where not evaluated.
    """

    epoch: int
    loss: float
    seconds: float
    ndcg: float | None


@dataclass(frozen=True)
class Trained:
    """A trained model and how it came about.

    Attributes:
        model: in evaluation mode, with the weights of ``best_epoch``.
        best_epoch: the epoch with the best validation NDCG@10, or the last without validation.
        history: one record per epoch.
    """

    model: SasRec
    best_epoch: int
    history: tuple[EpochRecord, ...]


@dataclass
class _Best:
    """The best weights so far."""

    ndcg: float = -math.inf
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, model: SasRec, epoch: int, ndcg: float) -> None:
        """Keep a copy if it is better."""
        if ndcg > self.ndcg:
            self.ndcg, self.epoch = ndcg, epoch
            self.state = {name: value.clone() for name, value in model.state_dict().items()}


def train(
    sequences: Sequences,
    config: SasRecConfig | None = None,
    options: TrainingOptions | None = None,
    *,
    valid: NDArray[np.int32] | None = None,
    stop_after: int | None = None,
    personas: NDArray[np.float32] | None = None,
    valid_personas: NDArray[np.float32] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Trained:
    """Fit a model to sequences.

    The same seed gives the same model on the CPU with the same number of threads.

    Args:
        sequences: what to learn from, and what validation shows as history and masks.
        config: shape; ``persona_size`` must match ``personas``.
        options: see there; all ``epochs`` are run if there is no ``valid``.
        valid: int32, shape (n_users,), validation items, -1 for none.
        stop_after: epoch to stop after, on the schedule of ``options.epochs``; the last if not
            given.
        personas: float32, shape (n_users, persona_size), frozen input of the persona token. May
            hold nothing that lies after the places it is used at.
        valid_personas: the same for validation; ``personas`` if not given.
        on_epoch: called after each epoch.

    Raises:
        ValueError: personas that do not fit the configuration, or nothing to learn from.
    """
    config = config or SasRecConfig()
    options = options or TrainingOptions()
    _check_personas(personas, len(sequences), config)
    if not (sequences.lengths > 1).any():
        raise ValueError("no sequence has two items: there is no next item to learn from")
    held_out = personas if valid_personas is None else valid_personas
    forked: list[int] | None = [] if options.device == "cpu" else None  # none: every accelerator
    with _threads(options.threads), torch.random.fork_rng(forked):
        torch.manual_seed(options.seed)
        model = SasRec(sequences.n_items, config).to(options.device)
        trainer = _Trainer(model, sequences, options, personas)
        best = _Best()
        history: list[EpochRecord] = []
        last = min(stop_after or options.epochs, options.epochs)
        for epoch in range(1, last + 1):
            started = time.perf_counter()
            loss = trainer.epoch(epoch)
            seconds = time.perf_counter() - started
            due = epoch % options.evaluate_every == 0 or epoch == last
            ndcg = None
            if valid is not None and due:
                scorer = sequence_scorer(model, sequences, held_out)
                ndcg = rank_all(scorer, sequences, valid).ndcg(CUTOFF)
                best.offer(model, epoch, ndcg)
            history.append(EpochRecord(epoch, loss, seconds, ndcg))
            if on_epoch is not None:
                on_epoch(history[-1])
            waited = epoch - best.epoch
            if valid is not None and waited >= options.patience * options.evaluate_every:
                break
    if best.state:
        model.load_state_dict(best.state)
    return Trained(model.eval(), best.epoch or len(history), tuple(history))


def select_and_refit(
    split: Split,
    config: SasRecConfig | None = None,
    options: TrainingOptions | None = None,
    *,
    personas: NDArray[np.float32] | None = None,
    refit_personas: NDArray[np.float32] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> tuple[Trained, Trained]:
    """Choose the number of epochs on validation, then train afresh on train + validation.

    Args:
        split: the test items in it are not looked at.
        config: shape.
        options: for both trainings.
        personas: float32, shape (n_users, persona_size), made of ``split.train`` only.
        refit_personas: the same made of train + validation; ``personas`` if not given.
        on_epoch: called after each epoch of both.

    Returns:
        The selected model, which settings may be chosen with, and the refitted one, to report.
    """
    options = options or TrainingOptions()
    selected = train(
        split.train, config, options, valid=split.valid, personas=personas, on_epoch=on_epoch
    )
    refitted = train(
        split.fit(refit=True),
        config,
        options,
        stop_after=selected.best_epoch,
        personas=personas if refit_personas is None else refit_personas,
        on_epoch=on_epoch,
    )
    return selected, refitted


def encode_sessions(
    model: SasRec, sessions: Sequences, personas: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The state after each session's last item.

    Args:
        model: in evaluation mode, or dropout makes the states random.
        sessions: b sequences; only the newest ``max_length`` items are looked at.
        personas: float32, shape (b, persona_size), if the model has a token.

    Returns:
        float32, shape (b, embedding_size).
    """
    device = model.table.device
    lengths = np.minimum(sessions.lengths, model.config.max_length)
    states = np.empty((len(sessions), model.config.embedding_size), dtype=np.float32)
    # Sessions of like length together: little padding, and padding is most of the cost.
    order = np.argsort(lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), 1024):
            rows = order[start : start + 1024]
            items = pad_right(
                sessions.items,
                sessions.indptr[rows + 1] - lengths[rows],
                lengths[rows],
                sessions.n_items,
                # A block of empty sessions still needs one place to read a state from.
                max(int(lengths[rows].max()), 1),
            )
            given = None if personas is None else torch.from_numpy(personas[rows]).to(device)
            encoded = model.encode(
                torch.from_numpy(items).to(device),
                torch.from_numpy(lengths[rows]).to(device),
                given,
            )
            states[rows] = encoded.cpu().numpy()
    return states


def sequence_scorer(
    model: SasRec, sequences: Sequences, personas: NDArray[np.float32] | None = None
) -> Scorer:
    """Scores of all items for blocks of users, each state computed once.

    Args:
        model: put into evaluation mode.
        sequences: the visible items, n_users sequences.
        personas: float32, shape (n_users, persona_size), if the model has a token.
    """
    states = torch.from_numpy(encode_sessions(model.eval(), sequences, personas))
    table = model.item_table.detach().cpu()

    def score(users: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = (states[torch.from_numpy(users)] @ table.T).numpy()
        return scores

    return score


class _Trainer:
    """One model's optimiser, its negatives and its persona vectors."""

    def __init__(
        self,
        model: SasRec,
        sequences: Sequences,
        options: TrainingOptions,
        personas: NDArray[np.float32] | None,
    ) -> None:
        self.model = model
        self.sequences = sequences
        self.options = options
        # Moved once, looked up by row, never a parameter.
        self.personas = (
            None if personas is None else torch.from_numpy(personas).to(model.table.device)
        )
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.table_gradient = torch.zeros_like(model.table)
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
            total += self._step(batch, rng) * targets
            count += targets
        return total / count

    def _step(self, batch: Batch, rng: np.random.Generator) -> float:
        model, device = self.model, self.model.table.device
        targets = torch.from_numpy(batch.targets).to(device)
        users = torch.from_numpy(batch.users).to(device)
        personas = None if self.personas is None else self.personas[users]
        states = model(torch.from_numpy(batch.items).to(device), personas)
        real = targets >= 0
        if self.options.negatives:
            drawn = np.searchsorted(self.cumulative, rng.random(self.options.negatives))
            # Rounding may leave the last sum a little below 1.
            drawn = np.minimum(drawn, model.n_items - 1)
            loss = sampled_softmax(
                states[real],
                targets[real],
                model.table,
                torch.from_numpy(drawn).to(device),
                torch.from_numpy(self.log_expected[drawn]).to(device),
            )
        else:
            loss = full_softmax(states[real], targets[real], model.item_table)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._densify()
        self.optimizer.step()
        return float(loss.detach())

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
        gradient = self.model.table.grad
        if gradient is None or not gradient.is_sparse:
            return
        self.table_gradient.zero_()
        self.table_gradient.index_add_(0, gradient._indices()[0], gradient._values())
        self.model.table.grad = self.table_gradient


def _check_personas(
    personas: NDArray[np.float32] | None, n_users: int, config: SasRecConfig
) -> None:
    if personas is None and config.persona_size == 0:
        return
    shape = None if personas is None else personas.shape
    if shape != (n_users, config.persona_size) or config.persona_size == 0:
        raise ValueError(
            f"personas have shape {shape}, the configuration asks for "
            f"({n_users}, {config.persona_size})"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
