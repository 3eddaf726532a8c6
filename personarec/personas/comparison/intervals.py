"""Intervals of means over users nested in seeds, and of paired differences of such means.

Each bootstrap sample draws seeds and users with replacement, every user under every drawn seed: a
second seed of the same user is no new user, and a seed's luck is no property of the encoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from personarec.evaluation.significance import Interval

SAMPLES = 2000


def nested_interval(
    metric: NDArray[np.float64],
    baseline: NDArray[np.float64] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a mean, or of a difference of means over the same users.

    Args:
        metric: float64, shape (n_seeds, n_users).
        baseline: the same users of another encoder; its number of seeds may differ.
        level: mass inside the interval.
        seed: of the draws.

    Raises:
        ValueError: not the same users, or none.
    """
    sides = [metric] if baseline is None else [metric, baseline]
    n_users = metric.shape[1]
    if not n_users or any(side.shape[1] != n_users for side in sides):
        raise ValueError("a mean needs users, and a difference the same users on both sides")
    rng = np.random.default_rng(seed)
    weights = [_seed_weights(len(side), rng) for side in sides]
    means = np.empty(SAMPLES)
    for start in range(0, SAMPLES, 50):
        drawn = rng.integers(n_users, size=(50, n_users))
        drawn += np.arange(50)[:, None] * n_users
        counts = np.bincount(drawn.ravel(), minlength=50 * n_users).reshape(50, n_users)
        parts = [
            (w[start : start + 50] * (counts @ side.T)).sum(1) / n_users
            for w, side in zip(weights, sides, strict=True)
        ]
        means[start : start + 50] = parts[0] - (parts[1] if len(parts) > 1 else 0.0)
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    mean = float(metric.mean() - (0.0 if baseline is None else baseline.mean()))
    return Interval(mean, float(low), float(high))


def _seed_weights(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How much each seed weighs in each sample, shape (samples, n); rows sum to 1."""
    return rng.multinomial(n, np.full(n, 1 / n), size=SAMPLES) / n
