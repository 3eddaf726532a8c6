"""Late fusion whose weights depend on how many items a session shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import Scorer
from personarec.retriever.fusion import Evidence, fused_scorer
from personarec.retriever.weights import search_weights

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.cold_items import ColdItems

GROUPS = 3
"""Groups of about as many validation users each."""


@dataclass(frozen=True)
class LengthWeights:
    """Weights of each group of sessions.

    Attributes:
        limits: items from which each group but the first begins, rising.
        weights: of each evidence, by group and name.
        ndcg: NDCG@10 on the validation items.
    """

    limits: tuple[int, ...]
    weights: tuple[dict[str, float], ...]
    ndcg: float

    def groups(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Group of each session; shape as ``lengths``."""
        return np.searchsorted(self.limits, lengths, side="right").astype(np.int64)

    def named(self) -> dict[str, float]:
        """Each weight by the name of its evidence and its group, for a report."""
        starts = (0, *self.limits)
        return {
            f"{name} from {start} items": weight
            for start, weights in zip(starts, self.weights, strict=True)
            for name, weight in weights.items()
        }


def search_length_weights(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    sequences: Sequences,
    valid: NDArray[np.int32],
    *,
    seed: int = 0,
) -> LengthWeights:
    """Weights sought in each group on its own validation users; arguments as ``search_weights``."""
    lengths, asked = sequences.lengths, valid >= 0
    cuts = np.quantile(lengths[asked], np.arange(1, GROUPS) / GROUPS, method="higher")
    # Of few lengths two cuts may fall on one, or on the shortest: then there are fewer groups.
    limits = tuple(int(c) for c in np.unique(cuts) if c > lengths[asked].min())
    found = LengthWeights(limits, (), 0.0)
    weights, gain = [], 0.0
    group = found.groups(lengths)
    for number in range(len(limits) + 1):
        own = asked & (group == number)
        best = search_weights(
            scorer, evidence, sequences, np.where(own, valid, -1).astype(np.int32), seed=seed
        )
        weights.append(best.weights)
        gain += best.ndcg * np.count_nonzero(own)
    return LengthWeights(limits, tuple(weights), gain / max(int(np.count_nonzero(asked)), 1))


def fused_by_length(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    found: LengthWeights,
    sequences: Sequences,
    cold: ColdItems | None = None,
) -> Scorer:
    """Total score for blocks of users, each fused as its group; arguments as ``fused_scorer``."""
    scorers = [fused_scorer(scorer, evidence, w, sequences, cold) for w in found.weights]
    group = found.groups(sequences.lengths)

    def score(users: NDArray[np.int64]) -> NDArray[np.float32]:
        total = np.empty((len(users), sequences.n_items), np.float32)
        for number in np.unique(group[users]):
            rows = group[users] == number
            total[rows] = scorers[number](users[rows])
        return total

    return score
