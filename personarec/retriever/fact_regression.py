"""Which items follow which facts: a ridge regression from the fact persona to the next item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import linalg
from scipy.sparse import csr_array

from kg.errors import ChangeSomethingError
from personarec.personas.fact_weights import positions, prefixes
from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.item_matrix import scored, strongest

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData

_BLOCK = 20_000
"""Positions at a time: what is held of their personas at once."""


class FactRegressionConfig(BaseModel):
    """How the regression is fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    facts: FactConfig = FactConfig(age_decay=0.85)
    """The fact persona it starts from."""
    regularisation: float = Field(default=300.0, gt=0)
    """λ: what holds the weights small."""
    newest: int = Field(default=50, ge=1)
    """Positions of each reader that are learned from, the newest."""
    keep: int = Field(default=300, ge=1)
    """Items kept of each fact, those of the strongest weights."""
    max_facts: int = Field(default=2000, ge=1)
    """Facts that are learned about, those of most items; the others are left out."""


class FactRegressionModel:
    """Scores items by p_f W, W = (PᵀP + λI)⁻¹ PᵀY over all training positions.

    A row of P is the fact persona of a prefix, the same row of Y the item that came next. So it
    learns what readers of which facts go on to, where the fact persona only asks what is alike.

    Attributes:
        facts: A with the facts that are learned about, the others empty.
        matrix: W, float32 csr, shape (n_facts, n_items), the strongest of each row.
        config: how it was built.
    """

    def __init__(self, facts: csr_array, matrix: csr_array, config: FactRegressionConfig) -> None:
        self.facts = facts
        self.matrix = matrix
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: FactRegressionConfig) -> FactRegressionModel:
        """Solve it.

        Raises:
            ChangeSomethingError: no inverse in single precision.
        """
        facts = FactModel.fit(data, config.facts).items
        common = np.argsort(-np.bincount(facts.indices, minlength=facts.shape[1]), kind="stable")
        facts = csr_array(facts[:, np.sort(common[: config.max_facts])])
        size, n_items = facts.shape[1], data.sequences.n_items
        gram = np.zeros((size, size), np.float32)
        target = np.zeros((size, n_items), np.float32)
        owners, places = positions(data.sequences, config.newest)
        for start in range(0, len(owners), _BLOCK):
            block = slice(start, start + _BLOCK)
            visible, following = prefixes(data.sequences, owners[block], places[block])
            persona = csr_array(visible.recency(config.facts.age_decay) @ facts)
            rows = (np.ones(len(following), np.float32), (np.arange(len(following)), following))
            after = csr_array(rows, shape=(len(following), n_items))
            gram += (persona.T @ persona).toarray()
            target += (persona.T @ after).toarray()
        gram[np.diag_indices(size)] += config.regularisation
        try:
            factor = linalg.cho_factor(gram, lower=True, overwrite_a=True)
        except linalg.LinAlgError as error:
            raise ChangeSomethingError(
                f"facts-regression: PᵀP + {config.regularisation:g} I has no inverse; raise "
                "regularisation"
            ) from error
        solved = linalg.cho_solve(factor, target, overwrite_b=True)
        return cls(facts, strongest(np.ascontiguousarray(solved), config.keep), config)

    def arrays(self) -> Arrays:
        """A and W."""
        return {"facts": self.facts, "matrix": self.matrix}

    @classmethod
    def restore(
        cls, arrays: Mapping[str, Any], config: FactRegressionConfig
    ) -> FactRegressionModel:
        """From ``arrays``."""
        return cls(arrays["facts"], arrays["matrix"], config)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items); 0 for items that nobody came to."""
        return scored(sessions.recency(self.config.facts.age_decay), self.facts, self.matrix)
