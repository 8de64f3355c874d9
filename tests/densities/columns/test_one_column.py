import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweep_engine.densities.columns import wasserstein as wasserstein_module
from sweep_engine.densities.columns.outside import mass_outside_range
from sweep_engine.densities.columns.quantiles import quantiles
from sweep_engine.densities.columns.wasserstein import Wasserstein
from sweep_engine.densities.draws import MANY_DRAWS, Draws
from sweep_engine.errors import InsufficientSamples
from tests.densities.read import ks_distance
from tests.statistics import assert_catches, assert_coverage, assert_ks, assert_probability

samples = st.lists(st.floats(-5, 5) | st.sampled_from([0.0, 1.0]), min_size=2, max_size=30).map(
    np.array
)


@given(one=samples, other=samples)
@settings(deadline=None)
def test_ks_is_scipys(one, other):
    estimate = ks_distance(Draws.of(one), Draws.of(other))
    expected = stats.ks_2samp(one, other, method="asymp")
    assert estimate.value == pytest.approx(expected.statistic, abs=1e-12)
    assert estimate.p_value == pytest.approx(expected.pvalue, rel=1e-9)


@given(one=samples, other=samples)
@settings(deadline=None)
def test_ks_is_symmetric_and_sees_ranks_only(one, other):
    plain = ks_distance(Draws.of(one), Draws.of(other))
    swapped = ks_distance(Draws.of(other), Draws.of(one))
    stretched = ks_distance(Draws.of(one * 8), Draws.of(other * 8))
    assert plain.value == pytest.approx(swapped.value, abs=1e-12)
    assert plain.value == pytest.approx(stretched.value, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_coverage_of_the_ks_distance(shift):
    """sup |F - G| of a normal shifted by s is 2 Φ(s/2) - 1."""
    truth, rng, covered = 2 * stats.norm.cdf(shift / 2) - 1, np.random.default_rng(41), []
    for _ in range(1000):
        one, other = rng.normal(shift, 1, 100), rng.normal(0, 1, 150)
        estimate = ks_distance(Draws.of(one), Draws.of(other))
        covered.append(estimate.low <= truth <= estimate.high)
    assert_coverage(covered)


def test_the_p_value_is_uniform_for_one_law_and_not_for_two():
    rng = np.random.default_rng(42)

    def p_values(shift):
        pairs = rng.normal([[0.0], [shift]], 1, size=(1000, 2, 1500))
        return [ks_distance(Draws.of(a), Draws.of(b)).p_value for a, b in pairs]

    assert_ks(p_values(0.0), stats.uniform.cdf)
    assert_catches(lambda p: assert_ks(p, stats.uniform.cdf), lambda: p_values(0.05))


def test_not_a_number_is_the_last_place_of_the_line():
    source, reference = np.zeros(50), np.zeros(50)
    source[:10], source[10:15] = np.nan, np.inf
    estimate = ks_distance(Draws.of(source), Draws.of(reference))
    assert estimate.value == pytest.approx(0.3)
    assert estimate.warnings[0].startswith("15 of 50 source")


def test_ks_of_weighted_draws_is_that_of_the_weighted_law():
    """N(0,1) weighted into N(1,1), against N(1,1)."""
    rng, accepted = np.random.default_rng(43), []
    for _ in range(300):
        values = rng.normal(size=2000)
        weighted = Draws.of(values, values)
        estimate = ks_distance(weighted, Draws.of(rng.normal(1, 1, 2000)))
        assert estimate.p_value is not None
        accepted.append(estimate.p_value >= 0.05)
    # n_eff is not exact for a distribution function: 5% is lost at most.
    assert_coverage(accepted, 0.9)
    unweighted = ks_distance(Draws.of(values), Draws.of(rng.normal(1, 1, 2000)))
    assert unweighted.p_value is not None
    assert unweighted.p_value < 1e-9


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("law", ["normal", "ties"])
def test_coverage_of_quantiles(level, law):
    rng = np.random.default_rng(44)
    sampler, frozen = {
        "normal": (lambda: rng.normal(size=80), stats.norm),
        "ties": (lambda: rng.poisson(2, 80).astype(float), stats.poisson(2)),
    }[law]
    truth, covered = frozen.ppf(level), []
    for _ in range(2000):
        (estimate,) = quantiles(Draws.of(sampler()), (level,))
        covered.append(estimate.low <= truth <= estimate.high)
    assert_coverage(covered)


def test_quantiles_are_numpys_and_know_when_draws_are_few():
    values = np.random.default_rng(45).normal(size=101)
    for level in (0.1, 0.25, 0.5):
        (estimate,) = quantiles(Draws.of(values), (level,))
        assert estimate.value == np.quantile(values, level, method="inverted_cdf")
    low, high = quantiles(Draws.of(values[:10]), (0.01, 0.99))
    assert (low.low, high.high) == (-math.inf, math.inf)


def test_weighted_quantiles_are_those_of_the_weighted_law():
    rng, covered = np.random.default_rng(46), []
    for _ in range(500):
        values = rng.normal(size=1000)
        (estimate,) = quantiles(Draws.of(values, values), (0.5,))
        covered.append(estimate.low <= 1.0 <= estimate.high)
    # n_eff = n/e is the effective number for a mean, not for a median: 5% is lost at most.
    assert_coverage(covered, 0.9)


def test_diverged_draws_move_the_quantiles_instead_of_vanishing():
    values = np.append(np.arange(1.0, 91.0), np.full(10, np.nan))
    (median,) = quantiles(Draws.of(values), (0.5,))
    assert median.value == 50.0
    assert "10 of 100" in median.warnings[0]


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_quantile_among_draws_that_diverged_is_infinite_and_no_end_is_nan(lost):
    """Say no "inf to nan" of a chain of which all but a few draws diverged."""
    values = np.append(np.arange(15.0), np.full(385, lost))
    low, median, high = quantiles(Draws.of(values))
    assert low.low < 15
    assert low.value == low.high == math.inf
    for each in (median, high):
        assert (each.value, each.low, each.high) == (math.inf,) * 3


def test_levels_are_probabilities():
    with pytest.raises(ValueError, match="levels"):
        quantiles(Draws.of(np.zeros(5)), (1.0,))


def test_the_mass_outside_is_a_proportion_given_the_reference():
    rng = np.random.default_rng(47)
    reference = Draws.of(rng.normal(size=100))
    low, high = reference.values.min(), reference.values.max()
    truth = stats.norm(1).cdf(low) + stats.norm(1).sf(high)
    covered, outside = [], 0
    for _ in range(1000):
        estimate = mass_outside_range(Draws.of(rng.normal(1, 1, 100)), reference)
        covered.append(estimate.low <= truth <= estimate.high)
        outside += round(estimate.value * 100)
    assert_coverage(covered)
    assert_probability(outside, 100_000, truth)


def test_what_is_not_finite_is_outside():
    source = Draws.of(np.array([0.5, np.nan, np.inf, 0.5]))
    assert mass_outside_range(source, Draws.of(np.array([0.0, 1.0, np.nan]))).value == 0.5


@pytest.mark.parametrize("estimator", [ks_distance, mass_outside_range])
def test_no_draws(estimator):
    with pytest.raises(InsufficientSamples):
        estimator(Draws.of(np.empty(0)), Draws.of(np.zeros(5)))


@pytest.mark.parametrize("digits", [1, 12])
def test_the_merged_distance_is_scipys(digits, monkeypatch):
    monkeypatch.setattr(wasserstein_module, "_CHUNK", 97)
    rng = np.random.default_rng(0)
    one, other = (np.round(rng.normal(mean, 1, n), digits) for mean, n in ((0.1, 1000), (0, 700)))
    expected = stats.wasserstein_distance(one, other)
    assert wasserstein_module._merged_plug_in(one, other) == pytest.approx(expected, rel=1e-12)
    shifted = wasserstein_module._merged_plug_in(one + 1e-6, other)
    assert shifted != pytest.approx(expected, rel=1e-12)


def test_many_draws_in_any_order_give_one_distance():
    rng = np.random.default_rng(1)
    values, other = rng.normal(0.1, 1, MANY_DRAWS), Draws.of(rng.normal(0, 1, MANY_DRAWS))
    looked = [Wasserstein().look(Draws.of(each), other, 0) for each in (values, np.sort(values))]
    expected = stats.wasserstein_distance(values, other.values)
    assert [each.value for each in looked] == pytest.approx([expected] * 2, rel=1e-9)
    in_order = Draws.of(np.append(values, np.nan)).in_order()
    assert in_order.values[:-1].tolist() == np.sort(values).tolist()
    assert np.isnan(in_order.values[-1])
