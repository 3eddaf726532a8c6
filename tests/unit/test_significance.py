import numpy as np
import pytest

from personarec.evaluation.significance import paired_bootstrap


def test_a_steady_small_gain_is_clear_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(500)
    gain = paired_bootstrap(base + 0.01 + 0.001 * rng.standard_normal(500), base)
    assert gain.clear
    assert gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx(0.01, abs=0.001)
    assert not paired_bootstrap(base + 0.1 * rng.standard_normal(500), base).clear


def test_interval_is_that_of_the_normal_approximation() -> None:
    difference = np.random.default_rng(1).standard_normal(2000)
    found = paired_bootstrap(difference, np.zeros(2000), samples=4000)
    half = 1.96 * difference.std() / np.sqrt(2000)
    assert found.low == pytest.approx(difference.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(difference.mean() + half, abs=half / 10)


def test_same_seed_same_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(50), rng.random(50)
    assert paired_bootstrap(a, b, seed=3) == paired_bootstrap(a, b, seed=3)
    assert paired_bootstrap(a, b, seed=3) != paired_bootstrap(a, b, seed=4)


def test_seeds_are_averaged_before_users_are_drawn() -> None:
    rng = np.random.default_rng(4)
    runs, base = rng.random((3, 80)), rng.random((2, 80))
    assert paired_bootstrap(runs, base) == paired_bootstrap(runs.mean(0), base.mean(0))
    # Copies of one run are no new evidence: the interval must not shrink.
    copies = paired_bootstrap(np.tile(runs[0], (8, 1)), base[0])
    once = paired_bootstrap(runs[0], base[0])
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high))


def test_unpaired_users_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users against 2"):
        paired_bootstrap(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="0 users"):
        paired_bootstrap(np.zeros(0), np.zeros(0))
