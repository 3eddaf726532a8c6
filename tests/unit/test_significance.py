import numpy as np
import pytest
from scipy.stats import ttest_1samp

from personarec.evaluation.significance import (
    bootstrap_together,
    holm,
    mcnemar,
    paired_bootstrap,
)


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


def test_together_as_one_by_one() -> None:
    rng = np.random.default_rng(3)
    differences = rng.standard_normal((3, 400)) + np.array([[0.0], [0.1], [0.5]])
    found = bootstrap_together(differences, samples=4000)
    for own, one in zip(found, differences, strict=True):
        alone = paired_bootstrap(one, np.zeros(400), samples=4000)
        assert own.interval.mean == pytest.approx(alone.mean)
        assert own.interval.low == pytest.approx(alone.low, abs=0.01)
        assert own.interval.high == pytest.approx(alone.high, abs=0.01)
        # The t-test of the same mean: the bootstrap's p must be near it.
        assert own.p == pytest.approx(ttest_1samp(one, 0).pvalue, abs=0.02)
    assert found[2].p == pytest.approx(2 / 4001)  # no sample below 0: the smallest there can be


def test_nothing_differs_is_no_finding() -> None:
    (found,) = bootstrap_together(np.zeros((1, 30)), samples=200)
    assert found.p == 1.0
    assert not found.interval.clear


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (1, 5, 0.21875), (6, 0, 0.03125), (3, 3, 1.0), (0, 0, 1.0),
        # statsmodels 0.15: mcnemar([[0, 121], [59, 0]], exact=True).pvalue
        (121, 59, 4.4344493e-06),
    ],
)  # fmt: skip
def test_mcnemar_by_known_values(better: int, worse: int, p: float) -> None:
    hits = np.array([1] * better + [0] * worse + [1] * 7 + [0] * 4, float)
    baseline = np.array([0] * better + [1] * worse + [1] * 7 + [0] * 4, float)
    found = mcnemar(hits, baseline)
    assert (found.better, found.worse) == (better, worse)
    assert found.p == pytest.approx(p, rel=1e-5)


def test_mcnemar_counts_a_user_once_whatever_the_seeds() -> None:
    hits, baseline = np.array([1, 2 / 3, 0.1 + 0.2]), np.array([0, 1 / 3, 0.3])
    found = mcnemar(hits, baseline)
    assert (found.better, found.worse) == (2, 0)  # the third differs in the last bit only


def test_holm_by_known_values() -> None:
    # Four hypotheses of a textbook example; statsmodels' multipletests(method="holm") agrees.
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])
    assert list(holm(np.array([]))) == []
