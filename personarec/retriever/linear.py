"""A linear item–item model in closed form, from interactions and, where wanted, facts (EASE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

from personarec.personas.encoder import incidence
from personarec.personas.facts import FactModel
from personarec.personas.item_regression import item_regression, refuse_too_many
from personarec.retriever.item_matrix import scored, strongest

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class LinearConfig(BaseModel):
    """How the model is fitted and read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regularisation: float = Field(default=100.0, gt=0)
    """λ: what holds the weights small."""
    fact_rows: float = Field(default=0.0, ge=0)
    """Weight of one row per fact beside one row per reader; 0: interactions only."""
    age_decay: float = Field(default=0.85, gt=0, le=1)
    """Weight of the next older item of the session."""
    keep: int = Field(default=300, ge=1)
    """Entries kept of each row, the strongest; all of Beauty's would be 586 MB."""
    max_items: int = Field(default=20_000, ge=1)
    """Beyond it the fit is refused: it takes about 12 bytes a pair of items, and cubic time."""


class LinearModel:
    """Scores items by x B, B = I − P diag(P)⁻¹, P = (XᵀX + α AAᵀ + λI)⁻¹ (Steck, WWW 2019, eq. 8).

    A is the TF-IDF of the facts: each fact is a reader of the items that have it (Jeunen, Van
    Balen and Goethals, RecSys 2020). x holds the visible items, the newest heaviest.

    Attributes:
        matrix: float32 csr, shape (n_items, n_items), B, diagonal 0.
        config: how it was built.
    """

    def __init__(self, matrix: csr_array, config: LinearConfig) -> None:
        self.matrix = matrix
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: LinearConfig) -> LinearModel:
        """Solve it; raises ChangeSomethingError for a catalogue too large."""
        refuse_too_many(data.sequences.n_items, config.max_items, "linear", "leave linear out")
        known = incidence(data.sequences)
        gram = csr_array(known.T @ known)
        if config.fact_rows:
            facts = FactModel.from_matrix(data.facts).items
            gram = csr_array(gram + np.float32(config.fact_rows) * (facts @ facts.T))
        return cls(
            strongest(
                item_regression(gram.toarray(), config.regularisation, "linear"), config.keep
            ),
            config,
        )

    def arrays(self) -> Arrays:
        """B."""
        return {"matrix": self.matrix}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: LinearConfig) -> LinearModel:
        """From ``arrays``."""
        return cls(arrays["matrix"], config)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items)."""
        return scored(sessions.recency(self.config.age_decay), self.matrix)
