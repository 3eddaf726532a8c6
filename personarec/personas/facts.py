"""The fact persona: what the facts of the items visible so far say about a reader.

a_i is item i's TF-IDF vector over its facts, of unit length; p_f(s) = Σ .7^age a_i is a weighted
list of facts that can be read and written to the graph; score = p_f Aᵀ. Nothing is trained, so an
item nobody has touched yet is scored as soon as it has facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import csr_array

from personarec.personas.encoder import Encoder, TrainingData

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences


class FactConfig(BaseModel):
    """How facts become a persona."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    age_decay: float = Field(default=0.7, gt=0, le=1)
    """Weight of the next older item of the session."""


class FactModel:
    """Scores items by the facts they share with the items visible so far.

    Attributes:
        items: float32 csr, shape (n_items, n_facts), TF-IDF, rows of unit length or empty.
        config: how personas are made.
    """

    def __init__(self, items: csr_array, config: FactConfig) -> None:
        self.items = items
        self.config = config
        # Kept in row order: the score multiplies by it again and again.
        self._facts = csr_array(items.T)

    @classmethod
    def from_matrix(cls, matrix: csr_array, config: FactConfig | None = None) -> FactModel:
        """Build from which item has which fact.

        Args:
            matrix: csr, shape (n_items, n_facts), weights ≥ 0 (1 where a fact simply holds).
            config: decay; the default if not given.

        Raises:
            ValueError: a negative weight, which has no TF-IDF.
        """
        weights = csr_array(matrix, dtype=np.float32, copy=True)
        weights.sum_duplicates()
        weights.eliminate_zeros()
        if weights.nnz and weights.data.min() < 0:
            raise ValueError("weights of facts must not be negative")
        n_items, n_facts = weights.shape
        with_fact = np.bincount(weights.indices, minlength=n_facts)
        # The smoothed form: a fact of every item still counts a little, an unused one divides by 1.
        idf = np.log((1 + n_items) / (1 + with_fact)) + 1
        data = weights.data * idf[weights.indices]
        rows = np.repeat(np.arange(n_items), np.diff(weights.indptr))
        length = np.sqrt(np.bincount(rows, weights=np.square(data), minlength=n_items))
        data = (data / length[rows]).astype(np.float32)
        return cls(
            csr_array((data, weights.indices, weights.indptr), shape=weights.shape),
            config or FactConfig(),
        )

    def shuffled(self, seed: int) -> FactModel:
        """The control: the same facts, each item with those of another item.

        Rows are permuted over the items, so every marginal stays and only the meaning goes.
        """
        order = np.random.default_rng(seed).permutation(self.items.shape[0])
        return FactModel(csr_array(self.items[order]), self.config)

    def personas(self, sessions: Sequences) -> csr_array:
        """float32 csr, shape (b, n_facts): how much each session's visible items say each fact."""
        return csr_array(sessions.recency(self.config.age_decay) @ self.items)

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        """float32, shape (b, n_items): p_f Aᵀ, 0 for items that share no fact."""
        return np.asarray((self.personas(sessions) @ self._facts).toarray())


class FactEncoder(Encoder):
    """The fact persona as an encoder: sparse, of all facts, whatever ``dim`` says.

    An empty session's persona is the empty list of facts, not a mean: it prefers nothing.
    """

    name: ClassVar[str] = "facts"
    age_decay: float = Field(default=0.7, gt=0, le=1)
    """As in :class:`FactConfig`."""

    def fit(self, data: TrainingData) -> FactModel:
        """See :class:`Encoder`."""
        return FactModel.from_matrix(data.facts(), FactConfig(age_decay=self.age_decay))
