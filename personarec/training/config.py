"""Settings of one training, printed and saved with its results."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from personarec.personas.facts import FactConfig
from personarec.personas.propagation import PropagationConfig
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.retriever.transitions import TransitionConfig

Row = Literal[
    "popularity", "none", "constant", "shuffled", "persona", "transitions", "facts",
    "transitions+facts", "transitions+shuffled facts",
]  # fmt: skip
ROWS: tuple[Row, ...] = (
    "popularity", "none", "constant", "shuffled", "persona", "transitions", "facts",
    "transitions+facts", "transitions+shuffled facts",
)  # fmt: skip
TOKEN_ROWS: tuple[Row, ...] = ("constant", "shuffled", "persona")


class TrainConfig(BaseModel):
    """What ``personarec train`` does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refit: bool = False
    """Choose on validation, then fit again on everything but the last item of each user."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    rows: tuple[Row, ...] = ROWS
    propagation: PropagationConfig = PropagationConfig()
    facts: FactConfig = FactConfig()
    transitions: TransitionConfig = TransitionConfig()
    sasrec: SasRecConfig = SasRecConfig()
    options: TrainingOptions = TrainingOptions()
    preferences: int = Field(default=20, ge=1)
    """Strongest facts of each user that are written to the graph."""

    @field_validator("rows")
    @classmethod
    def _in_order(cls, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(r for r in ROWS if r in rows)

    @property
    def fitted(self) -> str:
        """What the reported models are fitted to, in words."""
        return "train and validation interactions" if self.refit else "train interactions"
