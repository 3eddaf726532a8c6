"""Shrinkage: a session that shows little gets a persona close to everybody's mean.

p(s) ← n/(n+κ) p(s) + κ/(n+κ) p̄ with n visible items: the mean of a normal prior that weighs as much
as κ items (James and Stein's idea; here with a strength chosen on validation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from kg.errors import ChangeSomethingError
from personarec.evaluation.persona_probe import mapped_ndcg
from personarec.evaluation.sequences import Sequences
from personarec.personas.baselines.controls import fit_dense
from personarec.personas.encoder import DensePersonas, Encoder, Matrix, TrainingData

STRENGTHS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""κ to choose from."""


@dataclass(frozen=True, kw_only=True)
class ShrunkPersonas(DensePersonas):
    """Personas of another encoder, drawn to the mean persona.

    Attributes:
        source: the other encoder's.
        kappa: visible items that the mean persona weighs as much as.
    """

    source: DensePersonas
    kappa: float

    @classmethod
    def around(cls, source: DensePersonas, kappa: float) -> ShrunkPersonas:
        """Around the source's own mean persona."""
        return cls(source.items, source.center, source=source, kappa=kappa)

    def personas(self, sessions: Sequences) -> Matrix:
        """See :class:`DensePersonas`."""
        return self._shrunk(self.source.personas(sessions), sessions)

    def long_term(self, sessions: Sequences) -> Matrix:
        """See :class:`Personas`."""
        return self._shrunk(self.source.long_term(sessions), sessions)

    def _shrunk(self, personas: Matrix, sessions: Sequences) -> Matrix:
        shown = sessions.lengths[:, None].astype(np.float32)
        own = np.divide(shown, shown + self.kappa, out=np.zeros_like(shown), where=shown > 0)
        return np.asarray(own * personas + (1 - own) * self.center, np.float32)


class ShrunkEncoder(Encoder):
    """Another encoder with shrinkage.

    κ is the one whose personas a linear map reads the validation items off best: where the mean
    persona is the origin (propagation), shrinking changes no order of h p, only what a reader with
    an intercept makes of it.
    """

    name: ClassVar[str] = "shrunk"
    inner: Encoder
    kappa: float | None = Field(default=None, ge=0)
    """None: chosen on validation."""

    @property
    def chooses(self) -> bool:
        """See :class:`Encoder`."""
        return self.kappa is None or self.inner.chooses

    def fit(self, data: TrainingData) -> DensePersonas:
        """See :class:`Encoder`."""
        source = fit_dense(self.inner, data, self.name)
        inner = {"inner": self.inner.settled(source)}
        if self.kappa is not None:
            return replace(ShrunkPersonas.around(source, self.kappa), chosen=inner)
        if data.valid is None or not (data.valid >= 0).any():
            raise ChangeSomethingError("shrunk: no validation items to choose kappa by; give kappa")
        valid = data.valid
        rules = [ShrunkPersonas.around(source, kappa) for kappa in STRENGTHS]
        found = [mapped_ndcg(rule, data.sequences, valid, self.seed) for rule in rules]
        best = int(np.argmax(found))
        return replace(rules[best], chosen={**inner, "kappa": STRENGTHS[best]})
