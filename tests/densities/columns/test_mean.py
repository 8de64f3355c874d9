"""The bootstrap over runs or units, matching, and many tests at once."""

import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities import Draws
from sweep_engine.densities.columns.mean import MAX_UNITS, mean
from sweep_engine.densities.columns.quantiles import quantiles
from sweep_engine.densities.draws import DATA_SEEDS
from sweep_engine.densities.multiplicity import each_of, holm
from sweep_engine.densities.stored.matching import match
from sweep_engine.errors import InsufficientSamples
from tests.densities.read import mean_difference
from tests.statistics import assert_catches, assert_coverage, assert_mean_within


def units_of(rng, num_units, size, between=1.0):
    units = np.repeat(np.arange(num_units), size)
    values = between * rng.normal(size=num_units)[units] + rng.normal(size=len(units))
    return values, units


def differences(with_units, repeats=200):
    found = []
    for i in range(repeats):
        rng = np.random.default_rng([1, i])
        values, units = units_of(rng, 8, 25)
        source = Draws.of(values, None, units if with_units else None)
        found.append(mean_difference(source, Draws.of(rng.normal(size=100)), seed=i))
    return [one.low <= 0 <= one.high for one in found]


def test_few_units_are_covered_and_ignoring_them_is_caught():
    assert_coverage(differences(with_units=True))
    assert_catches(assert_coverage, lambda: differences(with_units=False, repeats=60))


def on_data_sets(rng, num_seeds=10, size=60):
    """Two sources on the same data sets; means over both are 0.5 apart.

    A data set moves both by one normal, and each by one of its own; then come the runs.
    """
    seeds = np.repeat(np.arange(num_seeds), size)
    common = rng.normal(size=num_seeds)
    for shift in (0.5, 0.0):
        own = common + 0.5 * rng.normal(size=num_seeds)
        yield shift + own[seeds] + rng.normal(size=len(seeds)), seeds


def over_data_sets(*, units=True, name=DATA_SEEDS, repeats=40):
    found = []
    for i in range(repeats):
        sides = on_data_sets(np.random.default_rng([4, i]))
        draws = [Draws.of(v, None, s if units else None, name) for v, s in sides]
        found.append(mean_difference(*draws, seed=i))
    return found


def covers(found):
    return [one.low <= 0.5 <= one.high for one in found]


def test_data_seeds_are_resampled_for_both_sides_at_once():
    """The difference has variance (2 0.5² + 2/60) / 10, whatever the data sets do to both sides.

    Wrong: runs alone, as if there were 2 2.25 / 600. Each side's data sets by themselves cover,
    but √(2 (1.25 + 1/60) / (2 0.25 + 2/60)) = 2.18 times as wide: what is common does not cancel.
    """
    together = over_data_sets(repeats=200)
    assert_coverage(covers(together))
    values = [one.value for one in together]
    assert np.var(values) == pytest.approx(0.16 / 3, rel=6.1 * np.sqrt(2 / len(values)))
    assert "10 data seeds, of both sides at once" in together[0].method
    assert "count as" in together[0].warnings[0]
    assert_catches(assert_coverage, lambda: covers(over_data_sets(units=False)))
    apart = over_data_sets(name="units")
    widths = [np.mean([one.high - one.low for one in found]) for found in (together, apart)]
    assert widths[1] > 1.7 * widths[0]


def test_a_data_set_without_fits_on_one_side_counts_where_it_is():
    one = Draws.of(np.arange(6.0), None, np.array([0, 0, 1, 1, 2, 2]), DATA_SEEDS)
    other = Draws.of(np.arange(4.0), None, np.array([0, 0, 2, 2]), DATA_SEEDS)
    found = mean_difference(one, other, seed=0)
    assert found.value == 1.0
    assert "3 data seeds" in found.method


def test_the_variance_is_the_textbooks():
    """Independent runs: the bootstrap variance of a mean is s²/n, also in random groups."""
    for num in (500, 20 * MAX_UNITS):
        values = np.random.default_rng(0).exponential(size=num)
        found = mean(Draws.of(values), name="mean", seed=0).at(0.95)[0]
        wanted = 1.96 * values.std(ddof=1) / np.sqrt(num)
        # 1,000 resamples, and 2,000 groups, tell a standard deviation to 2.8 % at one sigma.
        assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=6.1 * 0.028)
        assert found.value == pytest.approx(values.mean())


def test_weights_are_honoured():
    values, log_weights = np.array([0.0, 0.0, 1.0, 1.0]), np.log([1.0, 1.0, 3.0, 3.0])
    assert mean(Draws.of(values, log_weights), name="mean", seed=0).at(0.95)[0].value == 0.75


def test_one_unit_is_refused():
    with pytest.raises(InsufficientSamples, match="at least 2"):
        mean(Draws.of(np.ones(1)), name="mean", seed=0)


# --- matching -----------------------------------------------------------------------------


def margins(rng, num, shift):
    """A margin, and an observable that follows it."""
    margin = rng.normal(shift, 1, num)
    return Draws.of(margin), Draws.of(margin + 0.1 * rng.normal(size=num))


def matched_gap(rng, num_bins=16, effect=0.0):
    one, mine = margins(rng, 2000, 0.0)
    other, theirs = margins(rng, 2000, 0.7)
    mine = Draws.of(mine.values + effect)
    first, second, _ = match(one, other, num_bins, "margin")
    sides = first.apply(mine), second.apply(theirs)
    return float(np.subtract(*(np.average(side.values, weights=side.weights) for side in sides)))


def test_matching_takes_away_what_the_margin_explains():
    """What is left in bins of a sixteenth is below 0.03; unmatched the gap is -0.7."""
    gaps = np.array([matched_gap(np.random.default_rng([2, i])) for i in range(40)])
    assert abs(gaps.mean()) < 0.03
    with_effect = [matched_gap(np.random.default_rng([2, i]), effect=0.5) for i in range(40)]
    assert_mean_within(np.array(with_effect) - gaps, 0.5, 1e-9)


def test_matching_gives_the_reference_the_sources_masses():
    rng = np.random.default_rng(0)
    one, other = margins(rng, 3000, 0.0)[0], margins(rng, 4000, 0.7)[0]
    first, second, (warning,) = match(one, other, 4, "margin")
    sides = first.apply(one), second.apply(other)
    cuts = np.quantile(one.values, [0.2, 0.5])
    shares = [
        [float(side.weights[side.values <= cut].sum() / side.weights.sum()) for cut in cuts]
        for side in sides
    ]
    assert np.allclose(*shares, atol=0.08), "equal at the bins' edges, near between them"
    assert "matched on margin: 4 of 4 bins" in warning
    assert second.apply(other).n_eff < len(other)


def test_bins_of_one_side_alone_are_left_out():
    one, other = Draws.of(np.linspace(0, 2, 100)), Draws.of(np.linspace(1, 3, 100))
    first, second, (warning,) = match(one, other, 4, "margin")
    assert first.kept.sum() < 100
    assert second.kept.sum() < 100
    assert "of the source" in warning
    with pytest.raises(InsufficientSamples, match="no bin of margin"):
        match(Draws.of(np.zeros(50)), Draws.of(np.ones(50)), 4, "margin")


# --- many tests ---------------------------------------------------------------------------


def test_holm_is_the_step_down_of_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.random(int(rng.integers(1, 9))) ** 3
        order = np.argsort(p)
        running, wanted = 0.0, np.empty(len(p))
        for k, i in enumerate(order):
            running = max(running, (len(p) - k) * p[i])
            wanted[i] = min(running, 1.0)
        assert np.allclose(holm(p), wanted)
    assert len(holm(np.empty(0))) == 0


def test_holm_keeps_the_chance_of_any_false_alarm():
    rng = np.random.default_rng(0)
    p = stats.norm.sf(rng.normal(size=(2000, 1)) * 0.6 + rng.normal(size=(2000, 10)) * 0.8)
    assert_coverage([holm(row).min() > 0.05 for row in p])
    assert_catches(assert_coverage, lambda: [row.min() > 0.05 for row in p])


def all_cover(confidence, num_settings=8, repeats=400):
    """Medians of settings whose truth is 0: do all intervals hold?"""
    rng = np.random.default_rng(3)
    for values in rng.normal(size=(repeats, num_settings, 99)):
        found = [quantiles(Draws.of(row), (0.5,), confidence=confidence)[0] for row in values]
        yield all(one.low <= 0 <= one.high for one in found)


def test_simultaneous_intervals_cover_all_settings_at_once():
    """Eight intervals at 95 % each cover all at once in 0.66 to 0.72 of the time, exactly."""
    assert_coverage(list(all_cover(each_of(8))))
    assert_catches(assert_coverage, lambda: list(all_cover(0.95)))
    assert each_of(1) == pytest.approx(0.95)
