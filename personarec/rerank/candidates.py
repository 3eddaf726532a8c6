"""Candidates of the late fusion with all that is known about them, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.metrics import target_ranks
from personarec.retriever.best import best_of_each
from personarec.retriever.fusion import components

if TYPE_CHECKING:
    from personarec.evaluation.metrics import Scorer
    from personarec.evaluation.sequences import Sequences
    from personarec.rerank.features import ItemFeatures
    from personarec.retriever.cold_items import ColdItems
    from personarec.retriever.fusion import Evidence

FUSED = "fused"
"""The first feature: the score of the late fusion."""
CANDIDATES = 100
"""Of each session."""


@dataclass(frozen=True)
class Candidates:
    """The first k of the late fusion for n sessions, best first.

    Attributes:
        names: of the features.
        users: int64, shape (n,): whose sessions they are; not a feature.
        targets: int32, shape (n,): the held-out items, −1: not known.
        items: int32, shape (n, k); −1 where a session has no more.
        features: float32, shape (n, k, n_features); 0 where there is no item.
        place: int64, shape (n,): where the held-out item stands, −1: not among them.
        ranks: float64, shape (n,): of the held-out item in the whole catalogue, by the fusion; NaN
            where it is not known.
    """

    names: tuple[str, ...]
    users: NDArray[np.int64]
    targets: NDArray[np.int32]
    items: NDArray[np.int32]
    features: NDArray[np.float32]
    place: NDArray[np.int64]
    ranks: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.items)

    @classmethod
    def together(cls, blocks: Sequence[Candidates]) -> Candidates:
        """The sessions of all blocks, at least one, in their order."""
        return cls(
            blocks[0].names,
            np.concatenate([b.users for b in blocks]),
            np.concatenate([b.targets for b in blocks]),
            np.concatenate([b.items for b in blocks]),
            np.concatenate([b.features for b in blocks]),
            np.concatenate([b.place for b in blocks]),
            np.concatenate([b.ranks for b in blocks]),
        )

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Candidates:
        """Those sessions alone."""
        return replace(
            self,
            users=self.users[rows],
            targets=self.targets[rows],
            items=self.items[rows],
            features=self.features[rows],
            place=self.place[rows],
            ranks=self.ranks[rows],
        )

    def reordered(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Ranks of the held-out items once the candidates stand in another order.

        An item that is no candidate keeps its rank: all candidates stay before it.

        Args:
            scores: shape (n, k).

        Returns:
            float64, shape (n,).
        """
        found = np.flatnonzero(self.place >= 0)
        scores = np.where(self.items[found] >= 0, scores[found], -np.inf)
        own = scores[np.arange(len(found)), self.place[found]][:, None]
        ranks = self.ranks.copy()
        ranks[found] = 0.5 + (scores > own).sum(axis=1) + 0.5 * (scores == own).sum(axis=1)
        return ranks

    def best(self, scores: NDArray[np.float32], first: int) -> NDArray[np.int32]:
        """The best candidates in another order; of equal scores what stood before comes first.

        Args:
            scores: shape (n, k).
            first: how many, at most k.

        Returns:
            int32, shape (n, first); −1 where a session has no more.
        """
        order = np.argsort(np.where(self.items >= 0, -scores, np.inf), axis=1, kind="stable")
        return np.take_along_axis(self.items, order[:, :first], axis=1)


def gather(
    scorer: Scorer,
    evidence: Mapping[str, Evidence],
    weights: Mapping[str, float],
    known: ItemFeatures,
    users: NDArray[np.int64],
    sequences: Sequences,
    targets: NDArray[np.int32] | None = None,
    *,
    k: int = CANDIDATES,
    cold: ColdItems | None = None,
    batch_size: int = 256,
) -> Candidates:
    """Candidates and their features.

    Args:
        scorer: of the sequence model, asked for ``users``.
        evidence: by name; a feature each, whatever its weight.
        weights: of the late fusion, one for each evidence.
        known: of the same fit sequences as the evidence.
        users: int64, shape (n,).
        sequences: the visible items of all users; masked.
        targets: int32, shape (n_users,), held-out items; none: not known, as in service.
        k: candidates of each session.
        cold: items scored like their neighbours, as ``fused_scorer``.
        batch_size: sessions per block; changes nothing but memory.
    """
    blocks = []
    for start in range(0, max(len(users), 1), batch_size):
        block = users[start : start + batch_size]
        sessions = sequences.take(block)
        names = ("sequence", *evidence)
        parts = components(scorer, evidence, block, sessions, cold)
        by_name = dict(zip(names, parts, strict=True))
        blocks.append(describe(by_name, weights, known, block, sessions, targets, k))
    return Candidates.together(blocks)


def describe(
    parts: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, float],
    known: ItemFeatures,
    users: NDArray[np.int64],
    sessions: Sequences,
    targets: NDArray[np.int32] | None = None,
    k: int = CANDIDATES,
) -> Candidates:
    """The first of some sessions by the sum of the parts, and their features.

    Args:
        parts: of the late fusion, as ``fusion.components`` has them: ``sequence``, then each
            evidence; float32, shape (b, n_items) each; left as they are.
        weights: of the late fusion, one for each evidence.
        known: of the same fit sequences as the evidence.
        users: int64, shape (b,), whose sessions they are.
        sessions: the b sessions; their items are no candidates.
        targets: int32, shape (n_users,), held-out items; none: not known, as in service.
        k: candidates of each session.
    """
    (_, sequence), *evidence = parts.items()
    total = sequence.copy()
    for name, part in evidence:
        if weights[name]:
            total += np.float32(weights[name]) * part
    items = best_of_each(total, sessions, k)
    missing = items < 0
    safe = np.where(missing, 0, items)

    columns: list[NDArray[np.float32]] = []
    for part in (total, *parts.values()):
        own = np.take_along_axis(part, safe, axis=1)
        columns += [own, _ranks(np.where(missing, -np.inf, own))]
    columns += [column[safe] for column in known.columns.values()]
    for links in known.links.values():
        columns.append(np.take_along_axis(links.nearness(sessions), safe, axis=1))
    columns.append(np.repeat(np.log1p(sessions.lengths)[:, None], items.shape[1], axis=1))
    features = np.stack(columns, axis=2).astype(np.float32)
    features[missing] = 0

    asked = np.full(len(users), -1, np.int32) if targets is None else targets[users]
    there = (items == asked[:, None]) & ~missing
    place = np.where(there.any(axis=1), there.argmax(axis=1), -1)
    ranks = np.full(len(users), np.nan)
    if targets is not None:
        ranks = target_ranks(total, asked, sessions)
    return Candidates(feature_names(parts, known), users, asked, items, features, place, ranks)


def feature_names(parts: Iterable[str], known: ItemFeatures) -> tuple[str, ...]:
    """Names of the features that ``describe`` makes of parts of these names."""
    return (
        *(name for part in (FUSED, *parts) for name in (part, f"rank by {part}")),
        *(f"number: {name}" for name in known.columns),
        *(f"nearest: {name}" for name in known.links),
        "length",
    )


def _ranks(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """log(1 + place among the candidates), the best first; float32, shape as ``scores``."""
    order = np.argsort(-scores, axis=1, kind="stable")
    places = np.argsort(order, axis=1, kind="stable")
    return np.log1p(places).astype(np.float32)
