"""Does gradient flow of theta close on phi(theta)? Against theory, over 1,000 starts each.

Balanced and relaxed balanced starts of deep linear networks, scalar and diagonal products and
relu paths: yes. Generic starts of linear networks: no, also of depth 2 where the hidden layer has
two units or more: W2 W1 stays along (W2 A, -A W1), and with P = W2'W2 and Q = W1 W1' the
difference P - Q where P A + A'P + Q A' + A Q = 0. M stays too only if A is skew, and then A
commutes with P - Q: for all skew A only if that is lambda I.
"""

from itertools import pairwise

import numpy as np
import pytest

from sweep_engine.lanes import STEADY, Program, over_lanes
from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.spec.models import Diagonal, Mlp, ScalarFactorisation
from sweep_engine.spec.observables import IntrinsicDynamics
from sweep_engine.tasks import SQUARED
from tests.observables.outcomes import outcome_at

STARTS = 1000


def linear(*widths, bias=False):
    return Mlp(widths=widths, activation="linear", bias=bias)


def measure(model, inputs, outputs, thetas):
    """The columns of every theta, in one program."""
    network = build(model, (inputs,), outputs)
    (observable,) = observables((IntrinsicDynamics(),))
    x = np.zeros((1, inputs))

    def compute(theta):
        return observable.compute(outcome_at(network, theta, SQUARED, x, np.zeros(1)))

    found = Program(over_lanes(compute), options=STEADY)(np.asarray(thetas, np.float32))
    return {name: np.asarray(value) for name, value in found.items()}


def generic(model, inputs, outputs):
    size = build(model, (inputs,), outputs).layout.num_params
    return np.random.default_rng(0).normal(size=(STARTS, size))


def balanced(widths, lambdas=0.0, seed=0):
    """W = U_l S_l U_(l-1)' with S_(l+1)^2 = S_l^2 + lambda_l, lambda uniform up to `lambdas`."""
    rng = np.random.default_rng(seed)
    rank = min(widths)
    values = np.abs(rng.normal(size=(STARTS, rank))) + 0.1
    frames = [np.linalg.qr(rng.normal(size=(STARTS, n, n)))[0][:, :, :rank] for n in widths]
    kernels = []
    for before, after in pairwise(frames):
        kernels.append((before * values[:, None]) @ after.transpose(0, 2, 1))
        values = np.sqrt(values**2 + rng.uniform(0, lambdas, size=(STARTS, 1)))
    return np.concatenate([kernel.reshape(STARTS, -1) for kernel in kernels], axis=1)


@pytest.mark.parametrize(
    ("widths", "lambdas"),
    [((2, 2, 2), 1.0), ((2, 2, 2, 2), 0.0), ((2, 2, 2, 2), 1.0), ((2, 3, 4, 2), 0.0)],
    ids=str,
)
def test_balanced_linear_networks_close(widths, lambdas):
    """To rounding; not along the directions that keep phi alone."""
    model = linear(*widths[1:-1])
    found = measure(model, widths[0], widths[-1], balanced(widths, lambdas))
    assert found["is_intrinsic"].all()
    assert found["intrinsic_defect"].max() < 1e-4
    assert (found["free_directions"] > 0).all()
    assert found["lifting_defect"].min() > 0.5


@pytest.mark.parametrize("widths", [(2, 2, 2), (2, 2, 2, 2), (1, 3, 3, 1), (2, 3, 1)], ids=str)
def test_generic_linear_networks_do_not(widths):
    model = linear(*widths[1:-1])
    found = measure(model, widths[0], widths[-1], generic(model, widths[0], widths[-1]))
    assert not found["is_intrinsic"].any()
    assert np.median(found["intrinsic_defect"]) > 0.5


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (linear(3), 1),  # phi is one number, and M a function of it and of what is conserved
        (linear(1, 1), 1),
        (Mlp(widths=(3, 2), activation="relu"), 2),
        (Diagonal(), 3),
        (ScalarFactorisation(), 1),
    ],
    ids=str,
)
def test_products_and_paths_close_from_every_start(model, inputs):
    """But on phi alone, without what is conserved, they do not."""
    found = measure(model, inputs, 1, generic(model, inputs, 1))
    assert found["is_intrinsic"].all()
    assert (found["free_directions"] == 0).all()
    assert (found["conserved_rank"] == found["conserved_count"]).all()
    assert np.median(found["lifting_defect"]) > 0.5


def exact_defect(theta):
    """That of a network 2-2-2 by the equation of its directions, in float64."""
    u, v = theta[4:].reshape(2, 2).T, theta[:4].reshape(2, 2)  # phi = u v' as matrices, v = W1'
    p, q = u.T @ u, v.T @ v
    units = np.eye(4).reshape(4, 2, 2)
    equation = [p @ a + a.T @ p + q @ a.T + a @ q for a in units]
    a = np.linalg.svd(np.reshape(equation, (4, 4)).T)[2][-1].reshape(2, 2)
    du, dv = u @ a, -v @ a.T
    length = np.sqrt(np.sum(du**2) + np.sum(dv**2))
    eye = np.eye(2)

    def metric(left, right):
        return np.kron(right, eye) + np.kron(eye, left)

    change = metric(du @ u.T + u @ du.T, dv @ v.T + v @ dv.T) / length
    own = metric(u @ u.T, v @ v.T)
    return np.linalg.norm(change) / np.linalg.norm(own) * np.linalg.norm(theta)


def test_the_defect_of_two_layers_by_hand():
    thetas = generic(linear(2), 2, 2).astype(np.float32)
    found = measure(linear(2), 2, 2, thetas)
    expected = [exact_defect(theta.astype(float)) for theta in thetas[:50]]
    np.testing.assert_allclose(found["intrinsic_defect"][:50], expected, rtol=1e-3)
    assert (found["free_directions"] == 1).all()
    assert (found["lifting_rank"] == 4).all()
    scaled = measure(linear(2), 2, 2, 8 * thetas)
    np.testing.assert_allclose(scaled["intrinsic_defect"], found["intrinsic_defect"], rtol=1e-3)


def test_what_is_not_finite_is_not_intrinsic():
    found = measure(linear(2), 2, 2, np.full((2, 8), np.nan))
    assert not found["is_intrinsic"].any()
    assert np.isnan(found["intrinsic_defect"]).all()
    assert np.isnan(found["rank_gap"]).all()
