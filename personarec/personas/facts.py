"""The fact persona: what the facts of the items visible so far say about a reader.

a_i is item i's TF-IDF vector over its facts, of unit length; p_f(s) = Σ .7^age a_i is a weighted
list of facts that can be read and written to the graph; score = p_f Aᵀ. Nothing is trained, so an
item nobody has touched yet is scored as soon as it has facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy.sparse import csr_array

from personarec.personas.encoder import Encoder, TrainingData
from personarec.personas.fact_weights import relation_weights

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class FactConfig(BaseModel):
    """How facts become a persona."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    age_decay: float = Field(default=0.7, gt=0, le=1)
    """Weight of the next older item of the session."""
    weights: Mapping[str, float] = Field(default_factory=dict)
    """How much a fact of each relation counts; 1 for a relation that is not named."""
    learned: bool = False
    """Learn the weights from the fit sequences; those of ``weights`` are not looked at."""

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        wrong = [name for name, weight in weights.items() if not 0 <= weight < float("inf")]
        if wrong:
            raise ValueError(f"the weight of {', '.join(wrong)} must be a number of at least 0")
        return weights


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
    def fit(cls, data: EvidenceData, config: FactConfig) -> FactModel:
        """Build from the facts of the data; the weights learned are in its configuration."""
        if config.learned:
            equal = cls.from_matrix(data.facts, config.model_copy(update={"weights": {}}))
            found = relation_weights(equal, data.relations, data.sequences)
            config = config.model_copy(update={"weights": found})
        return cls.from_matrix(data.facts, config, data.relations)

    def arrays(self) -> Arrays:
        """A."""
        return {"items": self.items}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: FactConfig) -> FactModel:
        """From ``arrays``."""
        return cls(arrays["items"], config)

    @classmethod
    def from_matrix(
        cls,
        matrix: csr_array,
        config: FactConfig | None = None,
        relations: Sequence[str] | None = None,
    ) -> FactModel:
        """Build from which item has which fact.

        Args:
            matrix: csr, shape (n_items, n_facts), weights ≥ 0 (1 where a fact simply holds).
            config: decay and weights; the defaults if not given.
            relations: name of each column's relation; needed where the configuration weighs them.

        Raises:
            ValueError: a negative weight, which has no TF-IDF; or weights of relations without
                the columns' relations.
        """
        config = config or FactConfig()
        if config.weights and (relations is None or len(relations) != matrix.shape[1]):
            raise ValueError("to weigh relations the relation of each column must be given")
        weights = csr_array(matrix, dtype=np.float32, copy=True)
        weights.sum_duplicates()
        weights.eliminate_zeros()
        if weights.nnz and weights.data.min() < 0:
            raise ValueError("weights of facts must not be negative")
        n_items, n_facts = weights.shape
        with_fact = np.bincount(weights.indices, minlength=n_facts)
        # The smoothed form: a fact of every item still counts a little, an unused one divides by 1.
        idf = np.log((1 + n_items) / (1 + with_fact)) + 1
        if config.weights:
            idf *= [config.weights.get(name, 1.0) for name in relations or ()]
        data = weights.data * idf[weights.indices]
        rows = np.repeat(np.arange(n_items), np.diff(weights.indptr))
        length = np.sqrt(np.bincount(rows, weights=np.square(data), minlength=n_items))
        # An item all of whose facts weigh nothing has no vector.
        data = np.divide(data, length[rows], out=np.zeros_like(data), where=length[rows] > 0)
        items = csr_array(
            (data.astype(np.float32), weights.indices, weights.indptr), shape=weights.shape
        )
        items.eliminate_zeros()
        return cls(items, config)

    def shuffled(self, seed: int) -> FactModel:
        """The control: the same facts, each item with those of another item.

        Rows are permuted over the items, so every marginal stays and only the meaning goes.
        """
        order = np.random.default_rng(seed).permutation(self.items.shape[0])
        return FactModel(csr_array(self.items[order]), self.config)

    def personas(self, sessions: Sequences) -> csr_array:
        """float32 csr, shape (b, n_facts): how much each session's visible items say each fact."""
        return csr_array(sessions.recency(self.config.age_decay) @ self.items)

    def long_term(self, sessions: Sequences) -> csr_array:
        """As :meth:`personas`, with every visible item weighing alike."""
        return csr_array(sessions.recency(1.0) @ self.items)

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
