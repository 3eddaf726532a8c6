"""Recency for any dense encoder: what an encoder gains by weighing newer items more, alone.

A control for encoders that learn an order: the same item vectors, a_i = decay^age.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from kg.errors import ChangeSomethingError
from personarec.evaluation.persona_probe import sampled_targets, validation_ndcg
from personarec.personas.baselines.controls import fit_dense
from personarec.personas.encoder import DensePersonas, Encoder, TrainingData
from personarec.personas.relational.rule import RecentPersonas

DECAYS = (0.6, 0.7, 0.8, 0.9, 0.95)
"""To choose from."""
AGES = 50
"""Newest visible items that a persona is made of."""


class RecentEncoder(Encoder):
    """Another encoder with recency; the decay is chosen on validation (NDCG@100 of h p)."""

    name: ClassVar[str] = "recent"
    recency: ClassVar[bool] = True
    inner: Encoder
    decay: float | None = Field(default=None, gt=0, le=1)
    """None: chosen on validation."""

    @property
    def chooses(self) -> bool:
        """See :class:`Encoder`."""
        return self.decay is None or self.inner.chooses

    def fit(self, data: TrainingData) -> RecentPersonas:
        """See :class:`Encoder`."""
        model = fit_dense(self.inner, data, self.name)
        if type(model).personas is not DensePersonas.personas:
            raise ChangeSomethingError(
                f"recent: {self.inner.name} has a rule of its own; wrap an encoder that averages"
            )
        inner = {"inner": self.inner.settled(model)}
        if self.decay is not None:
            return replace(_decayed(model, self.decay, data), chosen=inner)
        if data.valid is None or not (data.valid >= 0).any():
            raise ChangeSomethingError("recent: no validation items to choose decay by; give decay")
        targets = sampled_targets(data.valid, 5000, self.seed)
        rules = [_decayed(model, d, data) for d in DECAYS]
        found = [validation_ndcg(rule.score, data.sequences, targets) for rule in rules]
        best = int(np.argmax(found))
        return replace(rules[best], chosen={**inner, "decay": DECAYS[best]})


def _decayed(model: DensePersonas, decay: float, data: TrainingData) -> RecentPersonas:
    """The vectors of another encoder under this rule."""
    weights = np.power(decay, np.arange(AGES)).astype(np.float32)
    return RecentPersonas.of(model.items, model.inputs, weights, data.sequences)
