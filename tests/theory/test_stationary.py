"""The stationary law of constant-step SGD on a quadratic, and of Langevin noise.

With curvature A of the mean loss and additive gradient noise of covariance C, the stationary
covariance solves A S + S A - eta A S A = eta C; for one parameter it is
eta c / (a (2 - eta a)).
"""

import functools

import numpy as np

from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings
from tests.statistics import assert_catches, assert_mean_within

NUM_RUNS = 20_000
RNG = np.random.default_rng(0)


def _finish(x, y, optimizer, runs, *, steps, std=1.0, axes=None, **source):
    """theta of every setting's runs after the given number of steps."""
    train = {
        "kind": "train",
        "init": {"kind": "gaussian", "std": std},
        "optimizer": optimizer,
        "stop": {"fit": False, "max_steps": steps, "check_every": steps},
        "runs": runs,
    }
    swept = {f"sources.source.{path}": values for path, values in (axes or {}).items()}
    sweep = Sweep(
        name="stationary",
        task={"kind": "regression", "x": x.tolist(), "y": y.tolist()},
        model={"kind": "linear", "bias": False},
        accept={"train_loss": 0.0},
        sources={"source": train | source},
        axes={"zip": [swept]} if swept else {},
    )
    found = settings(sweep)
    programs = open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)
    finished = work(programs, [Piece(setting, 0, runs) for setting in found], Control())
    return finished.solutions.theta.astype(float).reshape(len(found), runs, -1)


def _check(mean, covariance):
    """Mean and all second moments of independent runs."""
    i, j = np.triu_indices(len(mean))

    def check(theta):
        away = theta - mean
        assert_mean_within(theta, mean)
        assert_mean_within(away[:, i] * away[:, j], covariance[i, j])

    return check


# --- Minibatch noise ------------------------------------------------------------------------

TARGETS = RNG.normal(size=16)
RATE, SLOPE = 0.7, 1.2


@functools.cache
def _minibatches(sampling):
    """All inputs are one number, so a minibatch's gradient is that of all plus a mean of noise."""
    x = np.full((len(TARGETS), 1), SLOPE)
    optimizer = {"kind": "sgd", "learning_rate": RATE}
    return _finish(x, TARGETS, optimizer, NUM_RUNS, steps=40, batch_size=4, sampling=sampling)[0]


def test_minibatches_drawn_with_replacement_have_the_stationary_variance():
    """After 40 steps the start weighs |1 - eta a|^40 < 1e-40."""
    a, c = SLOPE**2, SLOPE**2 * TARGETS.var() / 4
    variance = RATE * c / (a * (2 - RATE * a))
    check = _check(np.array([TARGETS.mean() / SLOPE]), np.array([[variance]]))
    check(_minibatches("with_replacement"))
    # Within an epoch the examples of other minibatches are missing: the noise is not fresh.
    assert_catches(check, lambda: _minibatches("without_replacement"))


# --- Langevin noise -------------------------------------------------------------------------

X = RNG.normal(size=(5, 3))
Y = RNG.normal(size=5)
CURVATURE = X.T @ X / 5
TEMPERATURE = 0.3


def _lyapunov(a, c, rate):
    """The covariance that a step leaves as it is: S = (1 - rate A) S (1 - rate A)' + rate^2 C."""
    step = np.kron(np.eye(len(a)) - rate * a, np.eye(len(a)) - rate * a)
    return np.linalg.solve(np.eye(len(step)) - step, rate**2 * c.ravel()).reshape(a.shape)


def _langevin(rates, *, steps, runs=NUM_RUNS, **swept):
    """One setting per learning rate."""
    optimizer = {"kind": "langevin", "temperature": TEMPERATURE}
    axes = {"learning_rate": rates} | swept
    axes = {f"optimizer.{field}": values for field, values in axes.items()}
    return _finish(X, Y, optimizer, runs, steps=steps, axes=axes)


def test_the_matrix_equation():
    """The oracle's own oracle."""
    c, rate = np.diag([1.0, 2.0, 0.5]), 0.4
    s = _lyapunov(CURVATURE, c, rate)
    left = CURVATURE @ s + s @ CURVATURE - rate * CURVATURE @ s @ CURVATURE
    np.testing.assert_allclose(left, rate * c, atol=1e-12)


def test_langevin_has_the_stationary_covariance_at_a_large_step():
    """Gradient noise of covariance 2T / (eta n), which at this step is far from the posterior's."""
    values = np.linalg.eigvalsh(CURVATURE)
    rate = 1.2 / values[-1]
    steps = int(np.ceil(np.log(1e-7) / np.log(1 - rate * values[0])))
    noise = 2 * TEMPERATURE / (rate * len(Y)) * np.eye(3)
    centre = np.linalg.lstsq(X, Y, rcond=None)[0]
    check = _check(centre, _lyapunov(CURVATURE, noise, rate))
    temperatures = [TEMPERATURE, 1.1 * TEMPERATURE, TEMPERATURE]
    right, hotter, slower = _langevin(
        [rate, rate, 0.8 * rate], steps=steps, temperature=temperatures
    )
    check(right)
    assert_catches(check, lambda: hotter)
    assert_catches(check, lambda: slower)


def test_langevin_draws_from_the_posterior_at_a_small_step():
    """exp(-sum of losses / T) N(0, s^2), s by l2 = T / (n s^2), is a Gaussian.

    A step of 1% of the stable one makes its variances up to 0.5% too wide, a third of their
    standard error.
    """
    runs, prior_std = 5_000, 0.4
    penalty = TEMPERATURE / (len(Y) * prior_std**2)
    precision = X.T @ X / TEMPERATURE + np.eye(3) / prior_std**2
    covariance = np.linalg.inv(precision)
    check = _check(covariance @ X.T @ Y / TEMPERATURE, covariance)
    values = np.linalg.eigvalsh(CURVATURE + penalty * np.eye(3))
    rate = 0.01 / values[-1]
    steps = int(np.ceil(np.log(1e-4) / np.log(1 - rate * values[0])))
    right, without_n = _langevin(
        [rate, rate], steps=steps, runs=runs, l2=[penalty, penalty * len(Y)]
    )
    check(right)
    assert_catches(check, lambda: without_n)
