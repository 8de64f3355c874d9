"""The diagonal linear net beta = w_plus^2 - w_minus^2 from w_plus = w_minus = alpha.

Gradient flow minimises sum alpha_i^2 q(beta_i / alpha_i^2) subject to X beta = y; on the one
example x = (1, ..., 1) it lands at beta_i = y alpha_i^2 / sum alpha_j^2.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.statistics import (
    StatisticalFailure,
    assert_catches,
    assert_ks,
    assert_mean_within,
    assert_probability,
)

NUM_RUNS, WIDTH, LABEL = 4_000, 4, 1.5


class GammaStart(nn.Module):
    """The diagonal net; w_plus = w_minus = alpha at the start, alpha_i^2 ~ Gamma(shape)."""

    shape: float

    @nn.compact
    def __call__(self, x):
        def alpha(key, size):
            return jnp.sqrt(jax.random.gamma(key, self.shape, size))

        plus = self.param("w_plus", alpha, (x.shape[-1],))
        minus = self.param("w_minus", lambda _: plus)
        return x @ (plus**2 - minus**2)[:, None]


def _finish(x, y, runs, *, shape=1.0, scale=1.0, kind="sgd", axes=None):
    """w_plus and w_minus of every setting; run i of all settings starts at the same alpha."""
    train = {
        "kind": "train",
        "init": {"kind": "module", "scale": scale, "shared": True},
        "optimizer": {"kind": kind, "learning_rate": 0.02},
        "stop": {"max_steps": 100_000, "check_every": 4},
        "runs": runs,
    }
    sweep = Sweep(
        name="diagonal",
        task={"kind": "regression", "x": x, "y": y},
        model=GammaStart(shape),
        accept={"max_residual": 1e-5},
        sources={"source": train},
        axes={"zip": [{f"sources.source.{k}": v for k, v in axes.items()}]} if axes else {},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    finished = work(programs, [Piece(setting, 0, runs) for setting in found], Control())
    solutions, layout = finished.solutions, programs.bucket.network.layout
    assert np.all(solutions.fit | (solutions.steps == 1))
    theta = solutions.theta.astype(float).reshape(len(found), runs, -1)
    at = {leaf.name: theta[..., leaf.offset : leaf.offset + leaf.size] for leaf in layout.leaves}
    return at["w_plus"], at["w_minus"]


# --- One example: Dirichlet -------------------------------------------------------------------


@functools.cache
def _landing(shape, kind="sgd"):
    """beta / y, one row a run."""
    plus, minus = _finish([[1.0] * WIDTH], [LABEL], NUM_RUNS, shape=shape, kind=kind)
    return (plus - minus)[0] * (plus + minus)[0] / LABEL


def _check_dirichlet(shape):
    """Mean, all second moments and the marginals of Dirichlet(shape, ..., shape)."""
    total = WIDTH * shape
    i, j = np.triu_indices(WIDTH)
    second = shape * (shape + (i == j)) / (total * (total + 1))

    def check(share):
        np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-4)
        assert_mean_within(share, np.full(WIDTH, 1 / WIDTH))
        assert_mean_within(share[:, i] * share[:, j], second)
        for column in share.T:
            assert_ks(column, stats.beta(shape, total - shape).cdf)

    return check


@pytest.mark.parametrize("shape", [1.0, 0.5])
def test_dirichlet_landing(shape):
    """GD multiplies all w_plus by one factor and all w_minus by another: exact at any step."""
    _check_dirichlet(shape)(_landing(shape))
    assert_catches(_check_dirichlet(shape), lambda: _landing(1.5 - shape))


def test_adam_is_caught():
    """Its steps do not scale with the weight."""
    assert_catches(_check_dirichlet(1.0), lambda: _landing(1.0, "adam"))


def test_uniform_on_the_simplex():
    """At shape 1 the largest of the spacings has P(max > t) = 4 (1 - t)^3 for t >= 1/2."""

    def check(share):
        above = int(np.sum(share.max(axis=1) > 0.6))
        assert_probability(above, NUM_RUNS, WIDTH * 0.4**3)

    check(_landing(1.0))
    with pytest.raises(StatisticalFailure):
        check(_landing(0.5))


# --- Two examples: the flow's minimiser ---------------------------------------------------------

X = np.array([[1.0, 0.5, -0.3, 0.8], [0.2, -0.7, 1.0, 0.4]])
Y = np.array([1.0, 0.6])


def _potential(beta, alpha):
    """sum alpha^2 q(beta / alpha^2), q(z) = 2 - sqrt(4 + z^2) + z asinh(z / 2)."""
    z = beta / alpha**2
    return np.sum(alpha**2 * (2 - np.sqrt(4 + z**2) + z * np.arcsinh(z / 2)))


def _minimiser(alpha):
    """By SciPy, along the null space of X; the slope of alpha^2 q(b / alpha^2) is asinh / 2."""
    null_space = np.linalg.svd(X)[2][len(X) :].T
    start = np.linalg.pinv(X) @ Y

    def slope(free):
        return null_space.T @ np.arcsinh((start + null_space @ free) / (2 * alpha**2))

    def value(free):
        return _potential(start + null_space @ free, alpha)

    best = optimize.minimize(value, np.zeros(2), jac=slope, method="BFGS", options={"gtol": 1e-10})
    return start + null_space @ best.x


@functools.cache
def _two_steps(scale):
    """alpha, and where GD lands at a step and at half of it, from the same starts."""
    axes = {
        "optimizer.learning_rate": [0.02, 0.01, 1e-12],
        "stop.max_steps": [100_000, 100_000, 1],
    }
    plus, minus = _finish(X.tolist(), Y.tolist(), 8, scale=scale, axes=axes)
    np.testing.assert_allclose(plus[2], minus[2], rtol=1e-6)
    coarse, fine, _ = (plus - minus) * (plus + minus)
    return plus[2], coarse, fine


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_the_flow_lands_at_the_minimiser(scale):
    """GD's bias is of first order in the step, so it is what halving the step changes."""
    for alpha, coarse, fine in zip(*_two_steps(scale), strict=True):
        bias = np.abs(coarse - fine).max()
        best = _minimiser(alpha)
        assert np.abs(fine - best).max() < 2 * bias + 1e-4
        assert bias < 0.02
        # Another potential's minimiser is not where it lands: here that of equal alphas.
        wrong = _minimiser(np.full(WIDTH, np.sqrt(np.mean(alpha**2))))
        assert np.abs(fine - wrong).max() > 2 * bias + 1e-4


def test_small_starts_give_the_smallest_l1_norm_and_large_ones_the_smallest_l2_norm():
    sparse = optimize.linprog(np.ones(8), A_eq=np.hstack([X, -X]), b_eq=Y)
    smallest = np.linalg.pinv(X) @ Y
    for alpha in _two_steps(1.0)[0]:
        l1 = np.abs(_minimiser(1e-8 * alpha)).sum()
        np.testing.assert_allclose(l1, sparse.fun, rtol=0.1)
        np.testing.assert_allclose(_minimiser(np.full(WIDTH, 1e3)), smallest, atol=1e-4)
