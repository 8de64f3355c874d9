import math

import numpy as np
import pytest

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.errors import InsufficientSamples
from tests.densities.laws import draw, head_reversed, zipf
from tests.densities.read import rank_correlation
from tests.statistics import assert_coverage


def test_a_law_agrees_with_itself_as_well_as_its_null():
    rng = np.random.default_rng(9)
    estimate = rank_correlation(draw(rng, zipf(100), zipf(100), 100_000, 100_000), seed=0)
    assert estimate.value > 0.95
    assert estimate.null_low is not None
    assert estimate.null_low > 0.9


def test_reversed_ranks():
    rng = np.random.default_rng(10)
    reverse = head_reversed(zipf(40), 40)
    estimate = rank_correlation(draw(rng, zipf(40), reverse, 100_000, 100_000), seed=0)
    assert estimate.high < -0.9
    assert estimate.null_value is not None
    assert estimate.null_value > 0.95


def test_coverage_over_functions():
    """Functions whose ln P are bivariate normal, r = 0.6: ρ = (6/π) asin(r/2).

    Counts are large, so counting noise pulls the value down by far less than its error.
    """
    truth, rng, covered = 6 / math.pi * math.asin(0.3), np.random.default_rng(11), []
    for seed in range(400):
        ln_p = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 60)
        p = np.exp(ln_p) / np.exp(ln_p).sum(axis=0)
        estimate = rank_correlation(draw(rng, p[:, 0], p[:, 1], 10**6, 10**6), seed=seed)
        covered.append(estimate.low <= truth <= estimate.high)
    assert_coverage(covered)


def test_unrelated_laws_show_no_correlation():
    """All 60 functions are frequent, so choosing them changes nothing."""
    rng, covered = np.random.default_rng(12), []
    for seed in range(200):
        p, q = rng.dirichlet(np.full(60, 20.0)), rng.dirichlet(np.full(60, 20.0))
        estimate = rank_correlation(draw(rng, p, q, 20_000, 20_000), seed=seed)
        covered.append(estimate.low <= 0 <= estimate.high)
    assert_coverage(covered)


@pytest.mark.parametrize("counts", [[1000, 900], [1000]])
def test_few_functions_say_nothing(counts):
    table = CellCounts(np.array(counts), np.array(counts))
    estimate = rank_correlation(table, seed=0)
    assert (estimate.low, estimate.high) == (-1.0, 1.0)
    assert "frequent functions" in estimate.warnings[0]


def test_too_few_draws():
    with pytest.raises(InsufficientSamples):
        rank_correlation(CellCounts(np.array([50]), np.array([500])), seed=0)
