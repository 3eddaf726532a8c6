"""Search for a sequence model's settings: so many trials, by validation NDCG@10 alone.

Optuna proposes (TPE), stops hopeless trials early (median rule, at equal shares of their schedules)
and keeps the study in a journal on disk. Each proposal's randomness comes from the seed and the
number of trials finished, so a search that was killed goes on to the trials it would have made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kg.errors import ChangeSomethingError, TryAgainError
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split
from personarec.retriever.sasrec import Layer, SasRecConfig
from personarec.retriever.training import EpochRecord, TrainingOptions, train

if TYPE_CHECKING:
    import optuna

JOURNAL = "trials.jsonl"
"""File of the study, in its folder."""

STUDY = "sequence model"

STAGES = 12
"""Trials are compared at twelfths of their schedules: a long one is behind at equal epochs."""

SearchedLoss = Literal["sampled", "full", "gbce"]


class SearchSpace(BaseModel):
    """What is tried; a single choice fixes a setting. The rest is as in the base settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedding_size: tuple[int, ...] = Field(default=(64, 128, 256), min_length=1)
    blocks: tuple[int, ...] = Field(default=(1, 2), min_length=1)
    heads: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1)
    layer: tuple[Layer, ...] = Field(default=("pre-norm", "ligr"), min_length=1)
    dropout: tuple[float, ...] = Field(default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), min_length=1)
    max_length: tuple[int, ...] = Field(default=(20, 30, 50), min_length=1)
    learning_rate: tuple[float, float] = (5e-4, 5e-3)
    """Lowest and highest, searched on a logarithmic scale."""
    batch_size: tuple[int, ...] = Field(default=(384, 768, 1536), min_length=1)
    loss: tuple[SearchedLoss, ...] = Field(default=("sampled", "gbce", "full"), min_length=1)
    """Sampled softmax, generalised binary cross-entropy, softmax over the whole catalogue."""
    negatives: tuple[int, ...] = Field(default=(256, 1024), min_length=1)
    """For the losses that sample."""
    epochs: tuple[int, ...] = Field(default=(12, 20, 32), min_length=1)
    """Length of the schedule: with the learning rate it decides how far a training gets."""


@dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Attributes:
        number: in the order of the journal.
        settings: what was proposed, by name.
        ndcg: best validation NDCG@10, of a pruned trial the best so far.
        epoch: the epoch it was reached at.
        pruned: whether it was stopped for being behind the others.
    """

    number: int
    settings: dict[str, Any]
    ndcg: float
    epoch: int
    pruned: bool


@dataclass(frozen=True)
class Tuned:
    """The best settings of a search.

    Attributes:
        config: shape of the network.
        options: of the training.
        best: the trial they come from.
        trials: all that count towards the budget.
    """

    config: SasRecConfig
    options: TrainingOptions
    best: TrialResult
    trials: tuple[TrialResult, ...]


def tune(
    split: Split,
    space: SearchSpace,
    trials: int,
    folder: Path,
    *,
    seed: int = 0,
    config: SasRecConfig | None = None,
    options: TrainingOptions | None = None,
    personas: NDArray[np.float32] | None = None,
    item_vectors: NDArray[np.float32] | None = None,
    initial_items: NDArray[np.float32] | None = None,
    on_trial: Callable[[TrialResult], None] | None = None,
) -> Tuned:
    """Find settings by validation; the test items are not looked at.

    The first trial is the base settings, as far as the space holds them. A journal in ``folder``
    of the same search is taken up where it stands; trials cut off half-way are made anew.

    Args:
        split: trained on ``train``, judged by ``valid``.
        space: what is tried.
        trials: how many, those of an earlier start included; rows to be compared get as many each.
        folder: of the journal; made if need be.
        seed: of the proposals. What a trial draws itself comes from ``options.seed``.
        config: base shape, which holds the settings that are not searched.
        options: base options.
        personas: as for :func:`train`, made of ``split.train`` alone.
        item_vectors: as for :func:`train`.
        initial_items: as for :func:`train`.
        on_trial: called after each trial.

    Raises:
        ChangeSomethingError: Optuna is not installed, the folder holds another search, or not one
            trial came to an end without being pruned.
        TryAgainError: another process works on the folder.
    """
    base = config or SasRecConfig(), options or TrainingOptions()
    vectors = personas, item_vectors, initial_items
    with _alone(folder):
        study = _open(folder, _fingerprint(split, space, seed, *base, *vectors))
        from optuna import TrialPruned
        from optuna.trial import TrialState

        while (done := len(_finished(study))) < trials:
            study.sampler = _sampler(seed, done)
            # One that was cut off before it was taken up still waits.
            if not done and not study.get_trials(states=(TrialState.WAITING,)):
                study.enqueue_trial(_base_settings(space, *base))
            trial = study.ask()
            proposed = _propose(trial, space, *base)
            watch = _Watch(trial, proposed[1].epochs)
            try:
                train(
                    split.train,
                    *proposed,
                    valid=split.valid,
                    personas=personas,
                    item_vectors=item_vectors,
                    initial_items=initial_items,
                    on_epoch=watch,
                )
            except TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, watch.best)
            if on_trial is not None:
                on_trial(_result(study.trials[trial.number]))
        finished = _finished(study)
        whole = [t for t in finished if t.state == TrialState.COMPLETE]
    if not whole:
        raise ChangeSomethingError(f"{folder}: no trial came to an end; ask for more than {trials}")
    best = max(whole, key=lambda t: (t.value, -t.number))
    return Tuned(
        *_propose(best, space, *base), _result(best), tuple(_result(trial) for trial in finished)
    )


class _Watch:
    """Reports a trial's epochs, and ends it when it falls behind."""

    def __init__(self, trial: optuna.Trial, epochs: int) -> None:
        self.trial = trial
        self.epochs = epochs
        self.best = -math.inf
        self.stage = 0

    def __call__(self, record: EpochRecord) -> None:
        from optuna import TrialPruned

        if record.ndcg is None:
            return
        if record.ndcg > self.best:
            self.best = record.ndcg
            self.trial.set_user_attr("best", [record.epoch, record.ndcg])
        stage = math.ceil(STAGES * record.epoch / self.epochs)
        if stage > self.stage:
            self.stage = stage
            self.trial.report(record.ndcg, stage)
            if self.trial.should_prune():
                raise TrialPruned


def _propose(
    trial: optuna.Trial | optuna.trial.FrozenTrial,
    space: SearchSpace,
    config: SasRecConfig,
    options: TrainingOptions,
) -> tuple[SasRecConfig, TrainingOptions]:
    """The settings of a trial: asked for, or read off one that is over."""
    shape = {name: trial.suggest_categorical(name, getattr(space, name)) for name in _SHAPE}
    change: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", *space.learning_rate, log=True),
        "batch_size": trial.suggest_categorical("batch_size", space.batch_size),
        "epochs": trial.suggest_categorical("epochs", space.epochs),
    }
    loss = trial.suggest_categorical("loss", space.loss)
    change["loss"] = "gbce" if loss == "gbce" else "softmax"
    change["negatives"] = (
        0 if loss == "full" else trial.suggest_categorical("negatives", space.negatives)
    )
    if loss == "gbce":
        change["sampling_power"] = 0.0
    return (
        SasRecConfig(**config.model_dump() | shape),
        TrainingOptions(**options.model_dump() | change),
    )


_SHAPE = ("embedding_size", "blocks", "heads", "layer", "dropout", "max_length")


def _base_settings(
    space: SearchSpace, config: SasRecConfig, options: TrainingOptions
) -> dict[str, Any]:
    """The base settings that the space holds; the others are proposed."""
    loss = "gbce" if options.loss == "gbce" else "sampled" if options.negatives else "full"
    known = config.model_dump() | options.model_dump() | {"loss": loss}
    names = (*_SHAPE, "batch_size", "epochs", "loss", "negatives")
    held = {name: known[name] for name in names if known[name] in getattr(space, name)}
    low, high = space.learning_rate
    if low <= options.learning_rate <= high:
        held["learning_rate"] = options.learning_rate
    return held


def _sampler(seed: int, done: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    # Seeded anew for each trial: what is proposed depends on the trials before it, not on how
    # often the search was started.
    return TPESampler(seed=int(np.random.SeedSequence((seed, done)).generate_state(1)[0]))


def _open(folder: Path, fingerprint: str) -> optuna.Study:
    """The study in a folder, with trials that were cut off marked as failed."""
    try:
        import optuna
    except ImportError as error:
        raise ChangeSomethingError("tuning needs Optuna: pip install 'personarec[tune]'") from error
    from optuna.pruners import MedianPruner
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _mend(folder / JOURNAL)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        study_name=STUDY,
        direction="maximize",
        pruner=MedianPruner(n_startup_trials=4, n_warmup_steps=3),
        load_if_exists=True,
    )
    known = study.user_attrs.setdefault("search", fingerprint)
    if known != fingerprint:
        raise ChangeSomethingError(
            f"{folder} holds a search of other data or settings: name another folder"
        )
    study.set_user_attr("search", fingerprint)
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process off the folder: it would take this one's trial for cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-use").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TryAgainError(
                f"{folder}: another search works on it; wait for it, or name another folder"
            ) from error
        # Nobody else is here: a lock of the journal is what a killed process left.
        (folder / f"{JOURNAL}.lock").unlink(missing_ok=True)
        yield


def _mend(journal: Path) -> None:
    """Cut off a last line that was not written whole: the next would be glued to it."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _result(trial: optuna.trial.FrozenTrial) -> TrialResult:
    epoch, ndcg = trial.user_attrs["best"]
    pruned = trial.state.name == "PRUNED"
    return TrialResult(trial.number, dict(trial.params), ndcg, epoch, pruned)


def _fingerprint(
    split: Split,
    space: SearchSpace,
    seed: int,
    config: SasRecConfig,
    options: TrainingOptions,
    *vectors: NDArray[np.float32] | None,
) -> str:
    """What makes two searches the same one; SHA-256."""
    settings = [part.model_dump(mode="json") for part in (space, config, options)]
    digest = hashlib.sha256(json.dumps([settings, seed], sort_keys=True).encode())
    train: Sequences = split.train
    for array in (train.indptr, train.items, split.valid, *vectors):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
