"""Is one model better than another? Paired bootstrap over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """A mean difference and where it lies.

    Attributes:
        mean: of the per-user differences.
        low: lower end of the percentile interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    metric: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the mean difference, users drawn with replacement.

    With several seeds each user's metric is averaged over the seeds first: the users are the
    sample, and a second run on the same user is no new user.

    Args:
        metric: float64, shape (n_users,) or (n_seeds, n_users), per-user values of one model.
        baseline: the same users, in the same order, of the other; its number of seeds may differ.
        samples: bootstrap samples.
        level: mass inside the interval.
        seed: of the draws.

    Raises:
        ValueError: not the same number of users, or none.
    """
    ours = np.atleast_2d(metric).mean(axis=0)
    theirs = np.atleast_2d(baseline).mean(axis=0)
    if ours.shape != theirs.shape or not ours.size:
        raise ValueError(f"{ours.size} users against {theirs.size}: pairs need the same users")
    difference = ours - theirs
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    for sample in range(samples):
        means[sample] = difference[rng.integers(len(difference), size=len(difference))].mean()
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(difference.mean()), float(low), float(high))
