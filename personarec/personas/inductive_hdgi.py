"""HDGI behind the encoders' interface: items take their vectors from the users that have them.

HDGI gives vectors to the users it was trained on and to nobody else. Here an item's vector is the
mean over its training users, and a persona the mean over the visible items: our rule, not the
paper's. No user's own vector is looked up, so nobody's later items come along with it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, row_normalised
from personarec.console import say
from personarec.personas.baselines.features import reduced
from personarec.personas.encoder import DensePersonas, Encoder, TrainingData, session_keys
from personarec.personas.facts import FactModel


class InductiveHdgiEncoder(Encoder):
    """HDGI (Ren et al., arXiv 1911.08538) on paths User–Item–User and User–Item–fact–Item–User."""

    name: ClassVar[str] = "hdgi"
    user_features: Literal["random", "items"] = "random"
    """``random``, as published; ``items``: mean of the items' facts."""
    epochs: int = Field(default=300, ge=0)
    patience: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        from personarec.personas.hdgi import (
            HDGIConfig,
            HDGIEncoder,
            HDGIOptions,
            HDGIPersonaConfig,
        )

        config = HDGIPersonaConfig(
            model=HDGIConfig(embedding_size=self.dim),
            training=HDGIOptions(
                seed=self.seed,
                epochs=self.epochs,
                patience=self.patience,
                learning_rate=self.learning_rate,
            ),
            user_features=self.user_features,
            feature_size=self.dim,
        )
        # Random features go by the row, so the rows are put in an order that is the users' own.
        order = np.argsort(session_keys(data.sequences, self.seed), kind="stable")
        users = data.graph.nodes["User"]
        rated = sparse.csr_array(data.graph.relations[data.rated][order])
        graph = HeteroGraph(
            data.graph.nodes | {"User": tuple(users[u] for u in order)},
            data.graph.relations | {data.rated: rated},
        )
        features = None
        if self.user_features == "items":
            facts = data.facts()
            if not facts.nnz:
                raise ChangeSomethingError(
                    "hdgi: no item has a fact; load facts, or set user_features to random"
                )
            features = np.zeros((rated.shape[1], self.dim), np.float32)
            found = reduced(FactModel.from_matrix(facts).items, self.dim, self.seed)
            features[: len(found), : found.shape[1]] = found
        vectors = HDGIEncoder(config).encode(graph, data.item_type, features, self._said)
        owners = sparse.csr_array(rated.T)[: data.sequences.n_items]
        return DensePersonas.fitted(row_normalised(owners) @ vectors, data.sequences)

    def _said(self, step: int, loss: float) -> None:
        if step % 50 == 0:
            say(f"hdgi: step {step} of {self.epochs} at most, loss {loss:.4f}")
