"""Settings of a comparison, printed and saved with its results."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from personarec.compare.rows import TRAINED, UNTRAINED
from personarec.personas.registry import make_encoder
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import TrainingOptions


class CompareConfig(BaseModel):
    """What ``personarec compare`` does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[str, ...] = ()
    """Names of rows; none: all."""
    seeds: int = Field(default=5, ge=1, le=100)
    refit: bool = True
    """Choose on validation, then fit again on everything before the test items."""
    split: str | None = None
    """Name of the split; none: global temporal where there are times, else leave-one-out."""
    trials: int = Field(default=0, ge=0)
    """Trials of Optuna that each row's settings get, on validation; 0: the defaults."""
    encoder: str = "hdgi"
    """The trained persona encoder of the rows that say ``persona``."""
    dim: int = Field(default=64, ge=2)
    """Dimensions of the personas; those that are rows of a network are as wide as its items."""
    embedder: str = "auto"
    """What turns the items' texts into vectors, for the rows that start from descriptions."""
    texts: bool = False
    """Items are told by what ``personarec texts`` wrote, not by their facts alone."""
    llm_url: str | None = None
    """Of the endpoint that tells users in keywords; none: their strongest facts do."""
    llm_model: str | None = None
    sasrec: SasRecConfig = SasRecConfig()
    options: TrainingOptions = TrainingOptions()
    samples: int = Field(default=10_000, ge=100)
    """Bootstrap samples."""

    def encoder_named(self, name: str) -> str:
        """The encoder that a row names, in the registry's words.

        Raises ChangeSomethingError where there is none of the name in the settings.
        """
        wrapper, colon, inner = name.rpartition(":")
        if inner == TRAINED:
            inner = self.encoder
        elif inner == UNTRAINED:
            # What trained personas gain by weighing newer items more is no gain of training.
            recent = make_encoder(self.encoder).recency
            inner = "recent:propagation" if recent else "propagation"
        return wrapper + colon + inner
