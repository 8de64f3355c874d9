"""Divergences and density ratios of a scalar, on bins."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweep_engine.densities.cells.binning import (
    affordable_bins,
    cell_of,
    count_cells,
    equal_mass_cuts,
)
from sweep_engine.densities.cells.divergences import NAMES
from sweep_engine.densities.columns import binned
from sweep_engine.densities.columns.density_ratio import density_ratio
from sweep_engine.densities.draws import Draws
from sweep_engine.errors import InsufficientSamples
from tests.densities.read import binned_divergences
from tests.statistics import (
    assert_catches,
    assert_coverage,
    assert_frequencies,
    assert_mean_within,
)

lines = st.lists(st.floats(width=32) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=40).map(
    lambda x: Draws.of(np.array(x))
)


@pytest.fixture
def few_splits(monkeypatch):
    """Two null values are made instead of ten, of which no interval knows: a third of the work."""
    null = partial(binned.same_source_null, num_splits=1)
    monkeypatch.setattr(binned, "same_source_null", null)


def _normal(rng, mean, size):
    return Draws.of(rng.normal(mean, 1, size))


@given(source=lines, reference=lines, num_bins=st.integers(2, 9))
@settings(deadline=None)
def test_every_draw_has_one_cell(source, reference, num_bins):
    cuts = equal_mass_cuts(source, reference, num_bins)
    counts = count_cells(source, reference, cuts)
    assert np.all(np.diff(cuts) > 0)
    assert (counts.num_source, counts.num_reference) == (len(source), len(reference))
    assert counts.source[-1] == source.num_not_finite


def test_cells_hold_equal_mass_whatever_the_sizes():
    rng = np.random.default_rng(30)
    source, reference = _normal(rng, 0, 4000), _normal(rng, 2, 200_000)
    cuts = equal_mass_cuts(source, reference, 10)
    counts = count_cells(source, reference, cuts)
    mixture = (counts.source / 4000 + counts.reference / 200_000) / 2
    assert mixture[:-1] == pytest.approx(np.full(10, 0.1), abs=1 / 4000)


def test_an_atom_has_a_cell_of_its_own():
    rng = np.random.default_rng(31)
    spiked = Draws.of(np.where(rng.random(1000) < 0.4, 0.0, rng.normal(size=1000)))
    cuts = equal_mass_cuts(spiked, spiked, 10)
    cells = cell_of(spiked.values, cuts)
    at_zero = cells[spiked.values == 0][0]
    assert np.all(spiked.values[cells == at_zero] == 0)


def _cell_probabilities(law, cuts):
    return np.diff(np.concatenate([[0.0], law.cdf(cuts), [1.0]]))


@pytest.mark.usefixtures("few_splits")
@pytest.mark.parametrize(("shift", "binning_loss"), [(1.0, 0.01), (2.0, 0.25)])
def test_kl_of_a_mean_shift_is_found_up_to_the_binning_loss(shift, binning_loss):
    """KL = shift²/2: 0.5 and 2.

    Of the 2, bins lose up to 0.25: where the ratio is largest the reference has no draws
    and its bins are pooled, so with 2,000 of them the ratio ends near ln(2000/20).
    """
    rng, truth = np.random.default_rng(32), shift**2 / 2
    covered = []
    for seed in range(100):
        source, reference = _normal(rng, shift, 4000), _normal(rng, 0, 4000)
        kl = binned_divergences(source, reference, seed=seed)[2]
        covered.append(kl.low <= truth and truth - binning_loss <= kl.high)
    assert_coverage(covered)
    assert kl.low > truth / 2


@pytest.mark.usefixtures("few_splits")
def test_one_law_twice_shows_no_difference():
    rng = np.random.default_rng(33)
    looks = [
        binned_divergences(_normal(rng, 0, 500), _normal(rng, 0, 900), seed=seed)
        for seed in range(200)
    ]
    for which in range(len(NAMES)):
        assert_coverage([look[which].low == 0.0 for look in looks], 0.975)


def test_js_and_tv_of_far_laws_end_at_their_bounds():
    rng = np.random.default_rng(34)
    tv, js, kl = binned_divergences(_normal(rng, 0, 2000), _normal(rng, 50, 2000), seed=0)
    assert tv.high == 1.0
    # One cell may hold the end of one sample and the start of the other.
    assert 0.95 * math.log(2) < js.low <= js.high <= math.log(2)
    assert kl.high == math.inf
    assert math.log(2000) > kl.low > 3.0
    assert any("ln N = 7.6" in warning for warning in kl.warnings)


@pytest.mark.parametrize(("other", "expected"), [(1.0, 0.0), (1.0 + 2**-50, 1.0)])
def test_two_constants(other, expected):
    source, reference = Draws.of(np.full(500, 1.0)), Draws.of(np.full(500, other))
    tv, _, _ = binned_divergences(source, reference, seed=0)
    assert tv.value == expected
    assert tv.low <= expected <= tv.high


def test_what_is_not_finite_counts():
    """The finite draws agree; a fifth of the source diverged."""
    rng = np.random.default_rng(35)
    values = rng.normal(size=4000)
    values[:800] = np.nan
    values[800:810] = np.inf
    tv, _, kl = binned_divergences(Draws.of(values), _normal(rng, 0, 4000), seed=0)
    assert tv.low < 0.2025 < tv.high
    assert tv.low > 0.15
    assert kl.low > 0.3
    assert "810 of 4000 source draws are not finite" in tv.warnings[0]
    nothing = binned_divergences(
        Draws.of(np.full(500, np.nan)), Draws.of(np.full(500, np.inf)), seed=0
    )
    assert nothing[0].value == 0.0


def _weighted(rng, size):
    """Draws of N(0,1) weighted into N(1,1)."""
    values = rng.normal(size=size)
    return Draws.of(values, values - 0.5)


@pytest.mark.usefixtures("few_splits")
def test_weighted_draws_are_draws_of_the_weighted_law():
    """Weights w = exp(x - 1/2) have E w² = e, so n_eff is n/e."""
    rng = np.random.default_rng(36)
    sizes, covered, masses = [], [], []
    edges = stats.norm(1).ppf([0.25, 0.5, 0.75])
    for seed in range(200):
        source = _weighted(rng, 3000)
        sizes.append(source.n_eff / 3000)
        masses.append(count_cells(source, source, edges).source[:4] / source.n_eff)
        tv, _, _ = binned_divergences(source, _normal(rng, 1, 3000), seed=seed)
        covered.append(tv.low == 0.0)
    assert np.mean(sizes) == pytest.approx(math.exp(-1), rel=0.05)
    assert_coverage(covered, 0.975)

    def check(shares):
        # Self-normalised weights are biased by O(1/n): 3e-4 here, allowed for.
        assert_mean_within(shares, 0.25, stderr=np.std(shares, axis=0) / 200**0.5 + 1e-4)

    check(masses)
    assert_catches(check, lambda: np.add(masses, [0.02, 0, 0, -0.02]))


def test_resampling_by_weight_agrees_with_weighting():
    rng = np.random.default_rng(37)
    source = _weighted(rng, 200_000)
    resampled = rng.choice(source.values, 5000, p=source.weights / source.weights.sum())
    cuts = stats.norm(1).ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    weighted = count_cells(source, source, cuts).source[:-1]
    counts = count_cells(Draws.of(resampled), Draws.of(resampled), cuts).source[:-1]
    assert_frequencies(counts, weighted / weighted.sum())


def test_the_density_ratio_holds_in_all_bins_at_once():
    rng, covered = np.random.default_rng(38), []
    for seed in range(400):
        ratio = density_ratio(_normal(rng, 0.5, 2000), _normal(rng, 0, 1000), seed=seed)
        edges = np.append(ratio.lower[:-1], np.inf)
        p, q = (np.diff(stats.norm(mean).cdf(edges)) for mean in (0.5, 0))
        truth = np.log(p / q)
        covered.append(np.all((ratio.low[:-1] <= truth) & (truth <= ratio.high[:-1])))
    assert_coverage(covered)


def test_the_density_ratio_of_a_shift_is_a_line():
    rng = np.random.default_rng(39)
    ratio = density_ratio(_normal(rng, 1, 50_000), _normal(rng, 0, 50_000), seed=0, num_bins=16)
    middle = (ratio.lower[1:-2] + ratio.upper[1:-2]) / 2
    slope = np.polyfit(middle, ratio.log_ratio[1:-2], 1)[0]
    assert slope == pytest.approx(1.0, abs=0.05)


def test_fewer_draws_fewer_bins():
    few, many = Draws.of(np.arange(200.0)), Draws.of(np.arange(9000.0))
    assert affordable_bins(few, many, 32) == 10
    assert affordable_bins(many, many, 32) == 32


@pytest.mark.parametrize("estimator", [binned_divergences, density_ratio])
def test_too_few_draws_says_how_many(estimator):
    heavy = Draws.of(np.zeros(5000), np.linspace(0, 700, 5000))
    with pytest.raises(InsufficientSamples, match="at least 100 effective draws"):
        estimator(heavy, Draws.of(np.zeros(5000)), seed=0)


def test_bad_weights_are_refused():
    for log_weights in (np.array([0.0]), np.array([0.0, np.nan]), np.full(2, -np.inf)):
        with pytest.raises(ValueError, match="log-weight"):
            Draws.of(np.zeros(2), log_weights)


def test_a_bin_count_of_one_is_refused():
    draws = Draws.of(np.zeros(500))
    with pytest.raises(ValueError, match="2 bins"):
        binned.binned_divergences(draws, draws, seed=0, num_bins=1)
