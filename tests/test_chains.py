"""R-hat and ESS: what ArviZ finds, what theory says, and where nothing can be said."""

import math

import numpy as np
import pytest

from sweep_engine.chains import bulk_ess, r_hat, tail_ess
from tests.statistics import assert_catches, assert_mean_within


def autoregression(rho, shape):
    """Stationary chains x_t = rho x_(t-1) + noise with N(0, 1) marginals."""
    noise = np.random.default_rng(0).standard_normal(shape)
    chains = np.empty(shape)
    chains[..., 0] = noise[..., 0]
    for t in range(1, shape[-1]):
        chains[..., t] = rho * chains[..., t - 1] + math.sqrt(1 - rho**2) * noise[..., t]
    return chains


def shifted():
    return autoregression(0.5, (4, 200)) + np.arange(4)[:, None]


def heavy():
    return np.tan(np.arctan(autoregression(0.7, (4, 250))) * 1.3)


ARVIZ = {
    "independent": (
        lambda: autoregression(0.0, (4, 100)),
        (1.0016925691266099, 419.15009946376364, 415.537520876585),
    ),
    "slow": (
        lambda: autoregression(0.9, (4, 500)),
        (1.0383331646002285, 83.93859305743703, 242.28670948901726),
    ),
    "alternating, odd length": (
        lambda: autoregression(-0.5, (3, 301)),
        (1.0003942918290722, 2658.8182584953925, 839.1507879098643),
    ),
    "in different places": (
        shifted,
        (1.5369268499263018, 7.755266877430213, 165.36819746016582),
    ),
    "heavy tails": (
        heavy,
        (1.0210134746015274, 219.91851089554754, 523.4327054522072),
    ),
}
"""Chains, and R-hat, bulk ESS and tail ESS (5%, 95%) as arviz-stats 0.8.0 computes them."""


@pytest.mark.parametrize("name", ARVIZ)
def test_arviz_finds_the_same(name):
    chains, expected = ARVIZ[name]
    found = [measure(chains()) for measure in (r_hat, bulk_ess, tail_ess)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_ess_of_an_autoregression(rho):
    """N (1 - rho) / (1 + rho), over repetitions; the truncated sum leaves a bias below 5%."""
    repetitions, shape = 100, (2, 2000)
    chains = autoregression(rho, (repetitions, *shape))
    share = np.array([bulk_ess(one) for one in chains]) / math.prod(shape)
    truth = (1 - rho) / (1 + rho)

    def check(found):
        bias = 0.05 * truth * np.sign(found.mean() - truth)
        gap = abs(found.mean() - truth) - abs(bias)
        assert_mean_within(found, found.mean() - max(gap, 0.0) * np.sign(bias))

    check(share)
    assert_catches(check, lambda: share * 1.3)


def test_r_hat_tells_chains_apart_by_place_and_by_width():
    chains = autoregression(0.3, (4, 400))
    assert r_hat(chains) < 1.01
    assert r_hat(chains + np.array([0, 0, 0, 1])[:, None]) > 1.1
    assert r_hat(chains * np.array([1, 1, 1, 4])[:, None]) > 1.1


def test_a_chain_on_its_way_differs_from_itself():
    drifting = autoregression(0.3, (1, 400)) + np.linspace(0, 3, 400)
    assert r_hat(drifting) > 1.2
    assert bulk_ess(drifting) < 20


@pytest.mark.parametrize("measure", [r_hat, bulk_ess, tail_ess])
@pytest.mark.parametrize(
    "draws",
    [np.zeros((4, 3)), np.ones((4, 50)), np.full((2, 50), np.nan), np.zeros((0, 50))],
    ids=["too few", "constant", "not numbers", "no chains"],
)
def test_where_nothing_can_be_said(measure, draws):
    assert math.isnan(measure(draws))


def test_chains_that_stand_still_in_different_places():
    assert r_hat(np.repeat(np.arange(4.0)[:, None], 50, axis=1)) == math.inf


def test_draws_need_two_axes():
    with pytest.raises(ValueError, match=r"expected draws of shape \(chains, draws\), got \(9,\)"):
        r_hat(np.zeros(9))
