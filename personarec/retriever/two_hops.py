"""Two steps through the graph: transitions of transitions, and transitions of items alike by facts.

A rare item has few transitions of its own; what follows an item of the same facts may stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

from personarec.personas.facts import FactConfig, FactModel
from personarec.retriever.transitions import TransitionConfig, TransitionModel

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class TwoHopConfig(BaseModel):
    """What the two steps are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transitions: TransitionConfig = TransitionConfig()
    likeness: float = Field(default=0.0, ge=0)
    """Weight of paths with one step by the facts two items share; 0: transitions only."""


class TwoHopModel:
    """Scores items by p T T + likeness · (p S T + p T S), S = A Aᵀ, all kept factored.

    Attributes:
        matrix: float32 csr, shape (n_items, n_items), T of :class:`TransitionModel`.
        facts: float32 csr, shape (n_items, n_facts), A of :class:`FactModel`; no column if unused.
        config: how it was built.
    """

    def __init__(self, matrix: csr_array, facts: csr_array, config: TwoHopConfig) -> None:
        self.matrix = matrix
        self.facts = facts
        self.config = config
        self._columns = csr_array(facts.T)

    @classmethod
    def fit(cls, data: EvidenceData, config: TwoHopConfig) -> TwoHopModel:
        """Build from transitions and, where ``likeness`` asks for them, facts."""
        facts = (
            FactModel.from_matrix(data.facts, FactConfig()).items
            if config.likeness
            else csr_array((data.sequences.n_items, 0), dtype=np.float32)
        )
        one = TransitionModel.from_counts(data.counts, config.transitions)
        return cls(one.matrix, facts, config)

    def arrays(self) -> Arrays:
        """T and A."""
        return {"matrix": self.matrix, "facts": self.facts}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: TwoHopConfig) -> TwoHopModel:
        """From ``arrays``."""
        return cls(arrays["matrix"], arrays["facts"], config)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items), 0 where no path of two steps leads."""
        persona = sessions.recency(self.config.transitions.age_decay)
        once = csr_array(persona @ self.matrix)
        found = np.asarray((once @ self.matrix).toarray(), np.float32)
        if self.config.likeness:
            weight = np.float32(self.config.likeness)
            found += weight * self._alike(once)
            found += weight * np.asarray(self._alike(persona) @ self.matrix, np.float32)
        return found

    def _alike(self, scores: csr_array) -> NDArray[np.float32]:
        """Scores S."""
        return np.asarray(((scores @ self.facts) @ self._columns).toarray(), np.float32)
