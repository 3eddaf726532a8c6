"""Late fusion: the sequence model's score plus weighted evidence from the graph.

total = z(sequence) + Σ w_e · z(evidence e), each z taken per session over the items it has not
seen. Weights are found on validation items only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import Scorer, hit_rate, mask_seen, ndcg

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.cold_items import ColdItems

DEFAULT_GRID: Mapping[str, tuple[float, ...]] = {
    "transitions": (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45),
    "facts": (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
}
"""Weights tried for each evidence."""

CUTOFF = 10
"""Weights are chosen by NDCG at this rank."""


class Evidence(Protocol):
    """Anything that scores all items from the visible ones, known user or not."""

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items), a fresh array."""
        ...


@dataclass(frozen=True)
class Trial:
    """One combination of weights.

    Attributes:
        weights: by name of the evidence.
        ndcg: NDCG@10 on the validation items.
        hit_rate: HR@10 on the validation items.
    """

    weights: dict[str, float]
    ndcg: float
    hit_rate: float


def standardise(scores: NDArray[np.float32], seen: Sequences) -> None:
    """Shift and scale each row to mean 0 and deviation 1 over its unseen items, in place.

    Seen items move along with their row. A row without spread becomes 0: it says nothing.

    Args:
        scores: float32, shape (b, n_items).
        seen: b sequences.
    """
    known = seen.recency(1.0)  # adds up repeats, so that each seen item is left out once
    rows = np.repeat(np.arange(len(seen)), np.diff(known.indptr))
    kept = scores[rows, known.indices]
    scores[rows, known.indices] = 0
    unseen = np.maximum(scores.shape[1] - np.diff(known.indptr), 1)
    mean = scores.sum(axis=1, dtype=np.float64) / unseen
    scores[rows, known.indices] = mean[rows]
    scores -= mean[:, None].astype(np.float32)
    spread = np.sqrt(np.einsum("ij,ij->i", scores, scores).astype(np.float64) / unseen)
    factor = np.where(spread > 1e-12, 1 / np.where(spread > 1e-12, spread, 1), 0)
    scores *= factor[:, None].astype(np.float32)
    scores[rows, known.indices] = (kept - mean[rows]) * factor[rows]


def components(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    users: NDArray[np.int64],
    sessions: Sequences,
    cold: ColdItems | None = None,
) -> list[NDArray[np.float32]]:
    """z of the sequence score, then z of each evidence.

    Args:
        scorer: of the sequence model.
        evidence: by name.
        users: int64, shape (b,), asked of the scorer.
        sessions: the b sessions of those users.
        cold: items to be scored like their neighbours, part by part.

    Returns:
        float32 arrays, shape (b, n_items) each.
    """
    parts = [scorer(users), *(model.score(sessions) for model in evidence.values())]
    for part in parts:
        standardise(part, sessions)
        if cold is not None:
            cold.fill(part)
    return parts


def fused_scorer(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    weights: Mapping[str, float],
    sequences: Sequences,
    cold: ColdItems | None = None,
) -> Scorer:
    """Total score for blocks of users.

    Args:
        scorer: of the sequence model.
        evidence: by name; those of weight 0 are not computed.
        weights: one for each evidence.
        sequences: the visible items of all users.
        cold: items to be scored like their neighbours.

    Raises:
        KeyError: an evidence without a weight.
    """
    used = {name: model for name, model in evidence.items() if weights[name]}

    def score(users: NDArray[np.int64]) -> NDArray[np.float32]:
        total, *rest = components(scorer, used, users, sequences.take(users), cold)
        for name, part in zip(used, rest, strict=True):
            part *= np.float32(weights[name])
            total += part
        return total

    return score


def choose_weights(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    sequences: Sequences,
    valid: NDArray[np.int32],
    grid: Mapping[str, Sequence[float]] | None = None,
    batch_size: int = 512,
) -> tuple[Trial, list[Trial]]:
    """Try every combination of the grid on the validation items.

    Scores are computed once per block of users; each combination then costs a small product over
    the few items that could come before the target at all.

    Args:
        scorer: of the sequence model fitted without the validation items.
        evidence: by name, fitted without the validation items.
        sequences: what is visible, without the validation items; masked.
        valid: int32, shape (n_users,), -1 for none.
        grid: weights ≥ 0 to try, by name of the evidence; ``DEFAULT_GRID`` if not given.
        batch_size: users per block; changes nothing but memory.

    Returns:
        The best by NDCG@10 (of equals the first, the one nearest to 0), and all.

    Raises:
        ValueError: a negative weight, or an evidence the grid does not name.
    """
    grid = DEFAULT_GRID if grid is None else grid
    missing = [name for name in evidence if name not in grid]
    if missing:
        raise ValueError(f"the grid names no weights for {', '.join(missing)}")
    table = np.array(list(itertools.product((1.0,), *(grid[name] for name in evidence))))
    if (table < 0).any():
        raise ValueError("weights must not be negative")
    table = table.astype(np.float32)
    users = np.flatnonzero(valid >= 0).astype(np.int64)
    gain, hits = np.zeros(len(table)), np.zeros(len(table))
    for start in range(0, len(users), batch_size):
        block = users[start : start + batch_size]
        sessions = sequences.take(block)
        parts = components(scorer, evidence, block, sessions)
        for ranks in _ranks_per_weight(parts, valid[block], sessions, table):
            gain += ndcg(ranks, CUTOFF)
            hits += hit_rate(ranks, CUTOFF)
    count = max(len(users), 1)
    trials = [
        Trial(
            dict(zip(evidence, map(float, np.round(row[1:].astype(np.float64), 6)), strict=True)),
            float(gain[place] / count),
            float(hits[place] / count),
        )
        for place, row in enumerate(table)
    ]
    return max(trials, key=lambda trial: trial.ndcg), trials


def _ranks_per_weight(
    parts: list[NDArray[np.float32]],
    targets: NDArray[np.int32],
    sessions: Sequences,
    table: NDArray[np.float32],
) -> Iterable[NDArray[np.float64]]:
    """Ranks of a user's target at each row of weights, for users it can be in the first k of.

    Args:
        parts: shape (b, n_items) each; overwritten.
        targets: int32, shape (b,).
        sessions: b sequences, masked.
        table: float32, shape (n_weights, n_parts), ≥ 0, the first column 1.
    """
    rows = np.arange(len(targets))
    for part in parts:
        part -= part[rows, targets][:, None]
    mask_seen(parts[0], sessions)
    parts[0][rows, targets] = -np.inf
    highest = table.max(axis=0)
    for row in rows:
        leads = [part[row] for part in parts]
        # An item ahead in one part and behind in none stays ahead whatever the weights.
        always = leads[0] > 0
        reach = leads[0].copy()
        for lead, weight in zip(leads[1:], highest[1:], strict=True):
            always &= lead >= 0
            reach += weight * np.maximum(lead, 0)
        if np.count_nonzero(always) >= CUTOFF:
            continue
        near = np.flatnonzero(reach >= 0)
        totals = table @ np.stack([lead[near] for lead in leads])
        yield (
            1.0 + np.count_nonzero(totals > 0, axis=1) + 0.5 * np.count_nonzero(totals == 0, axis=1)
        )
