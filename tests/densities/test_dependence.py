"""Weighted and dependent draws are worth fewer independent ones, and say so."""

import numpy as np
import pytest

from sweep_engine.densities.dependence import (
    design_effect,
    design_effect_of_cells,
    effective_counts,
)
from sweep_engine.densities.draws import Draws
from sweep_engine.errors import InsufficientSamples
from tests.densities.read import binned_total_variation_2d, ks_distance
from tests.statistics import StatisticalFailure, assert_coverage, assert_mean_within

UNITS, SIZE = 200, 10


def _units(num_units=UNITS, size=SIZE):
    return np.repeat(np.arange(num_units), size)


def _correlated(rng, correlation, num_units=UNITS, size=SIZE):
    """Normal draws; two of one unit have the given correlation."""
    shared = rng.normal(size=num_units)[_units(num_units, size)]
    own = rng.normal(size=num_units * size)
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.9])
def test_design_effect_of_correlated_normals(correlation):
    """1 + (m-1) rho, rho Spearman's: (6/pi) asin(correlation/2) for normals."""
    rho = 6 / np.pi * np.arcsin(correlation / 2)
    truth = 1 + (SIZE - 1) * rho
    found = [
        design_effect(_correlated(np.random.default_rng([1, seed]), correlation)[:, None], _units())
        for seed in range(200)
    ]
    # Never below 1, so at rho = 0 the mean is above 1 by about the half normal's share.
    spread = np.std(found)
    assert abs(np.mean(found) - truth) < (0.05 if rho else spread)


def test_design_effect_of_cells_of_clones():
    """Every unit's draws are copies of one draw with probability 1/2, else independent."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng([2, seed])
        cloned = rng.random(UNITS * SIZE) < 0.5
        cells = np.where(
            cloned, rng.integers(50, size=UNITS)[_units()], rng.integers(50, size=UNITS * SIZE)
        )
        found.append(design_effect_of_cells(cells, _units()))
    assert_mean_within(np.array(found)[:, None], 1 + (SIZE - 1) * 0.25)


def test_the_variance_of_a_mean_is_that_of_n_eff_draws():
    means, worth = [], []
    for seed in range(400):
        values = _correlated(np.random.default_rng([3, seed]), 0.5)
        means.append(values.mean())
        worth.append(Draws.of(values, units=_units()).n_eff)
    assert np.var(means) * np.mean(worth) == pytest.approx(1.0, abs=6 * np.sqrt(2 / 400))


def test_weights_and_units_both_count():
    rng = np.random.default_rng(4)
    values, log_weights = _correlated(rng, 0.5), rng.normal(size=UNITS * SIZE)
    plain = Draws.of(values, log_weights)
    both = Draws.of(values, log_weights, _units())
    assert both.n_eff == pytest.approx(plain.n_eff / both.design_effect)
    assert both.effective_weights.sum() == pytest.approx(both.n_eff)
    assert both.finite.design_effect == both.design_effect > 2


def test_halves_are_whole_units():
    draws = Draws.of(np.arange(60.0), units=_units(6))
    one, other = draws.halve(np.random.default_rng(5))
    assert len(one) == len(other) == 30
    assert not set(one.units) & set(other.units)


def test_clones_are_not_called_different_but_are_without_their_units():
    """Two samples of one law, each draw cloned 50 times: only the units tell."""

    def p_values(with_units):
        found = []
        for seed in range(200):
            rng = np.random.default_rng([6, seed])
            units = _units(100, 50)
            sides = [
                Draws.of(np.repeat(rng.normal(size=100), 50), units=units if with_units else None)
                for _ in range(2)
            ]
            found.append(ks_distance(*sides).p_value)
        return np.array(found)

    assert_coverage(p_values(True) > 0.05)
    with pytest.raises(StatisticalFailure):
        assert_coverage(p_values(False) > 0.05)


def test_pairs_honour_weights():
    """Importance weights that turn one law into the other leave no difference."""
    rng = np.random.default_rng(7)
    source, reference = rng.normal(0.5, 1, (4000, 2)), rng.normal(size=(4000, 2))
    log_weights = -0.5 * source.sum(axis=1) + 0.25
    kept = binned_total_variation_2d(Draws.of(source), Draws.of(reference), seed=0)
    undone = binned_total_variation_2d(Draws.of(source, log_weights), Draws.of(reference), seed=0)
    assert kept.low > 0.1
    assert undone.low == 0.0
    assert undone.n_eff_source < 4000


def test_plain_draws_give_plain_counts():
    rng = np.random.default_rng(8)
    ids = rng.integers(30, size=1000)
    cells, counts = effective_counts(ids, np.ones(1000), None, rng)
    assert cells.tolist() == np.unique(ids).tolist()
    assert counts.tolist() == np.bincount(ids).tolist()


def test_effective_counts_are_right_on_average():
    ids = np.array(["a", "b", "b", "c"])
    weights = np.array([1.0, 2.0, 3.0, 0.5])
    rows = np.zeros((2000, 3))
    for seed in range(len(rows)):
        names, counts = effective_counts(ids, weights, None, np.random.default_rng(seed))
        found = dict(zip(names, counts, strict=True))
        rows[seed] = [found.get(name, 0) for name in "abc"]
    worth = 6.5**2 / (1 + 4 + 9 + 0.25)
    assert_mean_within(rows, np.array([1.0, 5.0, 0.5]) / 6.5 * worth)


@pytest.mark.parametrize("estimate", [design_effect, design_effect_of_cells])
def test_one_unit_says_nothing(estimate):
    values = np.zeros((5, 1)) if estimate is design_effect else np.zeros(5, int)
    with pytest.raises(InsufficientSamples, match="at least 2 units"):
        estimate(values, np.zeros(5, int))
