"""ln P from repetitions: covered by its interval, and loud where it says little."""

import math

import numpy as np
import pytest

from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.errors import InsufficientSamples
from tests.statistics import StatisticalFailure, assert_coverage

TRUTH = -69.3147


def _repetitions(rng, spread, repetitions=8):
    """Unbiased log-normal estimates of exp(TRUTH)."""
    return TRUTH - spread**2 / 2 + spread * rng.normal(size=repetitions)


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_the_interval_covers(spread):
    covered = []
    for seed in range(2000):
        found = log_mean_probability(_repetitions(np.random.default_rng([1, seed]), spread))
        covered.append(found.low <= TRUTH <= found.high)
    assert_coverage(covered, 0.94)  # Cox's interval is a little liberal for few repetitions


def test_the_mean_of_ln_p_alone_is_caught():
    """Without s^2/2 the estimate is too low, and many repetitions show it."""
    covered = []
    for seed in range(2000):
        values = _repetitions(np.random.default_rng([2, seed]), 1.0, 64)
        reach = 2 * values.std(ddof=1) / 8
        covered.append(abs(values.mean() - TRUTH) <= reach)
    with pytest.raises(StatisticalFailure):
        assert_coverage(covered, 0.94)


def test_it_is_ln_of_a_probability():
    found = log_mean_probability(np.array([-0.01, -0.3, -0.02]))
    assert found.value <= 0
    assert found.high == 0.0


def test_a_repetition_that_did_not_get_there_is_loud():
    found = log_mean_probability(np.array([-10.0, -np.inf, -10.0]))
    assert found.value == pytest.approx(-10 + math.log(2 / 3))
    assert (found.low, found.high) == (-math.inf, 0.0)
    assert "1 of 3 repetitions" in found.warnings[0]


def test_a_wide_spread_is_said():
    found = log_mean_probability(np.array([-10.0, -14.0, -12.0]))
    assert "differ by 2 nats" in found.warnings[0]


def test_one_repetition_has_no_interval():
    with pytest.raises(InsufficientSamples, match="at least 2"):
        log_mean_probability(np.array([-10.0]))
