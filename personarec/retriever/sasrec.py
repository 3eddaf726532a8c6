"""SASRec: the next item from a causal transformer over the items so far (Kang and McAuley, 2018).

Pre-LN blocks, output tied to the item table, and in place of absolute positions a learned bias per
age in each attention head: what counts in a session is how long ago an item came, so a window cut
anywhere trains what the end of a sequence is asked for (Shaw et al., 2018, in the scalar form).
Rows are padded on the right, so the causal mask alone keeps padding out of sight and every place
attends at least to itself: no row of the softmax is empty.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from personarec.retriever.layers import Block, Dropout, LigrBlock, Norm
from personarec.retriever.persona_input import GatedAddition, PrefixPersona

Layer = Literal["pre-norm", "ligr"]
Fusion = Literal["token", "rows", "add", "norms"]
PersonaSource = Literal["given", "prefix"]

INITIAL_SCALE = 0.02
"""Root mean square of the item table before training."""


class SasRecConfig(BaseModel):
    """Shape of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedding_size: int = Field(default=128, ge=1)
    blocks: int = Field(default=1, ge=1)
    heads: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share dropped of the inputs, and of what each layer adds."""
    hidden_factor: int = Field(default=2, ge=1)
    """Inner width of the feed-forward layer, in embedding sizes."""
    max_length: int = Field(default=30, ge=1)
    """Items looked at; older ones are cut off."""
    layer: Layer = "pre-norm"
    """``ligr``: gated residuals and SwiGLU."""
    persona_size: int = Field(default=0, ge=0)
    """Width of the persona vectors; 0: no persona."""
    persona_source: PersonaSource = "given"
    """``given``: one vector per session comes with the items; it must know nothing that lies after
    the places it is used at. ``prefix``: at each place, made of the items up to it and of frozen
    item vectors, for known users and anonymous sessions alike."""
    persona_decay: float = Field(default=0.8, gt=0, le=1)
    """Weight of the next older item in a persona of the prefix."""
    fusion: Fusion = "token"
    """How a persona enters: ``token``, through a learned projection, before the items (with
    ``prefix``, each place has its own); ``rows``, as a token without projection whose vectors are
    trained, one per user (CoT-Rec, 2025); ``add``, gated, to the states; ``norms``, as scale and
    shift of each layer norm (FiLM)."""

    @model_validator(mode="after")
    def _fits_together(self) -> SasRecConfig:
        if self.embedding_size % self.heads:
            raise ValueError(
                f"embedding_size {self.embedding_size} is not a multiple of heads {self.heads}"
            )
        if self.persona_size and self.fusion == "rows":
            if self.persona_source != "given":
                raise ValueError("rows belong to users: their persona_source is 'given'")
            if self.persona_size != self.embedding_size:
                raise ValueError(
                    f"rows are not projected: persona_size {self.persona_size} must be "
                    f"embedding_size {self.embedding_size}"
                )
        return self

    @property
    def needs_personas(self) -> bool:
        """Whether a vector must come with each session."""
        return self.persona_size > 0 and self.persona_source == "given"

    @property
    def needs_item_vectors(self) -> bool:
        """Whether personas are made of item vectors inside the network."""
        return self.persona_size > 0 and self.persona_source == "prefix"


class SasRec(nn.Module):
    """The sequence model, with at most one persona.

    A frozen persona is an input, not a parameter, so a new user or an anonymous session needs no
    row of its own. Trained rows are kept by whoever trains them and are inputs here too.

    Attributes:
        n_items: size of the catalogue.
        config: the shape.
        table: float32, shape (n_items + 1, embedding_size); the last row is padding.
        prefix: makes personas of the prefix, if the configuration asks for them.
    """

    def __init__(self, n_items: int, config: SasRecConfig) -> None:
        super().__init__()
        self.n_items = n_items
        self.config = config
        size, fused = config.embedding_size, config.fusion if config.persona_size else None
        self.table = nn.Parameter(torch.randn(n_items + 1, size) * INITIAL_SCALE)
        self.persona = nn.Linear(config.persona_size, size) if fused == "token" else None
        self.addition = (
            GatedAddition(size, config.persona_size, config.dropout) if fused == "add" else None
        )
        self.prefix = (
            PrefixPersona(n_items, config.persona_size, config.persona_decay)
            if config.needs_item_vectors
            else None
        )
        block = LigrBlock if config.layer == "ligr" else Block
        self.blocks = nn.ModuleList(block(config) for _ in range(config.blocks))
        self.norm = Norm(size, config.persona_size if fused == "norms" else 0)
        self.dropout = Dropout(config.dropout)

    @property
    def item_table(self) -> Tensor:
        """float32, shape (n_items, embedding_size): input and output vectors of the items."""
        return self.table[: self.n_items]

    def forward(self, items: Tensor, personas: Tensor | None = None) -> Tensor:
        """States after each visible prefix.

        Args:
            items: int64, shape (b, l), l ≤ max_length, padded on the right with n_items.
            personas: float32, shape (b, persona_size); needed exactly if ``needs_personas``.

        Returns:
            float32, shape (b, l, embedding_size); at padding finite and without meaning.

        Raises:
            ValueError: rows too long, or personas given or missing against the configuration.
        """
        if items.shape[1] > self.config.max_length:
            raise ValueError(f"{items.shape[1]} items, but max_length is {self.config.max_length}")
        persona = self._persona(items, personas)
        # Sparse: a step touches few rows, and the dense gradient would cost more than the network.
        x = self.dropout(functional.embedding(items, self.table, sparse=True))
        token = None
        if persona is not None and self.config.fusion in ("token", "rows"):
            token = self.dropout(persona if self.persona is None else self.persona(persona))
        condition = persona if self.config.fusion == "norms" else None
        for block in self.blocks:
            x, token = block(x, token, condition)
        states: Tensor = self.norm(x, condition)
        if self.addition is not None and persona is not None:
            states = self.addition(states, persona)
        return states

    def _persona(self, items: Tensor, given: Tensor | None) -> Tensor | None:
        """float32, shape (b, 1 or l, persona_size): one for the session, or one per place."""
        if (given is None) == self.config.needs_personas:
            raise ValueError(
                "the model was built "
                + ("with" if self.config.needs_personas else "without")
                + " a persona given per session (persona_size, persona_source); "
                "give personas to match"
            )
        if self.prefix is not None:
            made: Tensor = self.prefix(items)
            return made
        return None if given is None else given[:, None]

    def encode(self, items: Tensor, lengths: Tensor, personas: Tensor | None = None) -> Tensor:
        """State after the last visible item.

        Args:
            items: as for ``forward``.
            lengths: int64, shape (b,), items per row before the padding; a row without items gets
                the state of a padded place: finite, but it says nothing.
            personas: as for ``forward``.

        Returns:
            float32, shape (b, embedding_size).
        """
        states = self.forward(items, personas)
        rows = torch.arange(len(items), device=items.device)
        return states[rows, (lengths - 1).clamp(min=0)]
