"""Layers of the sequence model: pre-LN blocks, LiGR blocks, and norms a persona can condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from personarec.retriever.sasrec import SasRecConfig


class Dropout(nn.Module):
    """Dropout; on the CPU from 16 random bits an element, a quarter of the time of torch's own.

    The share dropped is then a multiple of 1/65536, and what is kept is scaled by just that.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """x, with a share of its elements 0 while training."""
        if not (self.training and self.share):
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        dropped = round(self.share * 65536)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 32768
        return x * kept.to(x.dtype).mul_(65536 / (65536 - dropped))


class Norm(nn.LayerNorm):
    """Layer norm whose scale and shift a persona may move: y = LN(x) ⊙ (1 + S p) + B p.

    S and B start at 0, so an untrained one is the plain norm (FiLM: Perez et al., 2018).

    Args:
        size: width of x.
        persona_size: width of p; 0: the plain norm.
    """

    def __init__(self, size: int, persona_size: int = 0) -> None:
        super().__init__(size)
        self.condition = nn.Linear(persona_size, 2 * size) if persona_size else None
        if self.condition is not None:
            nn.init.zeros_(self.condition.weight)
            nn.init.zeros_(self.condition.bias)

    def forward(self, input: Tensor, persona: Tensor | None = None) -> Tensor:
        """input: (b, l, size); persona: (b, l or 1, persona_size) if conditioned."""
        normed = super().forward(input)
        if self.condition is None or persona is None:
            return normed
        scale, shift = self.condition(persona).chunk(2, dim=-1)
        conditioned: Tensor = normed * (1 + scale) + shift
        return conditioned


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each on normalised input beside a residual.

    Each place may attend to one token more than to the items up to it. Tokens attend to themselves
    alone. One token for all places is a token in front of the first item; one per place is what
    the session would look like, seen from that place, with the token of that place in front.
    """

    def __init__(self, config: SasRecConfig) -> None:
        super().__init__()
        size = config.embedding_size
        conditioned = config.persona_size if config.fusion == "norms" else 0
        self.heads = config.heads
        self.attention_norm = Norm(size, conditioned)
        self.mix = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        # One bias per age 0..max_length-1, and one, the last, for the token, which has no age.
        self.age_bias = nn.Parameter(torch.zeros(config.heads, config.max_length + 1))
        self.forward_norm = Norm(size, conditioned)
        self.up = nn.Linear(size, config.hidden_factor * size)
        self.down = nn.Linear(config.hidden_factor * size, size)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, token: Tensor | None, persona: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The items' states and the tokens', one layer on.

        Args:
            x: float32, shape (b, l, d).
            token: float32, shape (b, l or 1, d), if there is one.
            persona: float32, shape (b, l or 1, persona_size), if it conditions the norms.
        """
        query, key, value = self._heads(self.attention_norm(x, persona))
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        ages = place[:, None] - place
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        logits = logits + self.age_bias[:, ages.clamp(min=0)]
        logits = logits.masked_fill(ages < 0, float("-inf"))
        if token is None:
            read = torch.softmax(logits, dim=-1) @ value
        else:
            _, token_key, token_value = self._heads(self.attention_norm(token, persona))
            own = (query * token_key).sum(dim=-1, keepdim=True) * query.shape[-1] ** -0.5
            own = own + self.age_bias[:, -1:, None]
            weights = torch.softmax(torch.cat((logits, own), dim=-1), dim=-1)
            read = weights[..., :length] @ value + weights[..., length:] * token_value
            # With nothing but itself to attend to, a token reads its own value.
            token = self._fed(self._joined(token, self._out(token_value), 0), persona)
        return self._fed(self._joined(x, self._out(read), 0), persona), token

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, shape (b, heads, l, d / heads) each."""
        b, length, size = x.shape
        mixed = self.mix(x).view(b, length, 3, self.heads, size // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        return query, key, value

    def _out(self, read: Tensor) -> Tensor:
        b, _, length, _ = read.shape
        projected: Tensor = self.out(read.transpose(1, 2).reshape(b, length, -1))
        return projected

    def _fed(self, x: Tensor, persona: Tensor | None) -> Tensor:
        return self._joined(x, self.down(self._inner(self.forward_norm(x, persona))), 1)

    def _inner(self, x: Tensor) -> Tensor:
        """The hidden units of the feed-forward layer."""
        return functional.gelu(self.up(x))

    def _joined(self, x: Tensor, added: Tensor, _sublayer: int) -> Tensor:
        """What a sublayer adds (0: attention, 1: feed-forward), beside the residual."""
        dropped: Tensor = self.dropout(added)
        return x + dropped


class LigrBlock(Block):
    """LiGR block: gated residuals and SwiGLU (Borisyuk et al., 2025; as in eSASRec, 2025).

    x + σ(G x) ⊙ sublayer(LN x), with a gate G, bias included, for each sublayer on its
    un-normalised input; the feed-forward layer is W₃(SiLU(W₁ x) ⊙ W₂ x).
    """

    def __init__(self, config: SasRecConfig) -> None:
        super().__init__(config)
        size = config.embedding_size
        self.gates = nn.ModuleList(nn.Linear(size, size) for _ in range(2))
        self.gate_up = nn.Linear(size, config.hidden_factor * size)

    def _inner(self, x: Tensor) -> Tensor:
        product: Tensor = functional.silu(self.gate_up(x)) * self.up(x)
        return product

    def _joined(self, x: Tensor, added: Tensor, sublayer: int) -> Tensor:
        dropped: Tensor = torch.sigmoid(self.gates[sublayer](x)) * self.dropout(added)
        return x + dropped
