"""Item neighbours: items that the same readers have, whatever their order (item k-NN)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

from personarec.personas.encoder import incidence
from personarec.retriever.item_matrix import scored, strongest

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class NeighbourConfig(BaseModel):
    """What makes two items neighbours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shrinkage: float = Field(default=5.0, ge=0)
    """Readers added to the denominator, against chance among few readers."""
    keep: int = Field(default=200, ge=1)
    """Neighbours kept of each item."""
    age_decay: float = Field(default=0.85, gt=0, le=1)
    """Weight of the next older item of the session."""


class NeighbourModel:
    """Scores items by their likeness to the items visible so far.

    Likeness is the cosine of two items' readers, shrunk: |both| / (√(|a| |b|) + shrinkage)
    (Sarwar et al., WWW 2001, with the shrinkage of Koren and Bell, 2011).

    Attributes:
        matrix: float32 csr, shape (n_items, n_items), diagonal 0.
        config: how it was built.
    """

    def __init__(self, matrix: csr_array, config: NeighbourConfig) -> None:
        self.matrix = matrix
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: NeighbourConfig) -> NeighbourModel:
        """Count common readers; a reader of n items weighs 1 / log(2 + n)."""
        known = incidence(data.sequences)
        weight = 1 / np.log(2.0 + np.diff(known.indptr))
        rows = np.repeat(np.arange(known.shape[0]), np.diff(known.indptr))
        weighted = csr_array(
            (known.data * weight[rows].astype(np.float32), known.indices, known.indptr), known.shape
        )
        common = csr_array(known.T @ weighted).tocoo()
        readers = np.zeros(known.shape[1])
        np.add.at(readers, known.indices, weight[rows])
        apart = common.row != common.col
        row, column = common.row[apart], common.col[apart]
        bottom = np.sqrt(readers[row] * readers[column]) + config.shrinkage
        data_ = (common.data[apart] / bottom).astype(np.float32)
        return cls(
            strongest(csr_array((data_, (row, column)), shape=common.shape), config.keep), config
        )

    def arrays(self) -> Arrays:
        """The likenesses."""
        return {"matrix": self.matrix}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: NeighbourConfig) -> NeighbourModel:
        """From ``arrays``."""
        return cls(arrays["matrix"], config)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items)."""
        return scored(sessions.recency(self.config.age_decay), self.matrix)
