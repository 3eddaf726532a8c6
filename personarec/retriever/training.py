"""Training of the sequence model, with early stopping on the validation items."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from personarec.evaluation.metrics import Scorer, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.batches import pad_right
from personarec.retriever.epochs import Trainer
from personarec.retriever.parallel import Peers
from personarec.retriever.sasrec import INITIAL_SCALE, SasRec, SasRecConfig
from personarec.torch_threads import torch_threads

CUTOFF = 10
"""Early stopping looks at NDCG at this rank."""

Loss = Literal["softmax", "gbce"]


class LeakWarning(UserWarning):
    """A training may be shown what it is asked for."""


@contextmanager
def leak_intended() -> Iterator[None]:
    """No :class:`LeakWarning` inside: what the paper's way gives is shown on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakWarning)
        yield


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
    loss: Loss = "softmax"
    """``gbce``: generalised binary cross-entropy, on sampled negatives drawn uniformly."""
    negatives: int = Field(default=1024, ge=0)
    """Sampled negatives a batch shares; 0: the whole catalogue, exactly."""
    sampling_power: float = Field(default=0.5, ge=0)
    """Negatives are drawn in proportion to (count + 1) to this power; 0: uniformly."""
    calibration: float = Field(default=0.75, ge=0, le=1)
    """t of gBCE: 0 is plain binary cross-entropy, 1 gives unbiased probabilities."""
    bfloat16: bool = False
    """Products of the training in bfloat16: faster where the processor has units for them (AMX,
    CUDA), slower where it has not; results then differ from one machine to the next."""
    threads: int | None = Field(default=1, ge=1)
    """Threads of torch while training; none: as torch is set. One, so that the same seed gives the
    same model on every machine, alone or beside others; more gain little on models this small."""

    @model_validator(mode="after")
    def _gbce_draws_uniformly(self) -> TrainingOptions:
        if self.loss == "gbce" and (self.sampling_power or not self.negatives):
            raise ValueError(
                "gbce is calibrated for negatives drawn uniformly: set sampling_power to 0 and "
                "negatives to 1 or more"
            )
        return self


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
        rows: float32, shape (n_users, embedding_size), the users' tokens as trained, for fusion
            ``rows``: the personas to rank known users with; anonymous sessions get their mean.
    """

    model: SasRec
    best_epoch: int
    history: tuple[EpochRecord, ...]
    rows: NDArray[np.float32] | None = None


@dataclass
class _Best:
    """The best weights so far."""

    ndcg: float = -math.inf
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)
    rows: NDArray[np.float32] | None = None

    def offer(self, trainer: Trainer, epoch: int, ndcg: float) -> None:
        """Keep a copy if it is better."""
        if ndcg > self.ndcg:
            self.ndcg, self.epoch, self.rows = ndcg, epoch, _rows(trainer)
            self.state = {k: value.clone() for k, value in trainer.model.state_dict().items()}


def train(
    sequences: Sequences,
    config: SasRecConfig | None = None,
    options: TrainingOptions | None = None,
    *,
    valid: NDArray[np.int32] | None = None,
    stop_after: int | None = None,
    personas: NDArray[np.float32] | None = None,
    valid_personas: NDArray[np.float32] | None = None,
    item_vectors: NDArray[np.float32] | None = None,
    initial_items: NDArray[np.float32] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Trained:
    """Fit a model to sequences.

    The same seed gives the same model on the CPU with the same number of threads. Inside a
    :func:`process_group` the processes train one model together, each on its share of each batch.

    Args:
        sequences: what to learn from, and what validation shows as history and masks.
        config: shape; ``persona_size`` must match ``personas``.
        options: see there; all ``epochs`` are run if there is no ``valid``.
        valid: int32, shape (n_users,), validation items, -1 for none.
        stop_after: epoch to stop after, on the schedule of ``options.epochs``; the last if not
            given.
        personas: float32, shape (n_users, persona_size), for ``persona_source`` "given": frozen
            input, or with fusion ``rows`` what the users' trained tokens start from, scaled to
            the item table. May hold nothing that lies after the places it is used at.
        valid_personas: the same for validation; ``personas`` if not given, and with ``rows`` what
            was trained.
        item_vectors: float32, shape (n_items, persona_size), for ``persona_source`` "prefix";
            frozen. To be made of nothing but ``sequences`` and facts.
        initial_items: float32, shape (n_items, embedding_size), where the item table starts, in
            place of random rows: descriptions, for example. Scaled as a whole to what random rows
            are, and trained.
        on_epoch: called after each epoch.

    Raises:
        ValueError: vectors that do not fit the configuration, or nothing to learn from.

    Warns:
        LeakWarning: given personas that differ by user. One made of all of a user's training items
            holds each place's answer: the model learns to trust it, and at test it is not there.
    """
    config = config or SasRecConfig()
    options = options or TrainingOptions()
    _check("personas", personas, len(sequences), config.persona_size * config.needs_personas)
    _check(
        "item_vectors",
        item_vectors,
        sequences.n_items,
        config.persona_size * config.needs_item_vectors,
    )
    if initial_items is not None:
        _check("initial_items", initial_items, sequences.n_items, config.embedding_size)
    if not (sequences.lengths > 1).any():
        raise ValueError("no sequence has two items: there is no next item to learn from")
    _warn_of_leak(personas)
    peers = Peers.current()
    forked: list[int] | None = [] if options.device == "cpu" else None  # none: every accelerator
    with torch_threads(options.threads), torch.random.fork_rng(forked):
        torch.manual_seed(options.seed)
        model = _started(SasRec(sequences.n_items, config), item_vectors, initial_items)
        if config.fusion == "rows" and personas is not None:
            personas = _scaled(personas)
        trainer = Trainer(model.to(options.device), sequences, options, personas, peers)
        if peers.rank:  # or all processes would drop the same units
            torch.manual_seed(options.seed + peers.rank)
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
                held_out = _rows(trainer)
                if held_out is None:
                    held_out = personas if valid_personas is None else valid_personas
                scorer = sequence_scorer(model, sequences, held_out)
                ndcg = rank_all(scorer, sequences, valid).ndcg(CUTOFF)
                ndcg = peers.agreed(ndcg, model.table.device)
                best.offer(trainer, epoch, ndcg)
            history.append(EpochRecord(epoch, loss, seconds, ndcg))
            if on_epoch is not None:
                on_epoch(history[-1])
            waited = epoch - best.epoch
            if valid is not None and waited >= options.patience * options.evaluate_every:
                break
    if not best.state:
        return Trained(model.eval(), len(history), tuple(history), _rows(trainer))
    model.load_state_dict(best.state)
    return Trained(model.eval(), best.epoch, tuple(history), best.rows)


def select_and_refit(
    split: Split,
    config: SasRecConfig | None = None,
    options: TrainingOptions | None = None,
    *,
    personas: NDArray[np.float32] | None = None,
    refit_personas: NDArray[np.float32] | None = None,
    item_vectors: NDArray[np.float32] | None = None,
    refit_item_vectors: NDArray[np.float32] | None = None,
    initial_items: NDArray[np.float32] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> tuple[Trained, Trained]:
    """Choose the number of epochs on validation, then train afresh on train + validation.

    Args:
        split: the test items in it are not looked at.
        config: shape.
        options: for both trainings.
        personas: float32, shape (n_users, persona_size), made of ``split.train`` only.
        refit_personas: the same made of train + validation; ``personas`` if not given.
        item_vectors: float32, shape (n_items, persona_size), made of ``split.train`` and facts.
        refit_item_vectors: the same made of train + validation; ``item_vectors`` if not given.
        initial_items: float32, shape (n_items, embedding_size), for both.
        on_epoch: called after each epoch of both.

    Returns:
        The selected model, which settings may be chosen with, and the refitted one, to report.
    """
    options = options or TrainingOptions()
    selected = train(
        split.train,
        config,
        options,
        valid=split.valid,
        personas=personas,
        item_vectors=item_vectors,
        initial_items=initial_items,
        on_epoch=on_epoch,
    )
    refitted = train(
        split.fit(refit=True),
        config,
        options,
        stop_after=selected.best_epoch,
        personas=personas if refit_personas is None else refit_personas,
        item_vectors=item_vectors if refit_item_vectors is None else refit_item_vectors,
        initial_items=initial_items,
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
        personas: float32, shape (b, persona_size), if the model needs them.

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
        personas: float32, shape (n_users, persona_size), if the model needs them.
    """
    states = torch.from_numpy(encode_sessions(model.eval(), sequences, personas))
    table = model.item_table.detach().cpu()

    def score(users: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = (states[torch.from_numpy(users)] @ table.T).numpy()
        return scores

    return score


def _check(name: str, vectors: NDArray[np.float32] | None, n: int, size: int) -> None:
    """Refuse vectors of another shape than (n, size), and any where size is 0."""
    shape = None if vectors is None else vectors.shape
    if shape != ((n, size) if size else None):
        raise ValueError(
            f"{name} have shape {shape}, the configuration asks for "
            + (f"({n}, {size})" if size else "none")
        )


def _warn_of_leak(personas: NDArray[np.float32] | None) -> None:
    if personas is not None and (personas != personas[0]).any():
        warnings.warn(
            "each user's persona is one vector for all places of the training: if it was made of "
            "training items it holds their answers, which no session will; persona_source "
            "'prefix' makes personas of the items before each place",
            LeakWarning,
            stacklevel=3,
        )


def _started(
    model: SasRec,
    item_vectors: NDArray[np.float32] | None,
    initial_items: NDArray[np.float32] | None,
) -> SasRec:
    """The model with the vectors it is given in their places."""
    with torch.no_grad():
        if model.prefix is not None and item_vectors is not None:
            model.prefix.vectors[:-1] = torch.from_numpy(item_vectors)
        if initial_items is not None:
            model.table[:-1] = torch.from_numpy(_scaled(initial_items))
    return model


def _scaled(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """All by one factor, to the root mean square that random rows have."""
    size = np.sqrt(np.square(vectors, dtype=np.float64).mean())
    return (vectors * (INITIAL_SCALE / size if size > 0 else 1)).astype(np.float32)


def _rows(trainer: Trainer) -> NDArray[np.float32] | None:
    """A copy of the users' tokens, if they are trained."""
    rows = trainer.rows
    return None if rows is None else rows.detach().cpu().numpy().copy()
