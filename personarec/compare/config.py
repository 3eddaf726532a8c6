"""Settings of a comparison, printed and saved with its results."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

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
