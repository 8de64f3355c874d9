"""What gradient flow conserves: the columns by NumPy, and how finite steps drift."""

from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.singular_values import symmetric_eigenvalues
from sweep_engine.spec.models import Diagonal, Mlp
from sweep_engine.tasks import SQUARED
from tests.observables.outcomes import outcome_at

(OBSERVABLE,) = observables(("conservation",))
LINEAR = build(Mlp(widths=(3, 2), activation="linear", bias=False), (2,), 1)
RELU = build(Mlp(widths=(3, 2), activation="relu"), (2,), 1)
SHAPES = [(2, 3), (3, 2), (2, 1)]
RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(8, 2)), RNG.normal(size=8)
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def compute(network, theta, start=None):
    def columns(theta, start):
        outcome = outcome_at(network, theta, SQUARED, X, Y)
        return OBSERVABLE.compute(replace(outcome, start=start))

    found = jax.jit(columns)(theta, start)
    return {name: np.asarray(value) for name, value in found.items()}


def drawn(network, seed):
    return np.random.default_rng(seed).normal(size=network.layout.num_params)


def kernels(theta):
    ends = np.cumsum([rows * columns for rows, columns in SHAPES])
    return [part.reshape(shape) for part, shape in zip(np.split(theta, ends), SHAPES, strict=False)]


def imbalances(theta):
    w = kernels(theta)
    return [after @ after.T - before.T @ before for before, after in pairwise(w)]


def test_linear_layers_by_numpy():
    theta, start = drawn(LINEAR, 0), drawn(LINEAR, 1)
    found, h = compute(LINEAR, theta, start), imbalances(theta)
    values = [np.linalg.eigvalsh(each) for each in h]
    np.testing.assert_allclose(found["layer_imbalances"], [np.linalg.norm(x) for x in h], **CLOSE)
    np.testing.assert_allclose(found["imbalance"], np.linalg.norm(np.concatenate(values)), **CLOSE)
    means = [np.trace(each) / len(each) for each in h]
    np.testing.assert_allclose(found["layer_imbalance_means"], means, **CLOSE)
    relaxed = [np.linalg.norm(x - m * np.eye(len(x))) for x, m in zip(h, means, strict=True)]
    np.testing.assert_allclose(found["layer_relaxed_imbalances"], relaxed, **CLOSE)
    np.testing.assert_allclose(found["layer_imbalance_mins"], [v[0] for v in values], **CLOSE)
    np.testing.assert_allclose(found["layer_imbalance_maxs"], [v[-1] for v in values], **CLOSE)
    assert found["imbalance_converged"]
    drifts = [np.linalg.norm(a - b) for a, b in zip(h, imbalances(start), strict=True)]
    np.testing.assert_allclose(found["layer_conserved_drifts"], drifts, **CLOSE)
    np.testing.assert_allclose(found["conserved_drift"], np.linalg.norm(drifts), **CLOSE)


def test_relu_units_by_numpy():
    theta = drawn(RELU, 0)
    w1, b1, w2, b2, w3, _ = np.split(theta, np.cumsum([6, 3, 6, 2, 2]))
    first = (w1.reshape(2, 3) ** 2).sum(0) + b1**2 - (w2.reshape(3, 2) ** 2).sum(1)
    second = (w2.reshape(3, 2) ** 2).sum(0) + b2**2 - w3**2
    found = compute(RELU, theta)
    np.testing.assert_allclose(
        found["layer_imbalances"], [np.linalg.norm(first), np.linalg.norm(second)], **CLOSE
    )
    np.testing.assert_allclose(found["layer_imbalance_mins"], [first.min(), second.min()], **CLOSE)
    np.testing.assert_allclose(found["layer_imbalance_maxs"], [first.max(), second.max()], **CLOSE)
    deviations = [first.std() * 3**0.5, second.std() * 2**0.5]
    np.testing.assert_allclose(found["layer_relaxed_imbalances"], deviations, **CLOSE)
    assert found["imbalance_converged"]


def test_relaxed_balance_is_told_from_balance():
    """W2 = sqrt(2) U, W1 = U': W2'W2 - W1 W1' = I."""
    network = build(Mlp(widths=(2,), activation="linear", bias=False), (2,), 2)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    found = compute(network, np.concatenate([turn.ravel(), 2**0.5 * turn.ravel()]))
    np.testing.assert_allclose(found["layer_imbalances"], [2**0.5], rtol=1e-6)
    np.testing.assert_allclose(found["layer_imbalance_means"], [1.0], rtol=1e-6)
    np.testing.assert_allclose(found["layer_relaxed_imbalances"], [0.0], atol=1e-6)


def test_without_a_start_there_is_no_drift_and_at_the_start_none():
    theta = drawn(RELU, 0)
    at_start = compute(RELU, theta, theta)
    assert set(at_start) - set(compute(RELU, theta)) == {
        "conserved_drift",
        "layer_conserved_drifts",
    }
    assert at_start["conserved_drift"] == 0


def test_what_is_not_finite_has_not_converged():
    found = compute(LINEAR, np.full(LINEAR.layout.num_params, np.nan))
    assert np.isnan(found["imbalance"])
    assert not found["imbalance_converged"]
    diagonal = build(Diagonal(), (2,), 1)
    assert not compute(diagonal, np.array([1.0, np.inf, 1.0, 1.0]))["imbalance_converged"]


def descend(theta, rate, momentum=0.0, time=2.0):
    """Gradient descent in float64, until the given time: rate x steps / (1 - momentum)."""
    velocity = np.zeros_like(theta)
    for _ in range(round(time * (1 - momentum) / rate)):
        w1, w2, w3 = kernels(theta)
        residuals = ((X @ w1 @ w2 @ w3)[:, 0] - Y)[:, None] / len(X)
        back = residuals @ w3.T
        gradient = (X.T @ (back @ w2.T), (X @ w1).T @ back, (X @ w1 @ w2).T @ residuals)
        velocity = momentum * velocity - rate * np.concatenate([g.ravel() for g in gradient])
        theta = theta + velocity
    return theta


def test_gradient_descent_drifts_as_its_learning_rate_and_momentum_more():
    """At a fixed time: half the rate, half the drift."""
    start = 0.5 * drawn(LINEAR, 3)
    rates = (0.04, 0.02, 0.01)
    drifts = [compute(LINEAR, descend(start, rate), start)["conserved_drift"] for rate in rates]
    assert drifts[0] / drifts[1] == pytest.approx(2, abs=0.2)
    assert drifts[1] / drifts[2] == pytest.approx(2, abs=0.2)
    pushed = compute(LINEAR, descend(start, 0.02, momentum=0.9), start)["conserved_drift"]
    assert pushed > 3 * drifts[1]


def test_symmetric_eigenvalues():
    """To rounding of the norm, of both signs, equal ones and none."""
    halves = RNG.normal(size=(3, 5, 5))
    cases = [*(halves + halves.transpose(0, 2, 1)), np.diag([2.0, 2, -2, -2, 0]), np.zeros((5, 5))]
    find = jax.jit(symmetric_eigenvalues)
    for matrix in np.asarray(cases, np.float32):
        values, converged = find(jnp.asarray(matrix))
        expected = np.linalg.eigvalsh(matrix.astype(float))[::-1]
        np.testing.assert_allclose(values, expected, atol=4e-6 * np.linalg.norm(matrix) + 1e-30)
        assert converged
