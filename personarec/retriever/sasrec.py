"""SASRec: the next item from a causal transformer over the items so far (Kang and McAuley, 2018).

Pre-LN blocks, output tied to the item table, and in place of absolute positions a learned bias per
age in each attention head: what counts in a session is how long ago an item came, so a window cut
anywhere trains what the end of a sequence is asked for (Shaw et al., 2018, in the scalar form).
Rows are padded on the right, so the causal mask alone keeps padding out of sight and every place
attends at least to itself: no row of the softmax is empty.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional


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
    persona_size: int = Field(default=0, ge=0)
    """Width of the persona vectors; 0: no persona token."""

    @model_validator(mode="after")
    def _heads_divide(self) -> SasRecConfig:
        if self.embedding_size % self.heads:
            raise ValueError(
                f"embedding_size {self.embedding_size} is not a multiple of heads {self.heads}"
            )
        return self


class _Block(nn.Module):
    """Self-attention and a feed-forward layer, each on normalised input beside a residual."""

    def __init__(self, config: SasRecConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(size)
        self.mix = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        # One bias per age 0..max_length-1, and one, the last, for the persona token.
        self.age_bias = nn.Parameter(torch.zeros(config.heads, config.max_length + 1))
        self.forward_norm = nn.LayerNorm(size)
        self.up = nn.Linear(size, config.hidden_factor * size)
        self.down = nn.Linear(config.hidden_factor * size, size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, ages: Tensor, blocked: Tensor) -> Tensor:
        """x: (b, l, d); ages: int64 (l, l), columns of the bias; blocked: bool (l, l)."""
        b, length, size = x.shape
        width = size // self.heads
        mixed = self.mix(self.attention_norm(x)).view(b, length, 3, self.heads, width)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        logits = query @ key.transpose(-1, -2) * width**-0.5 + self.age_bias[:, ages]
        weights = torch.softmax(logits.masked_fill(blocked, float("-inf")), dim=-1)
        read = (weights @ value).transpose(1, 2).reshape(b, length, size)
        x = x + self.dropout(self.out(read))
        inner = functional.gelu(self.up(self.forward_norm(x)))
        added: Tensor = self.dropout(self.down(inner))
        return x + added


class SasRec(nn.Module):
    """The sequence model, with at most one persona token before the first item.

    The persona is an input, not a parameter: a frozen vector comes with each row and a learned
    linear map brings it to the width of the items, so a new user or an anonymous session needs no
    row of its own.

    Attributes:
        n_items: size of the catalogue.
        config: the shape.
        table: float32, shape (n_items + 1, embedding_size); the last row is padding.
    """

    def __init__(self, n_items: int, config: SasRecConfig) -> None:
        super().__init__()
        self.n_items = n_items
        self.config = config
        self.table = nn.Parameter(torch.randn(n_items + 1, config.embedding_size) * 0.02)
        self.persona: nn.Linear | None = (
            nn.Linear(config.persona_size, config.embedding_size) if config.persona_size else None
        )
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.embedding_size)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def item_table(self) -> Tensor:
        """float32, shape (n_items, embedding_size): input and output vectors of the items."""
        return self.table[: self.n_items]

    def forward(self, items: Tensor, personas: Tensor | None = None) -> Tensor:
        """States after each visible prefix.

        Args:
            items: int64, shape (b, l), l ≤ max_length, padded on the right with n_items.
            personas: float32, shape (b, persona_size); needed exactly if the model has a token.

        Returns:
            float32, shape (b, l, embedding_size); at padding finite and without meaning.

        Raises:
            ValueError: rows too long, or personas given or missing against the configuration.
        """
        length = items.shape[1]
        if length > self.config.max_length:
            raise ValueError(f"{length} items, but max_length is {self.config.max_length}")
        if (personas is None) != (self.persona is None):
            raise ValueError(
                "the model was built "
                + ("without" if self.persona is None else "with")
                + " a persona token (persona_size); give personas to match"
            )
        # Sparse: a step touches few rows, and the dense gradient would cost more than the network.
        x = functional.embedding(items, self.table, sparse=True)
        place = torch.arange(length, device=items.device)
        ages = (place[:, None] - place).clamp(min=0)
        if self.persona is not None and personas is not None:
            x = torch.cat((self.persona(personas)[:, None], x), dim=1)
            # The token stands before all items, at no age.
            ages = functional.pad(ages, (1, 0, 1, 0), value=self.config.max_length)
        x = self.dropout(x)
        blocked = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        for block in self.blocks:
            x = block(x, ages, blocked)
        states: Tensor = self.norm(x[:, -length:] if length else x[:, :0])
        return states

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
