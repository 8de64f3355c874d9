"""Rank correlation of two columns: against SciPy, its coverage, units, weights and its edges."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from sweep_engine.densities import Draws
from sweep_engine.densities.columns.correlate import Correlate
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison
from tests.statistics import StatisticalFailure, assert_coverage

RNG = np.random.default_rng(0)
REPEATS = 600


def normal(rho, num, rng=RNG):
    z = rng.normal(size=(num, 2))
    return np.stack([z[:, 0], rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]], axis=1)


def grades(rho):
    """Spearman's ρ of a normal law of correlation rho."""
    return 6 / np.pi * np.arcsin(rho / 2)


def alone(draws, confidence=0.95):
    (found,) = Correlate().look(draws, draws, 0).at(confidence)
    return found


def rounded(values):
    """A column with ties, as an error rate has them."""
    return np.stack([values[:, 0], np.clip(np.round(values[:, 1]), -1, 1)], axis=1)


@pytest.mark.parametrize("values", [normal(0.4, 50), rounded(normal(-0.7, 50))], ids=["", "ties"])
def test_the_value_is_spearmans(values):
    found = alone(Draws.of(values))
    assert found.value == pytest.approx(stats.spearmanr(values).statistic, abs=1e-12)
    assert found.low < found.value < found.high
    assert found.num_reference == 0


def test_a_weight_is_a_number_of_draws():
    values, times = rounded(normal(0.5, 40)), np.arange(40) % 3 + 1
    weighted = alone(Draws.of(values, np.log(times)))
    repeated = stats.spearmanr(np.repeat(values, times, axis=0)).statistic
    assert weighted.value == pytest.approx(repeated, abs=1e-12)


def test_the_standard_error_is_the_jackknifes():
    """To first order in the number of units."""
    values, num = normal(0.6, 400), 400
    left_out = [stats.spearmanr(np.delete(values, i, axis=0)).statistic for i in range(num)]
    jackknife = np.sqrt((num - 1) ** 2 / num * np.var(left_out))
    found = alone(Draws.of(values))
    reach = np.arctanh(found.high) - np.arctanh(found.value)
    stderr = reach / stats.t.ppf(0.975, num - 1) * (1 - found.value**2)
    assert stderr == pytest.approx(jackknife, rel=0.01)


@pytest.mark.parametrize("num", [10, 40])
@pytest.mark.parametrize("rho", [0.0, 0.7, 0.95])
def test_the_interval_covers(rho, num):
    found = [alone(Draws.of(normal(rho, num))) for _ in range(REPEATS)]
    assert_coverage([each.low <= grades(rho) <= each.high for each in found])


def test_where_normal_theory_would_not_cover():
    """y = x or -x: uncorrelated, but their ranks vary more than those of independent columns."""
    covered, by_theory = [], []
    for _ in range(REPEATS):
        x, sign = RNG.normal(size=60), RNG.choice([-1, 1], 60)
        found = alone(Draws.of(np.stack([x, x * sign], axis=1)))
        covered.append(found.low <= 0 <= found.high)
        reach = 1.96 * np.sqrt((1 + found.value**2 / 2) / 57)
        by_theory.append(abs(np.arctanh(found.value)) <= reach)
    assert_coverage(covered)
    with pytest.raises(StatisticalFailure):
        assert_coverage(by_theory)


def clones(num_units, size):
    """Draws around the centres of their units: each column's variance is 1."""
    centres = np.repeat(normal(0.6, num_units), size, axis=0)
    noise = RNG.normal(size=centres.shape)
    return np.sqrt(0.7) * centres + np.sqrt(0.3) * noise, np.repeat(np.arange(num_units), size)


def test_dependent_draws_count_as_their_units():
    truth, covered, as_if_alone = grades(0.7 * 0.6), [], []
    for _ in range(REPEATS):
        values, units = clones(12, 20)
        found = alone(Draws.of(values, units=units))
        naive = alone(Draws.of(values))
        assert found.value == naive.value
        covered.append(found.low <= truth <= found.high)
        as_if_alone.append(naive.low <= truth <= naive.high)
    assert_coverage(covered)
    with pytest.raises(StatisticalFailure):
        assert_coverage(as_if_alone)


def test_the_difference_of_two_sources_covers():
    covered = []
    for _ in range(REPEATS):
        sides = Draws.of(normal(0.8, 40)), Draws.of(normal(0.3, 25))
        _, found = Correlate().look(*sides, 0).at(0.95)
        covered.append(found.low <= grades(0.8) - grades(0.3) <= found.high)
    assert_coverage(covered)
    assert np.mean(covered) < 1


def test_increasing_maps_change_nothing():
    values = normal(0.5, 30)
    mapped = np.stack([np.exp(values[:, 0]), values[:, 1] ** 3], axis=1)
    assert alone(Draws.of(mapped)) == alone(Draws.of(values))
    turned = alone(Draws.of(values * [1, -1]))
    assert turned.value == pytest.approx(-alone(Draws.of(values)).value)


def test_a_perfect_order_has_an_error_still():
    x = np.arange(12.0)
    found = alone(Draws.of(np.stack([x, -x], axis=1)))
    assert found.value == pytest.approx(-1)
    assert -1 <= found.low <= found.value < found.high < -0.9


def test_one_value_has_no_order():
    values = np.stack([np.arange(12.0), np.ones(12)], axis=1)
    found = alone(Draws.of(values))
    assert np.isnan(found.value)
    assert (found.low, found.high) == (-1, 1)
    assert "a column has one value only" in found.warnings


def test_rows_without_a_number_are_counted():
    values = normal(0.5, 100)
    values[3, 1] = np.nan
    found = alone(Draws.of(values))
    assert found.value == pytest.approx(stats.spearmanr(np.delete(values, 3, 0)).statistic)
    assert "1 of 100 source draws are not finite" in found.warnings[0]
    values[:9, 0] = np.nan
    with pytest.raises(IncomparableSources, match="9 of 100"):
        alone(Draws.of(values))


def test_too_few_units():
    values, units = clones(6, 50)
    with pytest.raises(InsufficientSamples, match="at least 8"):
        alone(Draws.of(values, units=units))


def test_the_short_form_of_a_sweep_file():
    short = Comparison.model_validate({"source": "sgd", "correlate": ["a", "b"], "given": "fit"})
    assert short.model_dump(exclude_defaults=True) == {
        "source": "sgd",
        "reference": "sgd",
        "observable": "a, b",
        "given": "fit",
        "estimator": "correlate",
    }
    assert Comparison.model_validate(short.model_dump(mode="json")) == short


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"correlate": ["a"]}, "name two columns"),
        ({"correlate": "a, b"}, "name two columns"),
        ({"correlate": ["a", "b"], "observable": "c"}, "leave observable out"),
        ({"correlate": ["a", "b"], "estimator": "ks"}, "leave estimator out"),
    ],
)
def test_short_forms_that_say_too_little_or_too_much(fields, message):
    with pytest.raises(ValidationError, match=message):
        Comparison.model_validate({"source": "sgd"} | fields)
