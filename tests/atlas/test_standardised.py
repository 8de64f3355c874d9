"""Shifts and superiority: against the bootstrap, and dependent draws."""

import numpy as np
import pytest
from scipy import stats

from sweep_engine.atlas.standardised import (
    UNKNOWN,
    Response,
    equally_known,
    mean_of,
    shift,
    standardised,
    superiority,
)
from sweep_engine.densities import Draws

RNG = np.random.default_rng(4)


def bootstrap(source, reference, statistic, num=1000):
    rng = np.random.default_rng(5)
    found = [
        statistic(rng.choice(source, len(source)), rng.choice(reference, len(reference)))
        for _ in range(num)
    ]
    return np.std(found)


def cohen(source, reference):
    return (source.mean() - reference.mean()) / reference.std()


def common_language(source, reference):
    above = reference[None] > source[:, None]
    return (above + 0.5 * (reference[None] == source[:, None])).mean()


@pytest.mark.parametrize(
    "reference",
    [RNG.normal(size=400), RNG.exponential(size=400), RNG.integers(0, 4, 400).astype(float)],
    ids=["normal", "skew", "ties"],
)
def test_errors_are_those_of_the_bootstrap(reference):
    source = np.random.default_rng(6).normal(1.5, 0.5, 300).round(1)
    for mine, plain in ((shift, cohen), (superiority, common_language)):
        found = mine(Draws.of(source), Draws.of(reference))
        assert found.value == pytest.approx(plain(source, reference), abs=1e-12)
        # 1,000 resamples: 2.2 % of the deviation is one standard error of it.
        assert found.stderr == pytest.approx(bootstrap(source, reference, plain), rel=0.08)


def test_an_error_that_takes_the_deviation_for_known_is_caught():
    source, reference = RNG.normal(2, 0.1, 300), RNG.normal(0, 1, 100)
    found = shift(Draws.of(source), Draws.of(reference))
    naive = np.hypot(source.std() / np.sqrt(300), 1 / np.sqrt(100)) / reference.std()
    assert naive < 0.75 * bootstrap(source, reference, cohen)
    assert found.stderr == pytest.approx(bootstrap(source, reference, cohen), rel=0.08)


def test_weights_count():
    values, weights = np.array([0.0, 1.0, 4.0]), np.array([2, 1, 1])
    source = Draws.of(np.array([1.0, 2.0, 3.0, 4.0]))
    repeated = Draws.of(np.repeat(values, weights))
    weighted = Draws.of(values, np.log(weights))
    for statistic in (shift, superiority):
        found = statistic(source, weighted), statistic(source, repeated)
        assert found[0].value == pytest.approx(found[1].value)
        assert found[0].shared > found[1].shared  # three draws are worth less than four
    assert mean_of(weighted).value == 1.25


def test_clones_are_worth_one_draw():
    units = np.repeat(np.arange(100), 10)
    clones = Draws.of(RNG.normal(size=100)[units], None, units)
    alone = Draws.of(RNG.normal(size=1000))
    source = Draws.of(RNG.normal(0.3, 1, 5000))
    assert shift(source, clones).shared > 2.5 * shift(source, alone).shared


def test_superiority_is_that_of_the_rank_test():
    source, reference = RNG.normal(size=80), RNG.normal(0.5, 1, 70)
    u = stats.mannwhitneyu(reference, source).statistic / (80 * 70)
    found = superiority(Draws.of(source), Draws.of(reference))
    assert found.value == pytest.approx(u)
    apart = superiority(Draws.of(source), Draws.of(reference + 100))
    assert apart.value == 1
    assert apart.stderr >= 0.5 / 80


def test_a_constant_has_no_unit():
    value, errors = standardised(
        {"a": 1.0}, {"a": Draws.of(RNG.normal(size=9)), "b": Draws.of(np.full(9, 7.0))}, "b"
    )
    assert np.isnan(value)
    assert all(map(np.isnan, errors.values()))
    assert not shift(Draws.of(RNG.normal(size=9)), Draws.of(np.full(9, 7.0))).is_known


def test_bounds_that_are_0_have_no_more_weight_than_others():
    """Of 100 rows a tenth is shown to differ, by 1 nat: the mean is 0.1 of them, not 0."""
    bounds = equally_known([Response(0.0, 0.004)] * 90 + [Response(1.0, 0.2)] * 10)
    values, errors = (np.array([getattr(one, name) for one in bounds]) for name in ("value", "own"))
    weights = 1 / errors**2
    assert np.average(values, weights=weights) == pytest.approx(0.1)
    assert errors[0] == pytest.approx(np.sqrt(0.9 * 0.004**2 + 0.1 * 0.2**2))
    assert np.average(values, weights=[0.004**-2] * 90 + [0.2**-2] * 10) < 0.0001  # as they were


def test_a_bound_that_is_not_known_stays_so():
    found = equally_known([UNKNOWN, Response(1.0, 0.1)])
    assert not found[0].is_known
    assert found[1] == Response(1.0, 0.1)
    assert not any(one.is_known for one in equally_known([UNKNOWN]))
