import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweep_engine.densities.probabilities.proportions import (
    clopper_pearson,
    frequencies,
    inverse_proportion,
    ln_probability,
    log_ratio,
    proportion,
)
from sweep_engine.errors import InsufficientSamples
from tests.statistics import assert_catches, assert_coverage, assert_mean_within


@given(trials=st.integers(1, 10**9), share=st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_clopper_pearson_is_scipys(trials, share):
    successes = round(share * trials)
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
    low, high = clopper_pearson(successes, trials)
    # scipy finds its ends by search, to an absolute 2e-12: its precision, not ours.
    assert float(low) == pytest.approx(expected.low, rel=1e-6, abs=1e-11)
    assert float(high) == pytest.approx(expected.high, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize(("trials", "truth"), [(20, 0.3), (50, 0.02), (1000, 0.5)])
def test_coverage_of_a_fixed_number_of_draws(trials, truth):
    """The sum over all outcomes, no sampling: exact."""
    outcomes = np.arange(trials + 1)
    low, high = clopper_pearson(outcomes, np.full(trials + 1, trials))
    covered = (low <= truth) & (truth <= high)
    assert stats.binom.pmf(outcomes, trials, truth)[covered].sum() >= 0.95


def test_no_success_has_an_exact_upper_end():
    estimate = proportion(0, 1000, name="p_fit")
    assert (estimate.value, estimate.low) == (0.0, 0.0)
    assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 1000), rel=1e-12)
    assert estimate.warnings


def test_every_draw_a_success():
    assert proportion(10, 10).high == 1.0


def _draws_to_success(accepted, truth, repetitions):
    rng = np.random.default_rng(1)
    return accepted + rng.negative_binomial(accepted, truth, repetitions)


@pytest.mark.parametrize("accepted", [2, 10])
def test_stopping_at_the_kth_success_is_unbiased_and_k_over_n_is_not(accepted):
    truth = 0.1
    trials = _draws_to_success(accepted, truth, 200_000)
    assert_mean_within((accepted - 1) / (trials - 1), truth)
    assert_catches(lambda x: assert_mean_within(x, truth), lambda: accepted / trials)


@pytest.mark.parametrize("accepted", [2, 10])
@pytest.mark.parametrize("truth", [0.5, 0.01])
def test_coverage_of_stopping_at_the_kth_success(accepted, truth):
    estimates = [
        inverse_proportion(accepted, int(n)) for n in _draws_to_success(accepted, truth, 2000)
    ]
    assert_coverage([e.low <= truth <= e.high for e in estimates])


def test_the_interval_of_inverse_sampling_is_the_papers():
    k, n = 7, 300
    estimate = inverse_proportion(k, n)
    assert estimate.low == pytest.approx(stats.beta.ppf(0.025, k, n - k + 1), rel=1e-9)
    assert estimate.high == pytest.approx(stats.beta.ppf(0.975, k, n - k), rel=1e-9)


def test_all_draws_accepted():
    estimate = inverse_proportion(5, 5)
    assert (estimate.value, estimate.high) == (1.0, 1.0)


@pytest.mark.parametrize("accepted", [0, 1])
def test_one_acceptance_is_too_few(accepted):
    with pytest.raises(InsufficientSamples, match="at least 2"):
        inverse_proportion(accepted, 100)


def test_no_draws_at_all():
    with pytest.raises(InsufficientSamples):
        proportion(0, 0)


@pytest.mark.parametrize(("successes", "trials"), [(5, 4), (-1, 4)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        proportion(successes, trials)


def test_ln_probability_keeps_the_interval():
    fit = proportion(3, 1000)
    in_nats = ln_probability(fit)
    assert in_nats.unit == "nats"
    assert [in_nats.value, in_nats.low, in_nats.high] == pytest.approx(
        [math.log(x) for x in (fit.value, fit.low, fit.high)]
    )
    assert ln_probability(proportion(0, 10)).value == -math.inf


def test_log_ratio_covers_and_knows_empty_cells():
    source, reference = frequencies(np.array([10, 0, 0])), frequencies(np.array([5, 5, 0]))
    value, low, high = log_ratio(source, reference)
    assert value[0] == pytest.approx(math.log(2))
    assert (value[1], low[1]) == (-math.inf, -math.inf)
    assert math.isnan(value[2])
    assert (low[2], high[2]) == (-math.inf, math.inf)


def test_coverage_of_frequencies_and_log_ratio():
    rng = np.random.default_rng(2)
    p, q = np.array([0.1, 0.9]), np.array([0.3, 0.7])
    one, ratio = [], []
    for x, y in zip(rng.multinomial(50, p, 2000), rng.multinomial(80, q, 2000), strict=True):
        source, reference = frequencies(x), frequencies(y)
        one.append(source.low[0] <= p[0] <= source.high[0])
        _, low, high = log_ratio(source, reference)
        ratio.append(low[0] <= math.log(p[0] / q[0]) <= high[0])
    assert_coverage(one)
    assert_coverage(ratio)
