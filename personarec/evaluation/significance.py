"""Is one model better than another? Paired bootstrap, McNemar's test, Holm's correction."""

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


@dataclass(frozen=True)
class Comparison:
    """A mean difference, where it lies, and how likely one as large is by chance.

    Attributes:
        interval: of the mean difference.
        p: two-sided bootstrap p-value, at least 2 / (samples + 1).
    """

    interval: Interval
    p: float


def bootstrap_together(
    differences: NDArray[np.float64],
    *,
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Percentile intervals and p-values of many mean differences over the same users.

    All comparisons see the same draws of users, so that drawing is paid for once.

    Args:
        differences: float64, shape (n_comparisons, n_users), per-user values of one model minus
            those of another, averaged over the seeds.
        samples: bootstrap samples.
        level: mass inside the intervals.
        seed: of the draws.

    Raises:
        ValueError: no users.
    """
    n_users = differences.shape[1]
    if not n_users:
        raise ValueError("no users: there is nothing to compare")
    rng = np.random.default_rng(seed)
    means = np.empty((len(differences), samples))
    columns = np.ascontiguousarray(differences.T)
    block = max(1, min(samples, 4_000_000 // n_users))
    for start in range(0, samples, block):
        size = min(block, samples - start)
        drawn = rng.integers(n_users, size=(size, n_users))
        drawn += np.arange(size)[:, None] * n_users
        counts = np.bincount(drawn.ravel(), minlength=size * n_users).reshape(size, n_users)
        means[:, start : start + size] = (counts @ columns).T / n_users
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail), axis=1)
    above = (1 + (means >= 0).sum(axis=1)) / (samples + 1)
    below = (1 + (means <= 0).sum(axis=1)) / (samples + 1)
    p = np.minimum(1.0, 2 * np.minimum(above, below))
    return [
        Comparison(Interval(float(mean), float(a), float(b)), float(chance))
        for mean, a, b, chance in zip(differences.mean(axis=1), low, high, p, strict=True)
    ]


@dataclass(frozen=True)
class Discordance:
    """Users that only one of two models serves.

    Attributes:
        better: users whose hits are more with the one.
        worse: users whose hits are more with the other.
        p: exact two-sided p-value of a fair coin.
    """

    better: int
    worse: int
    p: float


def mcnemar(hits: NDArray[np.float64], baseline: NDArray[np.float64]) -> Discordance:
    """Exact McNemar's test of hits (McNemar, 1947): a sign test over users that differ.

    With one seed the values are 0 and 1 and this is McNemar's test to the letter. With several,
    a user counts once, for the model with more hits over the seeds: a second run on the same user
    is no new user.

    Args:
        hits: float64, shape (n_users,), each user's share of hits with one model.
        baseline: the same of the other.
    """
    from scipy.stats import binomtest

    # Means over seeds and queries: equal shares may differ in their last bits.
    difference = np.where(np.isclose(hits, baseline), 0.0, hits - baseline)
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if not better + worse:
        return Discordance(0, 0, 1.0)
    return Discordance(better, worse, float(binomtest(better, better + worse).pvalue))


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of a family of tests, corrected step by step (Holm, 1979).

    Args:
        p: float64, shape (n,).

    Returns:
        float64, shape (n,), in the order given; below .05: clear although so many were tried.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty(len(p))
    result[order] = np.minimum(stepped, 1.0)
    return result
