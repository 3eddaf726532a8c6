"""The persona inside the sequence model: where it comes from, and how it reaches the states.

Where from: a vector per session that the caller gives, or the items up to each place. Vectors of
all of a user's training items hold the answers of that training; personas of the prefix cannot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from personarec.retriever.layers import Dropout


class PrefixPersona(nn.Module):
    """Persona of every place, of the items up to it alone: p_t = Σ_{j≤t} decay^(t−j) h_{i_j}.

    Only the items of the window count; further back they would weigh next to nothing, and a
    session that is asked for shows no more.

    Attributes:
        vectors: float32, shape (n_items + 1, size), frozen; the last row, of padding, is 0.
    """

    vectors: Tensor

    def __init__(self, n_items: int, size: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        # Saved with the model, as it is needed wherever the model is; never trained.
        self.register_buffer("vectors", torch.zeros(n_items + 1, size))

    def forward(self, items: Tensor) -> Tensor:
        """items: int64, shape (b, l); float32, shape (b, l, size)."""
        place = torch.arange(items.shape[1], device=items.device)
        ages = place[:, None] - place
        weights = (self.decay ** ages.clamp(min=0).float()).masked_fill(ages < 0, 0)
        personas: Tensor = weights @ self.vectors[items]
        return personas


class GatedAddition(nn.Module):
    """s + σ(G [s; W p]) ⊙ W p: how much of the persona each state takes, dimension by dimension."""

    def __init__(self, size: int, persona_size: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(persona_size, size)
        self.gate = nn.Linear(2 * size, size)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, persona: Tensor) -> Tensor:
        """states: (b, l, size); persona: (b, l or 1, persona_size)."""
        projected = self.dropout(self.project(persona)).expand_as(states)
        taken: Tensor = torch.sigmoid(self.gate(torch.cat((states, projected), dim=-1)))
        return torch.addcmul(states, taken, projected)
