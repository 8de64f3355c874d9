"""Flows: lower bounds of divergences whose truth is known, and no more than that."""

import math
import sys

import numpy as np
import pytest

from sweep_engine.densities import Draws
from sweep_engine.densities.points.witness import kl_bound
from sweep_engine.densities.registry import ESTIMATORS
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from tests.densities import gaussians
from tests.densities.read import flow
from tests.statistics import NUM_STDERRS

try:
    import flowjax  # noqa: F401

    missing = False
except ModuleNotFoundError:
    missing = True
needs_flowjax = pytest.mark.skipif(missing, reason="the extra `flows` (flowjax) is not installed")

NUM, TRUTH = 1500, 0.5


def bananas(rng):
    """(x, x² - 1 + z/2): a bijection of two Gaussians whose x are one apart, so KL stays 1/2."""
    for shift in (1.0, 0.0):
        x, z = rng.normal(size=(2, NUM))
        x = x + shift
        yield Draws.of(np.stack([x, x**2 - 1 + z / 2], axis=1))


def assert_bounds(found, share):
    """The low end is below the truth; the value is short of it by `1 - share` and noise at most."""
    tv, kl = found
    stderr = (kl.value - kl.low) / 1.96
    # A true bound starts above KL once in 1e9 where 6.1 standard errors are allowed.
    assert kl.value - NUM_STDERRS * stderr < TRUTH
    assert kl.value + NUM_STDERRS * stderr > share * TRUTH
    assert kl.value > NUM_STDERRS * stderr, "it sees a difference"
    assert (kl.high, tv.high) == (math.inf, 1.0), "a bound: open upwards"
    assert tv.low < gaussians.total_variation(1.0)


@needs_flowjax
def test_two_columns_gaussian_and_not():
    """KL = 1/2 of shifted Gaussians and of bananas, under noise that hardly lowers it."""
    rng = np.random.default_rng(0)
    assert_bounds(flow(*gaussians.shifted(rng, NUM, 2, 1.0), seed=0), 0.9)
    banana = flow(*bananas(rng), seed=0)
    assert_bounds(banana, 0.9)
    assert not any("trusted" in warning for warning in banana[1].warnings)


@needs_flowjax
@pytest.mark.long
@pytest.mark.parametrize(("dimension", "share"), [(4, 0.8), (8, 0.4)])
def test_more_columns(dimension, share):
    """In eight a bound still, but far below, as it says."""
    rng = np.random.default_rng(0)
    found = flow(*gaussians.shifted(rng, 2 * NUM, dimension, 1.0), seed=0)
    assert_bounds(found, share)
    assert any("8 dimensions (at most 4)" in w for w in found[1].warnings) == (dimension == 8)


def test_log_densities_on_their_own_draws_are_no_bound():
    """Why it is cross-fitted: where the fit saw the draws, one law differs from itself.

    Densities of 60 kernels' width 0.02 stand for a flow that memorised.
    """
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 60))

    def log_density(at, cloud):
        return np.log(np.exp(-0.5 * ((at[:, None] - cloud) / 0.02) ** 2).mean(axis=1) + 1e-9)

    seen = [log_density(at, one) - log_density(at, other) for at in (one, other)]
    fresh = [log_density(at, one) - log_density(at, other) for at in rng.normal(size=(2, 60))]
    assert kl_bound(*seen).low > 0.1
    assert kl_bound(*fresh).low == 0.0


@needs_flowjax
def test_draws_without_a_density_are_no_zeros(monkeypatch):
    monkeypatch.setattr(
        "sweep_engine.densities.points.flow.fit_log_density",
        lambda cloud, seed: lambda at: np.where(np.arange(len(at)) < 3, -math.inf, 0.0),
    )
    with pytest.raises(IncomparableSources, match="no density was found at 3 of 500 held-out"):
        flow(*gaussians.shifted(np.random.default_rng(0), 1000, 2, 1.0), seed=0)


def test_refusals_in_words(monkeypatch):
    few, one = np.zeros((100, 2)), np.arange(600.0)
    with pytest.raises(InsufficientSamples, match="at least 500"):
        flow(Draws.of(few), Draws.of(few), seed=0)
    with pytest.raises(IncomparableSources, match="two columns or more"):
        ESTIMATORS["flow"].look(Draws.of(one), Draws.of(one), 0)
    monkeypatch.setitem(sys.modules, "flowjax", None)
    many = Draws.of(np.stack([one, one], axis=1))
    with pytest.raises(IncomparableSources, match=r"sweep-engine\[flows\]"):
        flow(many, many, seed=0)
