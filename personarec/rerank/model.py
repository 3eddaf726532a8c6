"""The reranker: the fused score plus what a small net learned from held-out items to add to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from kg.errors import ChangeSomethingError
from personarec.evaluation.leakage import LeakError
from personarec.rerank.candidates import Candidates

_BLOCK = 2000
"""Sessions scored at a time."""


class TooFewError(ChangeSomethingError):
    """There is too little to learn from."""


class RerankConfig(BaseModel):
    """How the net is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    batch_size: int = Field(default=256, ge=1)
    epochs: int = Field(default=15, ge=1)
    """At most."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better loss on the users kept apart, before it stops."""
    apart: float = Field(default=0.15, gt=0, lt=1)
    """Share of the users whose loss says when to stop."""
    seed: int = 0


class RerankNet(nn.Module):
    """t · fused + net(features), which is the fusion itself before anything is learned."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.fused = nn.Parameter(torch.ones(()))
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scores of shape (n, k) from features of shape (n, k, n_features), the fused one first."""
        added: Tensor = self.net((features - self.mean) / self.scale).squeeze(-1)
        return self.fused * features[:, :, 0] + added


@dataclass(frozen=True)
class Reranker:
    """A trained reranker.

    Attributes:
        names: of the features it was trained with, in their order.
        net: in evaluation mode.
        config: how it was trained.
    """

    names: tuple[str, ...]
    net: RerankNet
    config: RerankConfig

    @classmethod
    def fit(cls, candidates: Candidates, config: RerankConfig | None = None) -> Reranker:
        """Learn from sessions whose held-out item is among the candidates.

        The loss is the cross-entropy of the held-out item among its session's candidates.

        Args:
            candidates: of validation items; see ``refuse_test``.
            config: the defaults if not given.

        Raises:
            TooFewError: fewer than two users have their item among the candidates.
        """
        config = config or RerankConfig()
        teaches = candidates.place >= 0
        found = candidates if teaches.all() else candidates.take(teaches)
        users = np.unique(found.users)
        if len(users) < 2:
            raise TooFewError(
                f"rerank: the held-out items of {len(users)} users are among the candidates, two "
                "are the least to learn from; take more candidates or more users"
            )
        rng = np.random.default_rng(config.seed)
        apart = rng.permutation(users)[: max(1, round(config.apart * len(users)))]
        held = np.isin(found.users, apart)
        return cls(found.names, _train(found, held, config, rng), config)

    def score(self, candidates: Candidates) -> NDArray[np.float32]:
        """float32, shape (n, k), of sessions of anybody.

        Raises:
            ValueError: candidates with other features.
        """
        if candidates.names != self.names:
            raise ValueError(f"trained with {self.names}, asked with {candidates.names}")
        scores = np.zeros(candidates.items.shape, np.float32)
        with torch.inference_mode():
            for start in range(0, len(candidates), _BLOCK):
                block = torch.from_numpy(candidates.features[start : start + _BLOCK])
                scores[start : start + _BLOCK] = self.net(block).numpy()
        return scores


def refuse_test(
    users: NDArray[np.int64], targets: NDArray[np.int32], test: NDArray[np.int32]
) -> None:
    """Refuse to learn from test items.

    Args:
        users: int64, shape (n,), whose sessions they are.
        targets: int32, shape (n,), the items that they are labelled with.
        test: int32, shape (n_users,), −1 for none.

    Raises:
        LeakError: a session's held-out item is its user's test item.
    """
    asked = test[users]
    leaked = (asked >= 0) & (asked == targets)
    if leaked.any():
        raise LeakError(
            f"rerank: {int(leaked.sum())} of {len(users)} sessions are labelled with a test "
            f"item, the first of user {users[leaked][0]}; label with validation items"
        )


def folds(
    users: NDArray[np.int64], n: int, seed: int, among: NDArray[np.int64] | None = None
) -> Iterator[NDArray[np.bool_]]:
    """Masks of sessions, one fold after the other; all sessions of a user are in one fold."""
    distinct = np.unique(users if among is None else among)
    part = np.random.default_rng(seed).permutation(len(distinct)) % n
    for fold in range(n):
        yield part[np.searchsorted(distinct, users)] == fold


def cross_fitted(
    candidates: Candidates,
    config: RerankConfig | None = None,
    n: int = 5,
    seed: int = 0,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Scores of each session by a reranker that saw nothing of its user; float32, shape (n, k).

    Args:
        candidates: of validation items.
        config: the defaults if not given.
        n: folds of users.
        seed: of the folds.
        among: int64: the users that folds are drawn from, where candidates are of some of them.

    Raises:
        TooFewError: what is outside a fold is too little to learn from.
    """
    scores = np.zeros(candidates.items.shape, np.float32)
    for held in folds(candidates.users, n, seed, among):
        if held.any():
            model = Reranker.fit(candidates.take(~held), config)
            scores[held] = model.score(candidates.take(held))
    return scores


def _train(
    found: Candidates, held: NDArray[np.bool_], config: RerankConfig, rng: np.random.Generator
) -> RerankNet:
    features, place = torch.from_numpy(found.features), torch.from_numpy(found.place)
    missing = torch.from_numpy(found.items < 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = RerankNet(features.shape[2], config.hidden, config.dropout)
        there = found.features[found.items >= 0]
        net.mean.copy_(torch.from_numpy(there.mean(axis=0)))
        spread = there.std(axis=0)
        net.scale.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1).astype(np.float32)))
        optimiser = torch.optim.AdamW(
            [
                {"params": net.net.parameters(), "weight_decay": config.weight_decay},
                {"params": [net.fused], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )

        def loss(rows: NDArray[np.int64]) -> Tensor:
            scores = net(features[rows]).masked_fill(missing[rows], -torch.inf)
            return nn.functional.cross_entropy(scores, place[rows])

        def loss_apart() -> float:
            net.eval()
            with torch.no_grad():
                return float(loss(apart))

        apart, rows = np.flatnonzero(held), np.flatnonzero(~held)
        # The fusion itself is the first to beat: what does not help those apart is not kept.
        least, kept, worse = loss_apart(), _copy(net), 0
        for _ in range(config.epochs):
            net.train()
            rows = rng.permutation(rows)
            for start in range(0, len(rows), config.batch_size):
                optimiser.zero_grad()
                loss(rows[start : start + config.batch_size]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            now = loss_apart()
            if now < least:
                least, kept, worse = now, _copy(net), 0
            elif (worse := worse + 1) >= config.patience:
                break
    net.load_state_dict(kept)
    return net.eval()


def _copy(net: RerankNet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}
