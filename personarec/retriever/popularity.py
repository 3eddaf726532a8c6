"""Popularity: what to fall back on when a session shows nothing yet, and the plainest baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class PopularityConfig(BaseModel):
    """Popularity has nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PopularityModel:
    """Scores items by how often they occur, whoever asks.

    Attributes:
        counts: int64, shape (n_items,).
        config: nothing.
    """

    def __init__(self, counts: NDArray[np.int64], config: PopularityConfig) -> None:
        self.counts = counts
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: PopularityConfig) -> PopularityModel:
        """Count the fit sequences."""
        return cls(item_counts(data.sequences), config)

    def arrays(self) -> Arrays:
        """The counts."""
        return {"counts": self.counts}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: PopularityConfig) -> PopularityModel:
        """From ``arrays``."""
        return cls(arrays["counts"], config)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items): log(1 + count), so that no best-seller rules a sum."""
        return np.tile(np.log1p(self.counts).astype(np.float32), (len(sessions), 1))


def item_counts(sequences: Sequences) -> NDArray[np.int64]:
    """int64, shape (n_items,): how often each item occurs in the fit sequences."""
    return np.bincount(sequences.items, minlength=sequences.n_items).astype(np.int64)
