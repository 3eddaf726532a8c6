"""A map of personas: places in the plane where near personas are near.

t-SNE (van der Maaten and Hinton, JMLR 2008), from the principal axes and a fixed seed, so that the
same personas have the same map. Of many readers some are placed so, and the others between the
nearest of those. Distances between far groups mean nothing, so each coordinate is half its value
and half its rank: dense groups are spread out and empty stretches closed, and the order stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

MOST_PLACED = 2_000
"""Readers that are placed by t-SNE."""
NEAREST = 3
"""Placed readers that another one is put between."""


def places(space: Matrix, seed: int) -> Matrix:
    """Places of personas: float32, shape (n, 2), within -1 and 1 in both directions.

    Args:
        space: float32, shape (n, size), n > 3; rows of length 1 or 0.
        seed: of the draw of those placed first, and of t-SNE.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    n = len(space)
    if space.shape[1] < 2:  # the picture has two axes
        space = np.pad(space, ((0, 0), (0, 1)))
    drawn = np.arange(n)
    if n > MOST_PLACED:
        drawn = np.sort(np.random.default_rng(seed).choice(n, MOST_PLACED, replace=False))
    model = TSNE(
        perplexity=min(30.0, len(drawn) / 4),
        metric="euclidean",
        init="pca",
        max_iter=500,
        random_state=seed,
    )
    with threadpool_limits(1):  # threads that wait for each other cost minutes on a busy machine
        placed = model.fit_transform(space[drawn])
    found = np.zeros((n, 2), np.float64)
    found[drawn] = placed
    others = np.setdiff1d(np.arange(n), drawn)
    for part in np.array_split(others, max(1, len(others) // 1_000)):
        cosine = space[part] @ space[drawn].T
        nearest = np.argpartition(-cosine, NEAREST - 1, axis=1)[:, :NEAREST] if len(part) else part
        found[part] = placed[nearest].mean(axis=1) if len(part) else 0
    low, high = found.min(axis=0), found.max(axis=0)
    value = (found - low) / np.where(high > low, high - low, 1)
    rank = found.argsort(axis=0, kind="stable").argsort(axis=0) / (n - 1)
    return np.asarray(value + rank - 1, np.float32)
