"""Settings of HDGI: the shape of the model and how it is trained.

Equation numbers are those of docs/hdgi.md, where each quirk of the authors' code is described.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Variant = Literal["convolution", "attention"]


class HDGIConfig(BaseModel):
    """Shape of the model; the defaults are those of the authors' code for HDGI-C."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant = "convolution"
    """HDGI-C, eq. 2, or HDGI-A, eq. 3 and 4."""
    embedding_size: int = Field(default=512, ge=1)
    """Length of a node's vector; for attention all heads together."""
    heads: int = Field(default=8, ge=1)
    """Attention heads of a meta-path, each ``embedding_size / heads`` wide; only for attention."""
    semantic_size: int = Field(default=16, ge=1)
    """Width of the semantic attention over meta-paths, eq. 5."""
    double_self_loop: bool = False
    """Eq. 1: the authors' code adds I once more after the normalisation, so its operator is Â + I.
    Changes nothing for attention, which only asks which entries are not 0."""

    @model_validator(mode="after")
    def _heads_divide(self) -> HDGIConfig:
        if self.variant == "attention" and self.embedding_size % self.heads:
            raise ValueError(
                f"embedding_size {self.embedding_size} is no multiple of {self.heads} heads"
            )
        return self


class HDGIOptions(BaseModel):
    """How to train; the defaults are those of the authors' code for HDGI-C."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    device: str = "cpu"
    backend: Literal["torch", "dgl"] = "torch"
    """Who multiplies along the meta-paths; the result is the same within rounding."""
    epochs: int = Field(default=10_000, ge=0)
    """Most steps, each over the whole graph; 0 leaves the weights as drawn."""
    patience: int = Field(default=50, ge=1)
    """Steps without a lower training loss before training stops. There is no validation: eq. 8 of
    the step itself decides, on that step's permutation, as in the authors' code."""
    learning_rate: float = Field(default=1e-3, gt=0)
    threads: int | None = Field(default=1, ge=1)
    """Threads of torch while training; none: as torch is set. One, so that the same seed gives the
    same model on every machine."""


def published(variant: Variant, seed: int = 0) -> tuple[HDGIConfig, HDGIOptions]:
    """What the authors' code trains with, quirks included (its README names other values)."""
    if variant == "convolution":
        return HDGIConfig(double_self_loop=True), HDGIOptions(seed=seed)
    return (
        HDGIConfig(
            variant="attention", embedding_size=64, heads=8, semantic_size=8, double_self_loop=True
        ),
        HDGIOptions(seed=seed, patience=30, learning_rate=0.02),
    )
