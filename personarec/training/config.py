"""Settings of one training, printed and saved with its results."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kg.errors import ChangeSomethingError
from personarec.personas.facts import FactConfig
from personarec.personas.prototypes import PrototypeConfig
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions
from personarec.retriever.transitions import TransitionConfig

Row = Literal[
    "popularity", "none", "constant", "shuffled", "persona", "transitions", "facts",
    "transitions+facts", "transitions+shuffled facts", "all evidence",
    "all evidence learned rerank",
]  # fmt: skip
ROWS: tuple[Row, ...] = (
    "popularity", "none", "constant", "shuffled", "persona", "transitions", "facts",
    "transitions+facts", "transitions+shuffled facts", "all evidence",
    "all evidence learned rerank",
)  # fmt: skip
RERANKED: Row = "all evidence learned rerank"
"""The row that is there only where a rerank is taught."""
TOKEN_ROWS: tuple[Row, ...] = ("constant", "shuffled", "persona")


class TrainConfig(BaseModel):
    """What ``personarec train`` does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refit: bool = False
    """Choose on validation, then fit again on everything but the last item of each user."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    rows: tuple[Row, ...] = ROWS
    encoder: str = "propagation"
    """Name of the persona encoder in the registry."""
    encoder_settings: dict[str, Any] = Field(default_factory=lambda: {"dim": 256})
    """Its settings; those not given have their defaults."""
    texts: bool = False
    """Items are told by what ``personarec texts`` wrote, not by their facts alone."""
    prototypes: PrototypeConfig = PrototypeConfig()
    facts: FactConfig = FactConfig()
    transitions: TransitionConfig = TransitionConfig()
    evidence: tuple[str, ...] = (
        "transitions", "facts", "popularity", "facts-regression", "linear+facts", "persona",
    )  # fmt: skip
    """Names of what the kept retriever adds to the sequence model, each by a weight of its own; the
    persona where its encoder weighs newer items more."""
    rerank: bool = True
    """A net puts the first of the kept retriever in another order, where validation items that it
    was not taught by say that this is better."""
    sasrec: SasRecConfig = SasRecConfig()
    options: TrainingOptions = TrainingOptions()
    processes: int = Field(default=1, ge=1)
    """Processes that train one sequence model together; each drops out by a stream of its own, so
    another number gives another model."""
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


def without_token(config: TrainConfig) -> TrainConfig:
    """The same without the rows that need a dense persona.

    Raises ChangeSomethingError when nothing is left.
    """
    rows = tuple(r for r in config.rows if r not in TOKEN_ROWS)
    if not rows:
        raise ChangeSomethingError(
            f"encoder {config.encoder} gives lists of facts and no vector, which rows "
            f"{', '.join(config.rows)} need; choose other --rows or a dense --encoder"
        )
    return config.model_copy(update={"rows": rows})
