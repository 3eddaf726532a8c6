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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from personarec.personas.relational.graph import Block, Direction, Passing

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
        return self.hearing(self.messages(block, order), block, order)

    def hearing(self, messages: Tensor, block: Block, order: Tensor | None = None) -> Tensor:
        """h from what :meth:`messages` gave before; as in :meth:`forward`."""
        return self.items(block, order)[: block.wanted] + messages

    def items(self, block: Block, order: Tensor | None = None) -> Tensor:
        """Own vectors of the block's items."""
        own = self._own(self.passing.item_type, block)
        return own if order is None else own[order]

    def messages(self, block: Block, order: Tensor | None = None) -> Tensor:
        """Σ_r β m of the block's wanted items, shape (wanted, width); as in :meth:`forward`."""
        items = self.passing.item_type
        own = {kind: self._own(kind, block) for kind in self.passing.counts if kind != items}
        own[items] = self.items(block, order)
        vectors = dict(own)
        for kind, directions in _by_target(self.passing.to_others).items():
            vectors[kind] = own[kind] + self._heard(kind, directions, own, block)
        return self._heard(items, self.passing.to_items, vectors, block)[: block.wanted]

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
        """Σ_r β m of the nodes of a type."""
        averages = [block.averages[d.name] for d in directions]
        means = [a.product(vectors[d.source]) for a, d in zip(averages, directions, strict=True)]
        weights = self.relation[[self.number[d.name] for d in directions]]
        if len(directions) > 1:  # one alone has all of the attention, whatever it scores
            weights = weights * self._attention(kind, means, weights)[:, None]
        result = torch.zeros_like(vectors[kind])
        for average, mean, weight in zip(averages, means, weights, strict=True):
            result.index_add_(0, average.rows, mean * weight)
        return result

    def _attention(self, kind: str, means: list[Tensor], weights: Tensor) -> Tensor:
        """β of equation 2, shape (relations,). W (w ⊙ mean) as (W ⊙ w) mean: no vector by node."""
        heard = [
            torch.tanh(nn.functional.linear(mean, self.key.weight * w, self.key.bias)).mean(0)
            if len(mean)
            else self.key.bias * 0
            for mean, w in zip(means, weights, strict=True)
        ]
        # Times their number: 1 each at the start, whether a type hears one relation or ten.
        return torch.softmax(torch.stack(heard) @ self.query[self.kinds[kind]], 0) * len(means)


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


def _by_target(directions: tuple[Direction, ...]) -> dict[str, list[Direction]]:
    found: dict[str, list[Direction]] = {}
    for d in directions:
        found.setdefault(d.target, []).append(d)
    return found
