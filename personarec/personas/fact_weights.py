"""How much each relation says of the next item: learned from training positions alone.

A conditional logit: at each of a reader's newest training positions the item that came is one among
items drawn at random; their scores are popularity plus each relation's share of the fact persona's
score. Nothing held out is looked at, and no item is fitted, so a position says nothing of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array

from personarec.evaluation.sequences import Sequences

if TYPE_CHECKING:
    from personarec.personas.facts import FactModel

NEWEST = 10
"""Positions of each reader."""
MOST = 20_000
"""Positions in all."""
DRAWN = 200
"""Items the one that came is held against; drawn evenly, the same for a block of positions."""
RIDGE = 0.01
"""What draws the weights to one another, so that few positions give nearly equal ones."""
_BLOCK = 1000
PREFIX = 50
"""Items of a prefix that are looked at; older ones weigh nothing worth the time."""


def relation_weights(
    model: FactModel, relations: Sequence[str], sequences: Sequences, seed: int = 0
) -> dict[str, float]:
    """Weights that the columns of each relation are to be scaled by.

    Args:
        model: fact persona with equal weights.
        relations: relation of each of its columns.
        sequences: the fit sequences.
        seed: of the draws.

    Returns:
        By relation, the largest 1. All 1 where there is nothing to learn from or to tell apart.
    """
    names = sorted(set(relations))
    users, places = positions(sequences, NEWEST)
    if len(names) < 2 or not len(users):
        return dict.fromkeys(names, 1.0)
    rng = np.random.default_rng(seed)
    if len(users) > MOST:
        some = np.sort(rng.choice(len(users), MOST, replace=False))
        users, places = users[some], places[some]
    features = _features(model, [np.flatnonzero(np.equal(relations, n)) for n in names],
                         sequences, users, places, rng)  # fmt: skip
    share = _fitted(features)
    # A score is a product of two vectors: each takes the root.
    root = np.sqrt(share)
    return {name: float(np.round(w, 4)) for name, w in zip(names, root / root.max(), strict=True)}


def positions(sequences: Sequences, newest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User and place of each item that has one before it, the ``newest`` of each user."""
    owners = np.repeat(np.arange(len(sequences)), sequences.lengths)
    places = np.arange(len(sequences.items)) - sequences.indptr[owners]
    kept = (places > 0) & (sequences.lengths[owners] - places <= newest)
    return owners[kept], places[kept]


def prefixes(
    sequences: Sequences, users: NDArray[np.int64], places: NDArray[np.int64], most: int = PREFIX
) -> tuple[Sequences, NDArray[np.int32]]:
    """What was visible at each place, its newest ``most`` items, and the item that stands there."""
    lengths = np.minimum(places, most)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    ends = sequences.indptr[users] + places
    where = np.repeat(ends - lengths - indptr[:-1], lengths) + np.arange(indptr[-1])
    return Sequences(indptr, sequences.items[where], sequences.n_items), sequences.items[ends]


def _features(
    model: FactModel,
    columns: list[NDArray[np.int64]],
    sequences: Sequences,
    users: NDArray[np.int64],
    places: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Popularity and each relation's score, of the item that came and then of those drawn.

    Returns:
        float64, shape (n_positions, 1 + DRAWN, 1 + n_relations).
    """
    parts = [csr_array(model.items[:, own]) for own in columns]
    popularity = np.log1p(np.bincount(sequences.items, minlength=sequences.n_items))
    found = np.empty((len(users), 1 + DRAWN, 1 + len(columns)))
    for start in range(0, len(users), _BLOCK):
        rows = slice(start, start + _BLOCK)
        visible, came = prefixes(sequences, users[rows], places[rows])
        drawn = rng.integers(sequences.n_items, size=DRAWN)
        recency = visible.recency(model.config.age_decay)
        found[rows, 0, 0], found[rows, 1:, 0] = popularity[came], popularity[drawn]
        for place, part in enumerate(parts, start=1):
            persona = csr_array(recency @ part)
            found[rows, 0, place] = np.asarray(persona.multiply(part[came]).sum(axis=1)).ravel()
            found[rows, 1:, place] = (persona @ csr_array(part[drawn].T)).toarray()
    return found


def _fitted(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each relation's weight in the score, ≥ 0, shape (n_relations,)."""
    n_relations = features.shape[2] - 1
    # Scaled by one number, so that equal weights stay equal.
    scale = features[:, :, 1:].sum(axis=2).std() or 1.0
    popularity, scores = features[:, :, 0], features[:, :, 1:] / scale

    def loss(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        fame, common, apart = given[0], given[1], given[2:]
        own = common * (1 + apart)
        total = fame * popularity + scores @ own
        total -= total.max(axis=1, keepdims=True)
        odds = np.exp(total)
        mass = odds.sum(axis=1)
        surplus = odds / mass[:, None]
        surplus[:, 0] -= 1
        slope = np.einsum("ij,ijk->k", surplus, scores) / len(scores)
        value = float((np.log(mass) - total[:, 0]).mean()) + RIDGE * float(apart @ apart)
        return value, np.concatenate((
            [(surplus * popularity).sum() / len(scores), slope @ (1 + apart)],
            common * slope + 2 * RIDGE * apart,
        ))  # fmt: skip

    begin = np.concatenate(([1.0, 1.0], np.zeros(n_relations)))
    bounds = [(None, None), (1e-6, None), *[(-1.0, None)] * n_relations]
    apart = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x[2:]
    return np.maximum(1 + apart, 0) if (1 + apart).max() > 0 else np.ones(n_relations)
