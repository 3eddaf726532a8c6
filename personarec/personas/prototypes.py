"""Prototypes: how many kinds of readers there are, what they are, and who is like which.

Personas are centred and scaled to length 1, so that neither what everybody has in common nor the
length of a history counts, and clustered by k-means. The number of clusters is the one that readers
drawn anew agree on best: each number is tried on several subsamples, and their clusterings compared
in pairs by the adjusted Rand index (Ben-Hur, Elisseeff and Guyon, PSB 2002; Hubert and Arabie,
1985), readers outside a subsample going to the nearest centre (Tibshirani and Walther, JCGS 2005).

How much of each prototype is in a reader is the cosine to its centre where it is positive, scaled
to add up to 1: of the soft assignments tried on the demo data set (also softmax, fuzzy c-means and
least squares) the nearest to the shares of the planted tastes among a reader's books.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

Matrix = NDArray[np.float32]


class PrototypeConfig(BaseModel):
    """How prototypes are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int | None = Field(default=None, ge=2)
    """How many; chosen by stability if not given."""
    most: int = Field(default=20, ge=3)
    """Most to choose from."""
    seed: int = 0


LEAST_READERS = 30
"""With fewer readers no kinds are told apart."""
LEAST_NUMBER = 3
"""Fewest to choose from: two kinds of readers say little."""
READERS_EACH = 10
"""Readers that a prototype should have on average, at least."""
SIZE = 32
"""Dimensions that are clustered: the first principal axes."""
DRAWS = 6
"""Subsamples of the readers for each number tried."""
TRIES = 5
"""Starts of k-means, of which the best is kept."""
DRAWN = 0.8
"""Share of the readers in a subsample."""
MOST_DRAWN = 4_000
"""Most readers in a subsample, and most that agreement is measured on."""
LEAST_WEIGHT = 0.05
"""Weights below are noise and left out."""


@dataclass(frozen=True)
class Clusters:
    """Clustered personas.

    Attributes:
        space: float32, shape (n, SIZE at most): personas as they were clustered, rows of length 1.
        centres: float32, shape (k, same), those with most readers first.
        weights: float32, shape (n, k), rows add up to 1.
        agreement: mean adjusted Rand index of the chosen number, 1 is perfect.
        tried: the same of every number tried.
    """

    space: Matrix
    centres: Matrix
    weights: Matrix
    agreement: float
    tried: dict[int, float]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The strongest prototype of each reader, int64, shape (n,)."""
        return np.asarray(self.weights.argmax(axis=1), np.int64)


def find_clusters(personas: Matrix | sparse.csr_array, config: PrototypeConfig) -> Clusters | None:
    """Cluster personas; None where they are too few, or all the same.

    Args:
        personas: float32, shape (n, size), dense or sparse, finite.
        config: settings.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    n = personas.shape[0]
    if n < LEAST_READERS:
        return None
    space = clustered_space(personas, config.seed)
    if not space.any():
        return None
    if config.number is None:
        numbers = range(LEAST_NUMBER, min(config.most, n // READERS_EACH) + 1)
    else:
        numbers = range(min(config.number, n), min(config.number, n) + 1)
    with threadpool_limits(1):  # threads that wait for each other cost minutes on a busy machine
        tried = {k: _agreement(space, k, config.seed) for k in numbers}
        number = max(tried, key=lambda k: (tried[k], -k))
        centres = _k_means(space, number, config.seed)
    weights = resemblance(space, centres)
    order = np.argsort(-np.bincount(weights.argmax(axis=1), minlength=number), kind="stable")
    return Clusters(space, centres[order], weights[:, order], tried[number], tried)


def clustered_space(personas: Matrix | sparse.csr_array, seed: int) -> Matrix:
    """Personas as they are clustered: float32, shape (n, at most SIZE), rows of length 1 or 0."""
    from sklearn.decomposition import PCA, TruncatedSVD

    n, width = personas.shape
    if isinstance(personas, sparse.csr_array):
        lengths = np.sqrt(personas.multiply(personas).sum(axis=1))
        scale = sparse.diags_array(1 / np.where(lengths > 0, lengths, 1))
        unit = sparse.csr_matrix(scale @ personas)  # the reducer knows no arrays
        if width > 2 * SIZE and n > 2 * SIZE:
            dense = TruncatedSVD(2 * SIZE, random_state=seed).fit_transform(unit)
        else:
            dense = unit.toarray()
    else:
        dense = np.asarray(personas, np.float64)
    centred = _unit(dense - dense.mean(axis=0))
    if centred.shape[1] > SIZE:
        size = min(SIZE, n - 1)
        centred = _unit(PCA(size, random_state=seed).fit_transform(centred))
    return np.asarray(centred, np.float32)


def resemblance(space: Matrix, centres: Matrix) -> Matrix:
    """How much of each centre is in each row: float32, shape (n, k), ≥ 0, rows add up to 1."""
    cosine = space.astype(np.float64) @ _unit(centres.astype(np.float64)).T
    weights = np.maximum(cosine, 0)
    # On the far side of all: the nearest of them.
    lost = np.flatnonzero(weights.sum(axis=1) <= 0)
    weights[lost, cosine[lost].argmax(axis=1)] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    # With many prototypes all of a reader's weights may be small: the largest one stays.
    weights[(weights < LEAST_WEIGHT) & (weights < weights.max(axis=1, keepdims=True))] = 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _agreement(space: Matrix, number: int, seed: int) -> float:
    """Mean adjusted Rand index over pairs of clusterings of redrawn readers."""
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng([seed, number])
    shown = space
    if len(space) > MOST_DRAWN:
        shown = space[np.sort(rng.choice(len(space), MOST_DRAWN, replace=False))]
    size = min(round(DRAWN * len(space)), MOST_DRAWN)
    labels = []
    for draw in range(DRAWS):
        drawn = space[rng.choice(len(space), size, replace=False)]
        centres = _k_means(drawn, min(number, size), seed + draw)
        # The nearest centre; rows of ``shown`` have one length.
        distance = np.square(centres).sum(axis=1) - 2 * (shown @ centres.T)
        labels.append(distance.argmin(axis=1))
    pairs = [adjusted_rand_score(labels[a], labels[b]) for a in range(DRAWS) for b in range(a)]
    return float(np.mean(pairs))


def _k_means(space: Matrix, number: int, seed: int) -> Matrix:
    from sklearn.cluster import KMeans

    model = KMeans(number, n_init=TRIES, random_state=seed).fit(space)
    return np.asarray(model.cluster_centers_, np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
