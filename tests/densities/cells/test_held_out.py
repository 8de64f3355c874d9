"""KL from below: valid at its level, and near the truth from a few hundred draws on."""

import math

import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.held_out import NUM_FOLDS, held_out, smoothed_log_ratio
from sweep_engine.densities.columns.column_ratio import column_log_ratio
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.probabilities.bounded_mean import lower_mean, upper_mean
from sweep_engine.densities.probabilities.proportions import clopper_pearson
from tests.densities.laws import draw, uniform, zipf
from tests.densities.read import binned_divergences
from tests.statistics import assert_catches, assert_coverage

# --- ends of means ------------------------------------------------------------------------


@pytest.mark.parametrize("hits", [0, 1, 7, 100, 199, 200])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9999])
def test_of_zeros_and_ones_the_ends_are_clopper_and_pearsons(hits, confidence):
    values, counts = np.array([0.0, 1.0]), np.array([200.0 - hits, hits])
    low, high = clopper_pearson(hits, 200, confidence)
    assert upper_mean(values, counts, 1.0, confidence) == pytest.approx(float(high), rel=0.02)
    assert 1 - lower_mean(values, counts, 0.0, confidence) == pytest.approx(1 - low, rel=0.02)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_ends_scale_with_the_values(scale):
    """A root that was once looked for to an absolute tolerance was off by 0.4 % at 1e9."""
    values, counts = np.array([0.0, 1.0, 50.0]), np.array([139.0, 60.0, 1.0])
    alone = [upper_mean(values, counts, 50.0, 0.95), lower_mean(values, counts, -1.0, 0.95)]
    scaled = [
        upper_mean(scale * values, counts, 50.0 * scale, 0.95),
        lower_mean(scale * values, counts, -scale, 0.95),
    ]
    assert scaled == pytest.approx([scale * end for end in alone], rel=1e-9)


def test_a_value_above_the_top_is_no_value():
    with pytest.raises(ValueError, match="above the largest"):
        upper_mean(np.array([0.0, 1.0]), np.array([9.0, 1.0]), np.nextafter(1.0, 0.0), 0.95)


def test_the_largest_ratio_is_the_largest_however_exp_rounds():
    """Of an array, `exp` may be above that of the same number alone: here where it most is."""
    x = np.random.default_rng(0).normal(0.0, 0.1, 20_000)
    alone = np.array([math.exp(each) for each in x])
    counts = CellCounts(np.array([40.0, 60.0]), np.array([60.0, 40.0]))
    for top in x[np.argsort(np.exp(x) / alone)[-20:]]:
        found = held_out([(np.array([top - 0.2, top]), counts)]).bound(0.95)
        assert 0 <= found.low <= found.value


def test_the_upper_end_of_a_skew_mean_covers_where_the_normal_one_does_not():
    """A value of 50 with probability 0.005, which 200 draws often do not show."""
    values, law = np.array([0.0, 1.0, 50.0]), np.array([0.695, 0.3, 0.005])
    rng, truth = np.random.default_rng(50), float(values @ law)
    counts = rng.multinomial(200, law, 2000)
    gaffke = [upper_mean(values, each.astype(float), 50.0, 0.95) >= truth for each in counts]
    assert_coverage(gaffke, 0.975)

    def normal():
        means = counts @ values / 200
        stderr = np.sqrt((counts @ values**2 / 200 - means**2) / 200)
        return means + 1.96 * stderr >= truth

    assert_catches(lambda hits: assert_coverage(hits, 0.975), normal)


# --- one column ---------------------------------------------------------------------------


def _sides(rng, law, num):
    source, reference = law
    return (Draws.of(source.rvs(num, random_state=rng)),
            Draws.of(reference.rvs(num, random_state=rng)))  # fmt: skip


def shift_of(kl):
    return stats.norm(math.sqrt(2 * kl)), stats.norm()


def _lows(law, num, repeats, seed):
    rngs = [np.random.default_rng([seed, i]) for i in range(repeats)]
    return [column_log_ratio(*_sides(rng, law, num), rng).bound(0.95).low for rng in rngs]


@pytest.mark.parametrize("kl", [0.5, 1.0, 2.0, 4.0])
def test_six_tenths_of_a_shift_at_400_a_side(kl):
    """The median of 100 is known to 0.02 of the KL; at 0.5 and 4 it is 0.61."""
    assert np.median(_lows(shift_of(kl), 400, 100, 51)) > 0.57 * kl


@pytest.mark.parametrize("far", [50.0, -1e30])
@pytest.mark.parametrize("num", [100, 150, 200, 300, 1000])
def test_laws_side_by_side_are_never_no_difference(num, far):
    rng = np.random.default_rng([52, num])
    source = Draws.of(rng.normal(far, 1, num))
    tv, _, kl = binned_divergences(source, Draws.of(rng.normal(0, 1, num)), seed=num)
    assert 0.5 * math.log(num) < kl.low <= kl.value <= math.log(num)
    assert kl.low >= 2 * tv.low**2
    assert not any("no difference" in warning for warning in kl.warnings)


LAWS = {
    "equal": (shift_of(0.0), 0.0),
    "near": (shift_of(0.01), 0.01),
    "shift": (shift_of(1.0), 1.0),
    "scale": ((stats.norm(0, 0.3), stats.norm()), math.log(1 / 0.3) + 0.09 / 2 - 0.5),
    "heavy tails": ((stats.cauchy(2), stats.cauchy()), math.log(2)),  # ln(1 + 2²/4)
    "two values": ((stats.bernoulli(0.5), stats.bernoulli(0.01)), 1.614463),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("num", [200, 1000])
def test_the_low_end_is_below_the_truth(name, num):
    law, truth = LAWS[name]
    lows = _lows(law, num, 200, 53)
    assert_coverage(np.array(lows) <= truth, 0.975)
    if truth >= 1:
        assert_catches(lambda x: assert_coverage(x, 0.975), lambda: np.array(lows) <= 0.5 * truth)


def test_ratios_of_the_measured_draws_are_caught():
    """Two samples of one law: the ratios of their own counts are no bound."""
    rng, lows = np.random.default_rng(54), []
    for _ in range(200):
        counts = CellCounts(*(np.bincount(x, minlength=64) for x in rng.integers(0, 64, (2, 200))))
        lows.append(held_out([(smoothed_log_ratio(counts), counts)]).bound(0.95).low)
    assert_catches(lambda hits: assert_coverage(hits, 0.975), lambda: np.array(lows) <= 0.0)


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0])
def test_never_below_pinskers(shift):
    for seed in range(10):
        rng = np.random.default_rng([55, seed])
        sides = Draws.of(rng.normal(shift, 1, 150)), Draws.of(rng.normal(0, 1, 400))
        tv, _, kl = binned_divergences(*sides, seed=seed)
        assert kl.low >= 2 * tv.low**2
        assert kl.high == math.inf


def test_units_are_held_out_whole():
    """Twelve units of one value each: a unit in both parts would tell which side it is of."""
    rng, lows = np.random.default_rng(56), []
    for _ in range(100):
        units = np.repeat(np.arange(12), 40)
        sides = [Draws.of(rng.normal(size=12)[units], units=units) for _ in range(2)]
        lows.append(column_log_ratio(*sides, rng).bound(0.95).low)
    assert_coverage(np.array(lows) == 0.0, 0.975)


def test_folds_hold_every_draw_once():
    rng = np.random.default_rng(57)
    sides = Draws.of(rng.normal(size=203)), Draws.of(rng.normal(size=101))
    counts = column_log_ratio(*sides, rng).counts
    assert (counts.num_source, counts.num_reference) == (203, 101)
    assert np.bincount(sides[0].folds(NUM_FOLDS, rng)).tolist() == [41, 41, 41, 40, 40]


# --- given cells --------------------------------------------------------------------------


@pytest.mark.parametrize("p", [uniform(8), zipf(8, 3.0)])
def test_of_the_right_ratio_the_bound_is_the_divergence(p):
    q, rng, hits = zipf(8), np.random.default_rng(58), []
    ratio, truth = np.log(p / q), float((p * np.log(p / q)).sum())
    for _ in range(500):
        bound = held_out([(ratio, draw(rng, p, q, 2000, 2000))]).bound(0.95)
        hits.append(bound.low <= truth)
        assert bound.value == pytest.approx(truth, abs=0.3)
    assert_coverage(hits, 0.975)
    assert not all(hits), "no slack in the level"
