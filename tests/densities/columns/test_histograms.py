"""What the plots of one and of two observables, and of functions, are made of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.columns.histograms import histogram, shared_edges
from sweep_engine.densities.columns.plane import histogram_2d
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.functions.plots import rank_plot, scatter
from sweep_engine.errors import InsufficientSamples
from tests.densities.laws import draw, zipf
from tests.densities.read import binned_total_variation_2d
from tests.statistics import assert_coverage

floats = st.floats(allow_nan=True, allow_infinity=True, width=32)
samples = st.lists(floats, min_size=1, max_size=30).map(lambda x: Draws.of(np.array(x)))


@given(source=samples, reference=samples)
@settings(deadline=None)
def test_a_density_integrates_to_the_finite_mass(source, reference):
    plot = histogram(source, reference, num_bins=8)
    width = np.diff(plot.edges)
    assert np.all(width > 0)
    for side, draws in ((plot.source, source), (plot.reference, reference)):
        assert (side.density * width).sum() + side.not_finite == pytest.approx(1)
        assert side.counts.sum() == len(draws) - draws.num_not_finite
        assert np.all((side.low <= side.density) & (side.density <= side.high))


@pytest.mark.parametrize("value", [0.0, 1.0, -1e20, 1e-300])
def test_a_constant_has_bins_around_it(value):
    edges = shared_edges(np.full(3, value), 4)
    assert edges[0] <= value <= edges[-1]
    assert np.all(np.diff(edges) > 0)


def test_weights_enter_the_histogram():
    draws = Draws.of(np.array([0.0, 1.0]), np.log(np.array([3.0, 1.0])))
    plot = histogram(draws, draws, num_bins=2)
    assert plot.source.density == pytest.approx([1.5, 0.5])
    assert plot.source.counts.sum() == pytest.approx(draws.n_eff)


def test_coverage_of_a_bin():
    rng, covered = np.random.default_rng(50), []
    corners = np.array([-10.0, 10.0])
    truth = np.diff(stats.norm.cdf([0.0, 2.5]))[0] / 2.5
    for _ in range(1000):
        draws = Draws.of(np.append(rng.normal(size=198), corners))
        side = histogram(draws, draws, num_bins=8).source
        covered.append(side.low[4] <= truth <= side.high[4])
    # The two corners are not draws of the law: they shift 200 draws by 1%.
    assert_coverage(covered, 0.94)


def _pairs(rng, num_draws, mean=0.0):
    return Draws.of(rng.normal(mean, 1, (num_draws, 2)))


def test_a_picture_of_pairs_is_numpys():
    rng = np.random.default_rng(51)
    source, reference = rng.normal(size=(500, 2)), rng.normal(size=(300, 2))
    source[0, 1] = np.nan
    plot = histogram_2d(Draws.of(source), Draws.of(reference), num_bins=(5, 7))
    expected, _, _ = np.histogram2d(source[1:, 0], source[1:, 1], bins=plot.edges)
    assert plot.source.counts.tolist() == expected.tolist()
    area = np.outer(np.diff(plot.edges[0]), np.diff(plot.edges[1]))
    assert (plot.source.density * area).sum() == pytest.approx(1 - plot.source.not_finite)
    assert plot.source.not_finite == 1 / 500
    assert plot.log_ratio.shape == (5, 7)
    assert np.all(plot.low <= plot.high)


def test_two_samples_of_pairs_far_near_and_not_finite():
    rng = np.random.default_rng(52)
    near = [
        binned_total_variation_2d(_pairs(rng, 300), _pairs(rng, 400), seed=s).low
        for s in range(100)
    ]
    assert_coverage(np.array(near) == 0, 0.975)
    far = binned_total_variation_2d(_pairs(rng, 300, mean=9), _pairs(rng, 400), seed=0)
    assert far.low > 0.85
    lost = rng.normal(size=(300, 2))
    lost[:150, 0] = np.inf
    estimate = binned_total_variation_2d(Draws.of(lost), _pairs(rng, 400), seed=0)
    assert 0.1 < estimate.low < 0.5
    assert estimate.warnings[0].startswith("150 of 300 source")


def test_total_variation_of_known_pairs():
    """Two independent normals shifted along the diagonal: TV = 2 Φ(|shift|/2) - 1."""
    rng, truth, below = np.random.default_rng(53), 2 * stats.norm.cdf(math.sqrt(2) / 2) - 1, []
    for seed in range(100):
        source, reference = _pairs(rng, 2000, mean=1), _pairs(rng, 2000)
        estimate = binned_total_variation_2d(source, reference, seed=seed)
        below.append(estimate.low <= truth)
    assert_coverage(below, 0.975)
    assert estimate.low > 0.8 * truth


@pytest.mark.parametrize("rows", [np.zeros((500, 3)), np.zeros(500)])
def test_pairs_have_two_columns(rows):
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        histogram_2d(Draws.of(rows), Draws.of(rows))


def test_too_few_pairs():
    with pytest.raises(InsufficientSamples, match="100"):
        binned_total_variation_2d(Draws.of(np.zeros((99, 2))), Draws.of(np.zeros((500, 2))), seed=0)


def test_the_scatter_prefers_neither_side():
    counts = CellCounts(np.array([90, 0, 10]), np.array([0, 900, 100]))
    points = scatter(np.array(["a", "b", "c"]), counts, num_functions=2)
    assert set(points.ids.tolist()) == {"a", "b"}
    assert points.source.low[points.ids == "b"] == 0.0
    assert points.reference.high[points.ids == "a"] > 0.0


def test_the_rank_plot_falls_and_leaves_out_what_was_not_drawn():
    plot = rank_plot(np.array([5, 0, 7, 1]))
    assert plot.rank.tolist() == [1, 2, 3]
    assert plot.frequencies.counts.tolist() == [7, 5, 1]
    assert plot.frequencies.probability.sum() == pytest.approx(1)


def test_few_of_many_functions_are_those_of_all():
    counts = draw(np.random.default_rng(0), zipf(3000), zipf(3000)[::-1], 5000, 7000)
    ids = np.arange(3000)
    every, few = scatter(ids, counts), scatter(ids, counts, num_functions=40)
    assert few.ids.tolist() == every.ids[:40].tolist()  # of equal shares the first by id
    assert few.source.high.tolist() == every.source.high[:40].tolist()
    ranks, some = rank_plot(counts.source), rank_plot(counts.source, max_ranks=50)
    assert some.rank[:50].tolist() == list(range(1, 51))
    assert len(some.rank) < 100 < len(ranks.rank) == some.rank[-1]
    assert some.frequencies.low.tolist() == ranks.frequencies.low[some.rank - 1].tolist()
