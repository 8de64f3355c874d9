"""The statistical assertions themselves: they pass what is right and catch what is not."""

import numpy as np
import pytest
from scipy import stats

from tests.statistics import (
    CHECK_FALSE_ALARM,
    NUM_STDERRS,
    SUITE_FALSE_ALARM,
    StatisticalFailure,
    assert_catches,
    assert_coverage,
    assert_frequencies,
    assert_ks,
    assert_mean_within,
    assert_p_value,
    assert_probability,
    assert_same_law,
    assert_uniform_chi2,
)


def _rng():
    return np.random.default_rng(0)


def test_the_budget_is_what_it_says():
    assert pytest.approx(SUITE_FALSE_ALARM / 1000) == CHECK_FALSE_ALARM
    assert 2 * stats.norm.sf(NUM_STDERRS) == pytest.approx(CHECK_FALSE_ALARM)


@pytest.mark.parametrize("p_value", [0.0, 1e-12, float("nan")])
def test_a_small_or_missing_p_value_fails(p_value):
    with pytest.raises(StatisticalFailure):
        assert_p_value(p_value, "example")


CASES = {
    "mean": (
        lambda x: assert_mean_within(x, 0.0),
        lambda: _rng().normal(size=4000),
        lambda: _rng().normal(0.15, 1, size=4000),
    ),
    "mean of columns, one of them constant": (
        lambda x: assert_mean_within(x, [0.0, 1.0]),
        lambda: np.column_stack([_rng().normal(size=4000), np.ones(4000)]),
        lambda: np.column_stack([_rng().normal(size=4000), np.ones(4000) + 1e-6]),
    ),
    "mean with a known standard error": (
        lambda x: assert_mean_within(x, 0.0, stderr=4000**-0.5),
        lambda: _rng().normal(size=4000),
        lambda: _rng().normal(0.15, 1, size=4000),
    ),
    "probability": (
        lambda k: assert_probability(k, 4000, 0.1),
        lambda: _rng().binomial(4000, 0.1),
        lambda: _rng().binomial(4000, 0.15),
    ),
    "coverage": (
        assert_coverage,
        lambda: _rng().random(2000) < 0.95,
        lambda: _rng().random(2000) < 0.9,
    ),
    "frequencies": (
        lambda x: assert_frequencies(x, [0.2, 0.3, 0.5]),
        lambda: _rng().multinomial(4000, [0.2, 0.3, 0.5]),
        lambda: _rng().multinomial(4000, [0.25, 0.3, 0.45]),
    ),
    "uniform": (
        assert_uniform_chi2,
        lambda: np.bincount(_rng().integers(0, 16, 16000), minlength=16),
        lambda: np.bincount(_rng().binomial(15, 0.5, 16000), minlength=16),
    ),
    "distribution function": (
        lambda x: assert_ks(x, stats.norm.cdf),
        lambda: _rng().normal(size=4000),
        lambda: _rng().normal(0, 1.3, size=4000),
    ),
    "two samples": (
        lambda pair: assert_same_law(*pair),
        lambda: _rng().normal(size=(2, 4000)),
        lambda: _rng().normal([[0.0], [0.3]], 1, size=(2, 4000)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_right_passes_and_wrong_is_caught(name):
    check, right, wrong = CASES[name]
    check(right())
    assert_catches(check, wrong)


def test_catching_nothing_is_a_failure():
    with pytest.raises(pytest.fail.Exception):
        assert_catches(lambda x: assert_mean_within(x, 0.0), lambda: _rng().normal(size=4000))
