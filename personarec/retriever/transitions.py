"""The sequence persona: which items follow which, read off the graph, trained by nothing.

p(s) = Σ .6^age e_i over the visible items, score = p T, with T the item-item transitions over gaps
1 to 3 plus half their transpose, scaled by D^-½ T D^-½.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class TransitionConfig(BaseModel):
    """How transition counts become a score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gap_decay: float = Field(default=0.6, gt=0, le=1)
    """Weight of one more item between the two."""
    backward: float = Field(default=0.5, ge=0)
    """Weight of a transition read backwards."""
    age_decay: float = Field(default=0.6, gt=0, le=1)
    """Weight of the next older item of the session."""


def transition_counts(sequences: Sequences, gaps: int = 3) -> list[csr_array]:
    """How often one item came ``gap`` places after another, for gap 1 to ``gaps``.

    Returns:
        One int32 csr per gap, shape (n_items, n_items): row the earlier item, column the later.
    """
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    shape = (sequences.n_items, sequences.n_items)
    counts = []
    for gap in range(1, gaps + 1):
        same = owner[:-gap] == owner[gap:]
        before, after = sequences.items[:-gap][same], sequences.items[gap:][same]
        ones = np.ones(len(before), dtype=np.int32)
        # From coordinates to rows adds up what occurs twice.
        counts.append(csr_array((ones, (before, after)), shape=shape))
    return counts


class TransitionModel:
    """Scores items by the transitions that lead to them from the items visible so far.

    Attributes:
        matrix: float32 csr, shape (n_items, n_items), T scaled by its degrees.
        config: how it was built.
    """

    def __init__(self, matrix: csr_array, config: TransitionConfig) -> None:
        self.matrix = matrix
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: TransitionConfig) -> TransitionModel:
        """Build from the transitions of the data."""
        return cls.from_counts(data.counts, config)

    def arrays(self) -> Arrays:
        """T."""
        return {"matrix": self.matrix}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: TransitionConfig) -> TransitionModel:
        """From ``arrays``."""
        return cls(arrays["matrix"], config)

    @classmethod
    def from_counts(
        cls,
        counts: Sequence[csr_array],
        config: TransitionConfig | None = None,
    ) -> TransitionModel:
        """Build from one count matrix per gap, as ``transition_counts`` returns them.

        Args:
            counts: position g holds gap g + 1; of the fit sequences only.
            config: decays; the defaults if not given.
        """
        config = config or TransitionConfig()
        forward = csr_array(counts[0].shape, dtype=np.float32)
        for gap, count in enumerate(counts):
            forward = forward + count.astype(np.float32) * np.float32(config.gap_decay**gap)
        return cls(_scaled(csr_array(forward + np.float32(config.backward) * forward.T)), config)

    def persona(self, sessions: Sequences) -> csr_array:
        """float32 csr, shape (b, n_items): the visible items, the newest heaviest."""
        return sessions.recency(self.config.age_decay)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items): p T, 0 where no transition leads."""
        return np.asarray((self.persona(sessions) @ self.matrix).toarray())


def _scaled(matrix: csr_array) -> csr_array:
    """D^-½ M D^-½ with D the sums of the rows on the left and of the columns on the right."""
    left = np.asarray(matrix.sum(axis=1), dtype=np.float64)
    right = np.asarray(matrix.sum(axis=0), dtype=np.float64)
    # Items without transitions have empty rows and columns: any factor will do.
    left = 1 / np.sqrt(np.where(left > 0, left, 1))
    right = 1 / np.sqrt(np.where(right > 0, right, 1))
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data = (matrix.data * left[rows] * right[matrix.indices]).astype(np.float32)
    return csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
