"""What a persona alone knows of its reader's next item.

Two readings of a persona p: the encoder's own score h p, and a linear map from p to items (ridge),
learned from the personas at places inside the training sequences and the items that came next.
Which one, and how much ridge, is chosen on validation. Ranks are over the full catalogue with seen
items masked, as everywhere in the project; they are kept by user, for the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.evaluation.leakage import refuse_long
from personarec.evaluation.metrics import Ranking, hit_rate, rank_all
from personarec.evaluation.sequences import Sequences
from personarec.evaluation.splits import Split

if TYPE_CHECKING:
    from personarec.personas.encoder import DensePersonas, Personas

Matrix = NDArray[np.float32]
Reading = Callable[[Sequences], Matrix]
"""Sessions → scores, shape (b, n_items), an array that may be overwritten."""

CHOICE_CUTOFF = 100
"""Choices are made by NDCG at this rank: far less noisy than at 10, where few users hit."""
RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Times the mean variance of a persona's dimensions and the number of examples."""
FEW_ITEMS = 3
SAMPLE = 5000
"""Users that choices and side measures are made on, where there are more."""


@dataclass(frozen=True)
class LinearMap:
    """Persona → scores: (p − mean) W + offset.

    Attributes:
        mean: float32, shape (size,).
        weights: W, float32, shape (size, n_items).
        offset: float32, shape (n_items,): how often each item came next; what a persona that says
            nothing is given.
    """

    mean: Matrix
    weights: Matrix
    offset: Matrix

    def score(self, personas: Matrix) -> Matrix:
        """float32, shape (b, n_items)."""
        return np.asarray((personas - self.mean) @ self.weights + self.offset, np.float32)


@dataclass(frozen=True)
class Probe:
    """What was found of one encoder.

    Attributes:
        reading: ``own``, or ``ridge`` and its strength: chosen on validation.
        choice: NDCG@100 of each reading on the validation users it was chosen by.
        ranking: of the test items, after train and validation items.
        cold: bool, as ``ranking.users``: the target has no training interaction.
        few: bool, as ``ranking.users``: at most three training items.
        short: the test items again, only the newest three items shown; of a sample of users.
        edges: the two held-out items of each of those users, after the training items alone:
            float64, shape (2, n), ranks of validation and test item.
    """

    reading: str
    choice: dict[str, float]
    ranking: Ranking
    cold: NDArray[np.bool_]
    few: NDArray[np.bool_]
    short: Ranking
    edges: NDArray[np.float64]

    def recall(self, k: int = 100) -> float:
        """Mean share of a user's held-out items among the first k."""
        return float(hit_rate(self.edges, k).mean())


def prefixes(
    sequences: Sequences, most: int, seed: int
) -> tuple[Sequences, NDArray[np.int32], NDArray[np.int64]]:
    """Places inside sequences: what was visible there, and what came next.

    Args:
        sequences: to take places of.
        most: places of one user, drawn at random where there are more.
        seed: of the draw.

    Returns:
        the visible items, m sequences of one item or more; the next items, int32, shape (m,); and
        whose places they are, int64, shape (m,).
    """
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    shown = np.arange(len(sequences.items)) - sequences.indptr[owner]
    order = np.lexsort((np.random.default_rng(seed).random(len(owner)), shown == 0, owner))
    # The first of each user comes last in this order, and is no place: nothing is visible there.
    rank = np.arange(len(order)) - sequences.indptr[owner[order]]
    kept = np.sort(order[(rank < most) & (shown[order] > 0)])
    lengths = shown[kept]
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    where = np.repeat(sequences.indptr[owner[kept]] - indptr[:-1], lengths) + np.arange(indptr[-1])
    visible = Sequences(indptr, sequences.items[where], sequences.n_items)
    return visible, sequences.items[kept], owner[kept]


def newest(sequences: Sequences, n: int) -> Sequences:
    """The newest n items of each sequence."""
    lengths = np.minimum(sequences.lengths, n)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    where = np.repeat(sequences.indptr[1:] - indptr[1:], lengths) + np.arange(indptr[-1])
    return Sequences(indptr, sequences.items[where], sequences.n_items)


def fit_maps(
    personas: Matrix, targets: NDArray[np.int32], n_items: int, ridges: tuple[float, ...] = RIDGES
) -> list[LinearMap]:
    """Ridge regression from personas to the next items' indicator, one map for each strength.

    W = (CᵀC + r t I)⁻¹ Cᵀ Y with C the centred personas and t the mean of the diagonal of CᵀC, so
    that a strength means the same to encoders of any scale.
    """
    mean = personas.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = personas - mean
    n = len(targets)
    marks = sparse.csr_array((np.ones(n, np.float32), (targets, np.arange(n))), shape=(n_items, n))
    values, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    scale = max(float(values.mean()), 1e-9)
    turned = vectors.T @ np.asarray(marks @ centred, np.float64).T
    offset = (np.bincount(targets, minlength=n_items) / max(n, 1)).astype(np.float32)
    return [
        LinearMap(
            mean,
            (vectors @ (turned / (np.maximum(values, 0) + r * scale)[:, None])).astype(np.float32),
            offset,
        )
        for r in ridges
    ]


def sampled_targets(targets: NDArray[np.int32], most: int, seed: int) -> NDArray[np.int32]:
    """Targets of at most so many users drawn at random; the others' are −1."""
    users = np.flatnonzero(targets >= 0)
    if len(users) <= most:
        return targets
    result = np.full_like(targets, -1)
    drawn = np.random.default_rng(seed).choice(users, most, replace=False)
    result[drawn] = targets[drawn]
    return result


def rank_sessions(
    score: Reading,
    visible: Sequences,
    targets: NDArray[np.int32],
    seen: Sequences | None = None,
) -> Ranking:
    """Ranks of the targets by what is visible; ``seen``, else what is visible, is masked."""
    masked = visible if seen is None else seen
    return rank_all(lambda users: score(visible.take(users)), masked, targets)


def validation_ndcg(score: Reading, visible: Sequences, targets: NDArray[np.int32]) -> float:
    """What choices are made by: NDCG@100."""
    return rank_sessions(score, visible, targets).ndcg(CHOICE_CUTOFF)


def mapped_ndcg(
    model: DensePersonas, sequences: Sequences, valid: NDArray[np.int32], seed: int = 0
) -> float:
    """NDCG@100 on validation of the best linear map from the model's personas."""
    targets = sampled_targets(valid, SAMPLE, seed)
    readings = _mapped(model, sequences, 20, seed)
    return max(validation_ndcg(score, sequences, targets) for score in readings.values())


def probe(
    model: Personas,
    split: Split,
    *,
    fitted: Sequences,
    readings: dict[str, Reading] | None = None,
    sample: int = SAMPLE,
    places: int = 20,
    seed: int = 0,
) -> Probe:
    """Ask a fitted encoder for the held-out items.

    Args:
        model: fitted to training interactions alone.
        split: what is held out.
        fitted: the sequences that the model was fitted to, checked against the split.
        readings: other readings to choose from, instead of ``own`` and, if dense, the linear maps.
        sample: users that the reading is chosen on and that side measures are made of.
        places: of each training sequence that the linear map learns from.
        seed: of what is drawn.

    Raises:
        LeakError: the model was fitted to more than the training sequences.
    """
    refuse_long("what the persona encoder was fitted to", fitted, split.train)
    if readings is None:
        readings = readings_of(model, split.train, seed, places)
    valid = sampled_targets(split.valid, sample, seed)
    choice = {name: validation_ndcg(s, split.train, valid) for name, s in readings.items()}
    reading = max(choice, key=lambda name: choice[name])
    score = readings[reading]

    visible = split.fit(refit=True)
    ranking = rank_sessions(score, visible, split.test)
    counts = np.bincount(split.train.items, minlength=split.train.n_items)
    tests = sampled_targets(split.test, sample, seed)
    both = np.where(tests >= 0, split.valid, -1).astype(np.int32)
    return Probe(
        reading,
        choice,
        ranking,
        counts[split.test[ranking.users]] == 0,
        split.train.lengths[ranking.users] <= FEW_ITEMS,
        rank_sessions(score, newest(visible, FEW_ITEMS), tests, seen=visible),
        np.stack([rank_sessions(score, split.train, t).ranks for t in (both, tests)]),
    )


def readings_of(
    model: Personas, sequences: Sequences, seed: int, places: int = 20
) -> dict[str, Reading]:
    """The ways to read a model: its own score and, if dense, the linear maps."""
    readings: dict[str, Reading] = {"own": model.score}
    if isinstance(model.items, np.ndarray):
        readings |= _mapped(model, sequences, places, seed)  # type: ignore[arg-type]
    return readings


def _mapped(
    model: DensePersonas, sequences: Sequences, places: int, seed: int
) -> dict[str, Reading]:
    visible, targets, _ = prefixes(sequences, places, seed)
    maps = fit_maps(model.personas(visible), targets, sequences.n_items)

    def reading(of: LinearMap) -> Reading:
        return lambda sessions: of.score(model.personas(sessions))

    return {f"ridge {r:g}": reading(m) for r, m in zip(RIDGES, maps, strict=True)}
