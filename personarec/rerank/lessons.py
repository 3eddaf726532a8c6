"""What validation items teach a reranker, and whether what it learned is worth keeping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import ndcg
from personarec.evaluation.significance import Interval, paired_bootstrap
from personarec.rerank.candidates import Candidates
from personarec.rerank.model import Reranker, cross_fitted, refuse_test

if TYPE_CHECKING:
    from personarec.rerank.model import RerankConfig

CUTOFF = 10
"""It is judged by NDCG at this rank."""
MOST_USERS = 50_000
"""Validation users that are learned from; of more, so many are drawn."""
_BLOCK = 2048
"""Users whose candidates are gathered at a time."""
Gathered = Callable[[NDArray[np.int64]], Candidates]
"""Candidates of users, or of queries by their place."""


@dataclass(frozen=True)
class Lessons:
    """The candidates of validation users, with features only where they can teach something.

    A session whose held-out item is no candidate teaches nothing and keeps its rank.

    Attributes:
        users: int64, shape (n,): all users that are looked at.
        targets: int32, shape (n,): their held-out items.
        ranks: float64, shape (n,): of the held-out items, by the fusion.
        rows: int64, shape (m,): which of them have their item among the candidates.
        candidates: of those m.
    """

    users: NDArray[np.int64]
    targets: NDArray[np.int32]
    ranks: NDArray[np.float64]
    rows: NDArray[np.int64]
    candidates: Candidates

    @classmethod
    def gather(
        cls, gathered: Gathered, valid: NDArray[np.int32], seed: int = 0, most: int = MOST_USERS
    ) -> Lessons:
        """Gather them in blocks of users.

        Args:
            gathered: candidates by the models that were fitted without the validation items.
            valid: int32, shape (n_users,), validation items, −1 for none.
            seed: of the draw, where there are more users than ``most``.
            most: users; bounds the memory.
        """
        users = np.flatnonzero(valid >= 0).astype(np.int64)
        if len(users) > most:
            users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
        kept, ranks, place = [], np.empty(len(users)), np.empty(len(users), np.int64)
        for start in range(0, max(len(users), 1), _BLOCK):
            found = gathered(users[start : start + _BLOCK])
            ranks[start : start + _BLOCK] = found.ranks
            place[start : start + _BLOCK] = found.place
            kept.append(found.take(found.place >= 0))
        rows = np.flatnonzero(place >= 0)
        return cls(users, valid[users], ranks, rows, Candidates.together(kept))

    def teach(self, config: RerankConfig, test: NDArray[np.int32]) -> Reranker:
        """A reranker that learned from all of them.

        Args:
            config: how.
            test: int32, shape (n_users,): items that may not be learned from, −1 for none.

        Raises:
            LeakError: a held-out item is the user's test item.
            TooFewError: fewer than two users have their item among the candidates.
        """
        refuse_test(self.users, self.targets, test)
        return Reranker.fit(self.candidates, config)

    def judge(self, config: RerankConfig) -> Judged:
        """What such a reranker is worth on users that it has not seen: in five folds of them.

        What a session is scored by knows nothing of its user, or validation would praise itself.

        Raises:
            TooFewError: too little is left to learn from without a fold.
        """
        scores = cross_fitted(self.candidates, config, seed=config.seed, among=self.users)
        ranks = self.ranks.copy()
        ranks[self.rows] = self.candidates.reordered(scores)
        before, after = ndcg(self.ranks, CUTOFF), ndcg(ranks, CUTOFF)
        gain = paired_bootstrap(after, before)
        return Judged(float(before.mean()), float(after.mean()), gain)


@dataclass(frozen=True)
class Judged:
    """NDCG@10 on the validation items, cross-fitted.

    Attributes:
        before: by the fusion.
        after: with the candidates reordered.
        gain: paired interval over users of the difference.
    """

    before: float
    after: float
    gain: Interval

    @property
    def helps(self) -> bool:
        """Whether the gain is above 0 by its interval: the rule by which a rerank is kept."""
        return self.gain.low > 0
