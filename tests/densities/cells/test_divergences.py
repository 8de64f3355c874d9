"""Plug-in values against their definitions, intervals against their claimed coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import (
    JS_DEVIATION,
    NAMES,
    cell_divergences,
    jensen_shannon_interval,
    kl_interval,
    plug_in,
    upper_bounds,
)
from tests.densities.laws import draw, head_reversed, uniform, zipf
from tests.statistics import assert_catches, assert_coverage, assert_mean_within

REPETITIONS = 1000


def truth(p, q):
    """A law is its own counts: the plug-in of the laws is the divergence."""
    return plug_in(CellCounts(p, q))


def test_values_of_two_known_laws():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    values = truth(p, q)
    assert values["total_variation"] == 0.5
    assert values["kl"] == pytest.approx(math.log(2))
    mean = (p + q) / 2
    by_hand = 0.5 * math.log(0.5 / mean[0]) + 0.25 * math.log(0.25 / mean[0])
    assert values["jensen_shannon"] == pytest.approx(by_hand + 0.25 * math.log(0.5 / mean[2]))
    assert truth(q, p)["kl"] == math.inf


counts_of_five = st.lists(st.integers(0, 10**6), min_size=5, max_size=5).map(np.array)


@given(source=counts_of_five, reference=counts_of_five, order=st.permutations(range(5)))
@settings(deadline=None)
def test_symmetry_bounds_and_blindness_to_order(source, reference, order):
    source, reference = source + np.eye(5, dtype=int)[0], reference + np.eye(5, dtype=int)[0]
    values = plug_in(CellCounts(source, reference))
    swapped = plug_in(CellCounts(reference, source))
    moved = plug_in(CellCounts(source[order], reference[order]))
    assert values["total_variation"] == pytest.approx(swapped["total_variation"])
    assert values["jensen_shannon"] == pytest.approx(swapped["jensen_shannon"], abs=1e-15)
    assert moved == pytest.approx(values, abs=1e-12)
    assert 0 <= values["total_variation"] <= 1 + 1e-12
    assert -1e-15 <= values["jensen_shannon"] <= math.log(2) * values["total_variation"] + 1e-12
    # Pinsker
    assert values["kl"] >= 2 * values["total_variation"] ** 2 - 1e-12


@given(source=counts_of_five, reference=counts_of_five, label=st.permutations([0, 0, 1, 1, 2]))
@settings(deadline=None)
def test_pooling_lowers_every_divergence(source, reference, label):
    counts = CellCounts(source + 1, reference + 1)
    fine, coarse = plug_in(counts), plug_in(counts.pool(np.array(label)))
    assert all(coarse[name] <= fine[name] + 1e-12 for name in NAMES)


def test_the_js_constant_is_the_maximum_it_claims_to_be():
    chord = optimize.minimize_scalar(
        lambda r: -r * math.log(r) ** 2 / (1 - r), bounds=(0.01, 0.9), method="bounded"
    )
    largest = math.sqrt(-chord.fun / 2 * 2 / 4)
    assert largest <= JS_DEVIATION <= largest * 1.001


LAWS = {
    "equal": (zipf(8), zipf(8)),
    "near, 2 cells": (np.array([0.5, 0.5]), np.array([0.47, 0.53])),
    "near": (zipf(8), 0.9 * zipf(8) + 0.1 * uniform(8)),
    "far": (zipf(8), uniform(8)),
    "source lacks cells": (np.array([0.5, 0.5, 0, 0]), uniform(4)),
    "almost disjoint": (np.array([0.997, 0.003]), np.array([0.003, 0.997])),
    "almost constant": (np.array([0.997, 0.003]), np.array([0.5, 0.5])),
    "reference lacks a cell": (np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.5, 0.0])),
}
SIZES = {"equal sizes": (2000, 2000), "large reference": (500, 20_000)}


@pytest.mark.parametrize("laws", LAWS)
@pytest.mark.parametrize("sizes", SIZES)
def test_coverage_over_given_cells(laws, sizes):
    (p, q), (n, m) = LAWS[laws], SIZES[sizes]
    expected, rng = truth(p, q), np.random.default_rng(4)
    covered: dict[str, list[bool]] = {name: [] for name in ("total_variation", "jensen_shannon")}
    for _ in range(REPETITIONS):
        selection, estimation = draw(rng, p, q, n, m), draw(rng, p, q, n, m)
        for name, interval in cell_divergences(selection, estimation).items():
            covered[name].append(interval.low <= expected[name] + 1e-12 <= interval.high + 2e-12)
    for hits in covered.values():
        assert_coverage(hits)


@pytest.mark.parametrize(
    ("interval", "name"), [(jensen_shannon_interval, "jensen_shannon"), (kl_interval, "kl")]
)
def test_first_order_bias_is_taken_out(interval, name):
    """With B = 8 and 300 draws the plug-in is off by far more than the noise of the mean.

    What stays is of second order: a hundredth of the first, below a standard error here.
    """
    p, q, rng = zipf(8), head_reversed(zipf(8), 8), np.random.default_rng(5)
    counts = [draw(rng, p, q, 300, 300) for _ in range(4000)]

    def check(values):
        assert_mean_within(values, truth(p, q)[name])

    check([interval(c).value for c in counts])
    assert_catches(check, lambda: [plug_in(c)[name] for c in counts])


def test_the_total_variation_below_is_never_above_on_average():
    """P(A) - Q(A) <= TV for any A; for equal laws its mean before clipping is 0."""
    p, rng = zipf(50), np.random.default_rng(6)
    values = []
    for _ in range(REPETITIONS):
        first, second = draw(rng, p, p, 200, 200), draw(rng, p, p, 200, 200)
        chosen = second.select(first.source > first.reference)
        values.append((chosen.num_source - chosen.num_reference) / 200)
    assert_mean_within(values, 0.0)


@pytest.mark.parametrize("num_functions", [3, 100_000])
def test_coverage_of_the_upper_bounds_with_and_without_unseen_functions(num_functions):
    p = zipf(num_functions)
    q = head_reversed(p, num_functions)
    expected, rng = truth(p, q), np.random.default_rng(7)
    cells = CellCounts(p, q)
    below: dict[str, list[bool]] = {"total_variation": [], "jensen_shannon": []}
    for _ in range(REPETITIONS if num_functions == 3 else 100):
        bounds = upper_bounds(draw(rng, cells.source, cells.reference, 1000, 2000))
        for name, hits in below.items():
            hits.append(expected[name] <= bounds[name])
    for hits in below.values():
        assert_coverage(hits, 0.975)


def test_a_cell_the_reference_lacks_makes_kl_infinite():
    interval = kl_interval(CellCounts(np.array([5, 5]), np.array([10, 0])))
    assert (interval.value, interval.low, interval.high) == (math.inf, 0.0, math.inf)
