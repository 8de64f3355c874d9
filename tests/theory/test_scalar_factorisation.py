"""Scalar factorisation f = a b, L = (ab - y)^2 / 2: where GD and three priors put ab = y.

u = ln|a/b| / 2 is the place on the curve, c = a^2 - b^2 = 2 y sinh 2u what the flow conserves.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from sweep_engine.densities.draws import Draws
from sweep_engine.keys import halves, run_ids
from sweep_engine.lanes import over_lanes
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.densities.read import binned_divergences
from tests.statistics import (
    CHECK_FALSE_ALARM,
    assert_catches,
    assert_ks,
    assert_mean_within,
    assert_probability,
)

NUM_RUNS = 20_000
RATE = 0.002
HALF_WIDTH = 10.0

KL_POSTERIOR, KL_UNIFORM, MEAN_U_SQUARED = 0.12407, 1.21952, 0.12603
"""At y = s = 1, and half width 10: of the flow from the Gaussian posterior, from uniform u."""


def _open(source, target=1.0, max_residual=1e-4):
    sweep = Sweep(
        name="factorisation",
        task={"kind": "factorisation", "target": target},
        model={"kind": "scalar_factorisation"},
        accept={"max_residual": max_residual},
        sources={"source": source},
        observables=("balance",),
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, sweep.observables, sweep.execution)
    return programs, setting


def _finish(source, runs, **task):
    programs, setting = _open(source, **task)
    return work(programs, [Piece(setting, 0, runs)], Control())


def _train(std=1.0, momentum=0.0, **stop):
    return {
        "kind": "train",
        "init": {"kind": "gaussian", "std": std, "shared": True},
        "optimizer": {"kind": "sgd", "learning_rate": RATE, "momentum": momentum},
        "stop": {"max_steps": 50_000} | stop,
        "runs": NUM_RUNS,
    }


def _place(theta):
    """u and ab."""
    a, b = theta.astype(float).T
    return np.log(np.abs(a / b)) / 2, a * b


@functools.cache
def _gd(target, std):
    """theta where GD lands from N(0, std^2)."""
    finished = _finish(_train(std), NUM_RUNS, target=target)
    assert np.all(finished.solutions.status == RunStatus.FIT)
    u, _ = _place(finished.solutions.theta)
    np.testing.assert_allclose(finished.columns["balance_u"], u, rtol=1e-4, atol=1e-6)
    return finished.solutions.theta


@functools.cache
def _posterior():
    """theta of the Gaussian prior given |ab - 1| < 0.02."""
    draws, window = 3_000_000, 0.02
    law = {"kind": "gaussian", "std": 1.0}
    source = {"kind": "guess_and_check", "law": law, "draws": draws}
    theta = _finish(source, draws, max_residual=window).solutions.theta
    product = integrate.quad(lambda p: special.k0(p) / np.pi, 1 - window, 1 + window)[0]
    assert_probability(len(theta), draws, product)
    return theta


@functools.cache
def _box():
    """theta of the uniform box given |ab - 1| < 0.1."""
    draws, window = 4_000_000, 0.1
    law = {"kind": "box", "half_width": HALF_WIDTH}
    source = {"kind": "guess_and_check", "law": law, "draws": draws}
    theta = _finish(source, draws, max_residual=window).solutions.theta

    def density(product):
        return 4 * np.log(HALF_WIDTH / np.sqrt(product)) / (2 * HALF_WIDTH) ** 2

    assert_probability(len(theta), draws, integrate.quad(density, 1 - window, 1 + window)[0])
    return theta


def _flow_cdf(target, std):
    """Integrate p(u) = (2y cosh 2u / (pi s^2)) K0(y |sinh 2u| / s^2) numerically.

    In t = y sinh 2u / s^2 it is K0(t) / pi.
    """
    t = np.concatenate([[0.0], np.geomspace(1e-9, 40, 4000)])
    pieces = [integrate.quad(special.k0, *ends)[0] for ends in itertools.pairwise(t)]
    half = np.concatenate([[0.0], np.cumsum(pieces)]) / np.pi

    def cdf(u):
        at = target * np.sinh(2 * u) / std**2
        return 0.5 + np.sign(at) * np.interp(np.abs(at), t, half)

    return cdf


def _posterior_cdf():
    """Integrate p(u) = exp(-cosh 2u) / (2 K0(1)) d(2u): the Gaussian prior given ab = 1."""
    grid = np.linspace(-4, 4, 20_001)
    density = np.exp(-np.cosh(2 * grid)) / special.k0(1.0)
    mass = integrate.cumulative_simpson(density, x=grid, initial=0)
    return lambda u: np.interp(u, grid, mass)


@pytest.mark.parametrize(("target", "std"), [(1.0, 1.0), (2.0, 0.7)])
def test_gd_lands_by_the_flow_law(target, std):
    cdf = _flow_cdf(target, std)
    theta = _gd(target, std)
    assert_ks(_place(theta)[0], cdf)
    assert_probability(int(np.sum(theta[:, 0] > 0)), NUM_RUNS, 0.5)
    assert_catches(lambda u: assert_ks(u, cdf), lambda: 1.2 * _place(theta)[0])


def test_the_learning_rate_is_small_enough_for_the_flow_law():
    """GD shrinks c by exp(-rate x integral of r^2); run for run that is far below what KS sees.

    The paired distance between GD's law and the flow's (same starts) bounds the bias.
    """
    a, b = _finish(_train(train_loss=1e9), NUM_RUNS).solutions.theta.astype(float).T
    flow = np.arcsinh((a - b) * (a + b) / 2) / 2
    gd = _place(_gd(1.0, 1.0))[0]
    assert np.all(np.abs(gd) <= np.abs(flow) + 1e-4)
    seen_by_ks = stats.kstwo(NUM_RUNS).isf(CHECK_FALSE_ALARM)
    assert stats.ks_2samp(gd, flow).statistic < seen_by_ks / 10


def test_momentum_breaks_the_conservation_law():
    """Power: heavy-ball momentum at the same speed of learning leaves the flow's curve."""
    source = _train(momentum=0.99, max_steps=20_000)
    wrong = _finish(source, NUM_RUNS).solutions
    cdf = _flow_cdf(1.0, 1.0)
    assert_catches(lambda u: assert_ks(u, cdf), lambda: _place(wrong.theta[wrong.fit])[0])


def test_uniform_box_on_the_curve_is_uniform_in_u():
    """Given ab = p, u is uniform on +-ln(B / sqrt(p)).

    Dividing each u by its own end takes the window's shift of the edges out exactly.
    """
    u, product = _place(_box())
    unit = u / np.log(HALF_WIDTH / np.sqrt(product))
    uniform = stats.uniform(-1, 2).cdf
    assert_ks(unit, uniform)
    assert_catches(lambda v: assert_ks(v, uniform), lambda: 0.95 * unit)


def test_gaussian_posterior_on_the_curve():
    """The window's bias is of order 0.02^2, where KS sees 0.02."""
    u, _ = _place(_posterior())
    assert_ks(u, _posterior_cdf())
    assert_catches(lambda v: assert_ks(v, _posterior_cdf()), lambda: _place(_gd(1.0, 1.0))[0])


def test_moments_of_the_landing_law():
    u, _ = _place(_gd(1.0, 1.0))
    assert_mean_within(u**2, MEAN_U_SQUARED)
    log_p = np.log(2 * np.cosh(2 * u) / np.pi * special.k0(np.abs(np.sinh(2 * u))))
    log_posterior = -np.cosh(2 * u) - np.log(special.k0(1.0))
    log_uniform = -np.log(2 * np.log(HALF_WIDTH))

    def check(log_ratios):
        assert_mean_within(log_ratios, [KL_POSTERIOR, KL_UNIFORM])

    check(np.stack([log_p - log_posterior, log_p - log_uniform], axis=1))
    assert_catches(check, lambda: np.stack([log_posterior - log_p, log_p - log_uniform], axis=1))


def test_binned_divergences_of_the_sources():
    """The engine's own KL between its sources, at one check's false-alarm rate.

    It is a lower bound: narrower draws have another KL, which is told apart.
    """
    u = _place(_gd(1.0, 1.0))[0]
    for theta, truth in ((_posterior(), KL_POSTERIOR), (_box(), KL_UNIFORM)):
        reference = Draws.of(_place(theta)[0])

        def low(source, reference=reference):
            certain = 1 - CHECK_FALSE_ALARM
            *_, kl = binned_divergences(Draws.of(source), reference, seed=1, confidence=certain)
            return kl.low

        assert 0.5 * truth < low(u) < truth
        assert low(0.5 * u) > truth


def _in_float64(states):
    """The engine's states, with room for a float64 loss."""
    return states._replace(
        params=jax.tree.map(lambda leaf: leaf.astype(jnp.float64), states.params),
        carried=states.carried._replace(
            optimizer=jax.tree.map(lambda leaf: leaf.astype(jnp.float64), states.carried.optimizer)
        ),
        loss=states.loss.astype(jnp.float64),
        curve=states.curve.astype(jnp.float64),
    )


def _gd_steps(rates, target, steps, *, momentum=0.0):
    """theta before each of some steps of the engine's training, in float64: (steps, R, 2)."""
    source = _train() | {"stop": {"fit": False}}
    programs, setting = _open(source, target=target)
    training, layout, count = programs.single, programs.bucket.network.layout, len(rates)
    runs = halves(run_ids(setting.id, 0, count))
    hyper = programs.bucket.hyper([setting] * count)
    with jax.enable_x64(True):
        data = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), programs.bucket.data.train)
        hyper = {path: jnp.asarray(value, jnp.float64) for path, value in hyper.items()} | {
            "optimizer.learning_rate": jnp.asarray(rates, jnp.float64),
            "optimizer.momentum": jnp.full(count, momentum),
        }
        states = _in_float64(
            over_lanes(training.start, (None, 0, 0))(programs.bucket.root, runs, hyper)
        )
        step = jax.jit(over_lanes(training.move, (0, None, 0, 0, None)))
        path = [layout.flatten_rows(states.params)]
        for _ in range(steps):
            states = step(states, programs.bucket.root, runs, hyper, data)
            path.append(layout.flatten_rows(states.params))
    assert path[-1].dtype == np.float64
    return np.array(path)


def _check_shrinkage(path, rates, target):
    a, b = path[..., 0], path[..., 1]
    c, residual = (a - b) * (a + b), a * b - target
    expected = c[:-1] * (1 - rates**2 * residual[:-1] ** 2)
    # A few roundings of terms no larger than a^2 + b^2.
    bound = 32 * np.finfo(float).eps * (a**2 + b**2)[1:] + 32 * np.finfo(float).eps * np.abs(c[:-1])
    assert np.all(np.abs(c[1:] - expected) <= bound)


def test_discrete_gd_shrinks_c_exactly():
    """c' = c (1 - rate^2 r^2) at any learning rate, in float64 through the engine's own step."""
    rates, target = np.array([0.01, 0.1, 0.2, 0.3, 0.45, 0.6]), 1.5
    path = _gd_steps(rates, target, 40)
    assert np.all(np.isfinite(path))
    assert np.abs(np.diff(path[:5], axis=0)).max() > 0.1
    _check_shrinkage(path, rates, target)
    with pytest.raises(AssertionError):
        _check_shrinkage(_gd_steps(rates, target, 40, momentum=0.1), rates, target)
