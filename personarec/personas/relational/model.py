"""Item vectors from relational message passing, and the weights of a session's items by age.

1. m_{v,r} = w_r ⊙ mean over u ∈ N_r(v) of h_u
2. β_{r|τ} = R softmax over the R relations r into type τ of mean_v q_τᵀ tanh(W m_{v,r} + b), over
   the nodes v that have r
3. z_v = x_v + Σ_r β_{r|τ} m_{v,r} for the types other than the items', from the own vectors x;
   users have none (x = 0): no parameter belongs to a user
4. h_i = x_i + Σ_r β_{r|item} m_{i,r} for the items, from z

Relations' matrices are diagonal (w_r), so that a relation costs d numbers, not d². Two towers of
one form: ``inputs``, what an item adds to a persona, and ``outputs``, what a persona is scored
against. The passes are linear but for β, so that with zero weights the own vectors come through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from personarec.personas.relational.graph import Average, Block, Direction, Passing

HIDDEN = 16
"""Width of W of equation 2."""
START_SCALE = 0.1
"""Root mean square of the own vectors' numbers at the start."""


class Tower(nn.Module):
    """Own vectors, relations and their attention: equations 1 to 4."""

    def __init__(self, passing: Passing, width: int, user_type: str) -> None:
        super().__init__()
        self.passing = passing
        self.own = nn.ParameterDict(
            {
                kind: nn.Parameter(START_SCALE * torch.randn(count, width))
                for kind, count in passing.counts.items()
                if kind != user_type
            }
        )
        directions = (*passing.to_others, *passing.to_items)
        # By number: names of relations may hold what names of parameters must not.
        self.number = {d.name: i for i, d in enumerate(directions)}
        relation = torch.ones(len(directions), width)
        # What others hear of the items starts small: at first their own vectors are the better.
        relation[: len(passing.to_others)] = START_SCALE
        self.relation = nn.Parameter(relation)
        self.kinds = {k: i for i, k in enumerate(passing.counts)}
        self.query = nn.Parameter(torch.zeros(len(self.kinds), HIDDEN))
        self.key = nn.Linear(width, HIDDEN)

    def forward(self, block: Block, order: Tensor | None = None) -> Tensor:
        """h of the block's wanted items, shape (wanted, width).

        ``order``: int64, a permutation of the block's items that their own vectors are put in.
        """
        own = {kind: self._own(kind, block) for kind in self.passing.counts}
        items = self.passing.item_type
        if order is not None:
            own[items] = own[items][order]
        heard = dict(own)
        for kind, directions in _by_target(self.passing.to_others).items():
            heard[kind] = self._heard(kind, directions, own, block)
        if not self.passing.to_items:
            return own[items][: block.wanted]
        return self._heard(items, self.passing.to_items, heard, block)[: block.wanted]

    def items(self, block: Block) -> Tensor:
        """Own vectors of the block's items."""
        return self._own(self.passing.item_type, block)

    def _own(self, kind: str, block: Block) -> Tensor:
        ids = block.ids[kind]
        if kind not in self.own:
            count = self.passing.counts[kind] if ids is None else len(ids)
            return torch.zeros(count, self.relation.shape[1])
        table: Tensor = self.own[kind]
        return table if ids is None else nn.functional.embedding(torch.from_numpy(ids), table)

    def _heard(
        self, kind: str, directions: Sequence[Direction], vectors: dict[str, Tensor], block: Block
    ) -> Tensor:
        """The vectors of a type and Σ_r β m added to them."""
        found = []
        for d in directions:
            over = block.averages[d.name]
            mean = average(over, vectors[d.source][over.columns])
            found.append(mean * self.relation[self.number[d.name]])
        logits = torch.stack(
            [torch.tanh(self.key(m)).mean(0) if len(m) else self.key.bias * 0 for m in found]
        )
        # Times their number: 1 each at the start, whether a type hears one relation or ten.
        beta = torch.softmax(logits @ self.query[self.kinds[kind]], 0) * len(found)
        rows = torch.cat([block.averages[d.name].rows for d in directions])
        messages = torch.cat([b * m for b, m in zip(beta, found, strict=True)])
        return vectors[kind].index_add(0, rows, messages)


class RelationalModel(nn.Module):
    """Both towers and the weights by age.

    Attributes:
        inputs: tower of what items add to a persona.
        outputs: tower of what personas are scored against.
        offsets: of the items, shape (item nodes,).
        ages: log a by age, shape (ages,).
    """

    def __init__(
        self, passing: Passing, width: int, ages: int, decay: float, user_type: str
    ) -> None:
        super().__init__()
        self.inputs = Tower(passing, width, user_type)
        self.outputs = Tower(passing, width, user_type)
        self.offsets = nn.Parameter(torch.zeros(passing.counts[passing.item_type]))
        start = torch.arange(ages, dtype=torch.float32) * float(np.log(decay))
        self.ages = nn.Parameter(start.clamp_min(-4.0))

    def personas(self, vectors: Tensor, places: Places) -> Tensor:
        """Personas of sessions from vectors of the items: shape (sessions, width)."""
        given = self.ages.exp()[places.age]
        total = torch.zeros(len(places.starts)).index_add(0, places.owner, given)
        summed = nn.functional.embedding_bag(
            places.item, vectors, places.starts, mode="sum", per_sample_weights=given
        )
        return summed / total.clamp_min(1e-12).sqrt()[:, None]


class Places:
    """What sessions show, as torch wants it.

    Attributes:
        item: int64, shape (m,), rows of the items' vectors.
        owner: int64, shape (m,), which session.
        age: int64, shape (m,), 0 for the newest.
        starts: int64, shape (sessions,), first place of each.
    """

    def __init__(
        self, item: NDArray[np.int64], owner: NDArray[np.int64], age: NDArray[np.int64], n: int
    ) -> None:
        self.item, self.owner, self.age = (torch.from_numpy(a) for a in (item, owner, age))
        self.starts = torch.from_numpy(np.searchsorted(owner, np.arange(n)))


class _Product(torch.autograd.Function):
    """Sparse times dense; torch would transpose the matrix anew for each gradient."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, dense: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, None, ctx.transposed @ gradients[0]


def average(over: Average, vectors: Tensor) -> Tensor:
    """Mean over neighbours, shape (nodes that hear, width), of the vectors of those heard."""
    product: Tensor = _Product.apply(over.forward, over.backward, vectors)
    return product


def _by_target(directions: tuple[Direction, ...]) -> dict[str, list[Direction]]:
    found: dict[str, list[Direction]] = {}
    for d in directions:
        found.setdefault(d.target, []).append(d)
    return found
