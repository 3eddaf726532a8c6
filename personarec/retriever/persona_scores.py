"""What a dense persona says of the next item: h p, of an encoder whose newer items weigh more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from kg.errors import ChangeSomethingError
from personarec.personas.encoder import Matrix
from personarec.personas.relational.rule import RecentPersonas

if TYPE_CHECKING:
    from personarec.evaluation.sequences import Sequences
    from personarec.retriever.evidence import Arrays, EvidenceData


class PersonaScoresConfig(BaseModel):
    """Nothing to set: the encoder has settings of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PersonaScores:
    """Scores items by the persona that the visible items make; no user is known by name.

    Attributes:
        personas: the fitted encoder.
        config: how it was built.
    """

    def __init__(self, personas: RecentPersonas, config: PersonaScoresConfig) -> None:
        self.personas = personas
        self.config = config

    @classmethod
    def fit(cls, data: EvidenceData, config: PersonaScoresConfig) -> PersonaScores:
        """Take the fitted encoder; raises ChangeSomethingError where there is none that fits."""
        if not isinstance(data.personas, RecentPersonas):
            raise ChangeSomethingError(
                "persona scores need an encoder whose newer items weigh more: take --encoder "
                "relational or recent:NAME, or leave persona out"
            )
        return cls(data.personas, config)

    def arrays(self) -> Arrays:
        """What personas are scored against and made of, and the rule."""
        return self.personas.arrays()

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], config: PersonaScoresConfig) -> PersonaScores:
        """From ``arrays``."""
        return cls(RecentPersonas.restore(arrays), config)

    def score(self, sessions: Sequences) -> Matrix:
        """float32, shape (b, n_items): h p."""
        return self.personas.score(sessions)
