"""Lazy or rich: the tangent kernel by hand, models whose kernel stands still, and scaled starts."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.observables.alignment import alignment
from sweep_engine.observables.kernel_movement import tangent_kernel
from sweep_engine.spec.models import Linear, Mlp, ScalarFactorisation
from sweep_engine.spec.observables import KernelMovement
from sweep_engine.tasks import SQUARED, cross_entropy
from tests.observables.outcomes import outcome_at

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 3))


def compute(network, theta, start, *, loss=SQUARED, x=X, y=None, **settings):
    (observable,) = observables((KernelMovement(**settings),))
    y = np.sin(np.arange(len(x))) if y is None else y

    def columns(theta, start):
        outcome = outcome_at(network, theta, loss, x, y, test=(x[::-1].astype(np.float32), y[::-1]))
        return observable.compute(replace(outcome, start=start))

    found = jax.jit(columns)(jnp.asarray(theta, jnp.float32), jnp.asarray(start, jnp.float32))
    return {name: np.asarray(value) for name, value in found.items()}


def test_the_kernel_of_a_product_by_hand():
    """f = abx has K = (a^2 + b^2) x x'."""
    network = build(ScalarFactorisation(), (1,), 1)
    x, y = np.array([[1.0], [2.0], [-1.0]]), np.array([1.0, 2.0, -1.0])
    kernel = tangent_kernel(network, jnp.array([3.0, 4.0]), jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(kernel, 25 * x @ x.T, rtol=1e-6)
    found = compute(network, [3.0, 4.0], [1.0, 2.0], x=x, y=y)
    np.testing.assert_allclose(found["kernel_trace"], 25 * 6 / 3, rtol=1e-6)
    np.testing.assert_allclose(found["kernel_change"], 20 / 5, rtol=1e-6)
    np.testing.assert_allclose(found["layer_relative_changes"], [2.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found["kernel_cka"], 1, rtol=1e-6)
    np.testing.assert_allclose(found["kernel_target_alignment"], 1, rtol=1e-6)


def by_differences(network, theta, x):
    """Sum over outputs of J J', with J by central differences of the outputs."""
    step = 2.0**-6
    apply = jax.jit(lambda theta: network.apply(network.layout.unflatten(theta), x))
    eye = step * np.eye(len(theta), dtype=np.float32)
    sides = [np.asarray(jax.vmap(apply)(theta + sign * eye), float) for sign in (1, -1)]
    jacobian = (sides[0] - sides[1]) / (2 * step)
    return np.einsum("pic,pjc->ij", jacobian, jacobian)


def test_the_columns_by_differences():
    network = build(Mlp(widths=(4,), activation="tanh"), (3,), 3)
    theta, start = RNG.normal(size=(2, network.layout.num_params)).astype(np.float32)
    y = np.array([0, 1, 2, 2, 1, 0])
    found = compute(network, theta, start, loss=cross_entropy(3), y=y, examples=5)
    x = X[:5].astype(np.float32)
    kernels = [by_differences(network, point, x) for point in (theta, start)]
    centre = np.eye(5) - 1 / 5
    one, other, targets = (
        centre @ k @ centre for k in (*kernels, np.equal.outer(y[:5], y[:5]) - 1 / 3)
    )

    def cosine(a, b):
        return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)

    close = {"rtol": 2e-3}  # of differences: a third derivative times step^2 / 6, and rounding
    np.testing.assert_allclose(found["kernel_cka"], cosine(one, other), **close)
    np.testing.assert_allclose(found["kernel_target_alignment"], cosine(one, targets), **close)
    change = np.linalg.norm(kernels[0] - kernels[1]) / np.linalg.norm(kernels[1])
    np.testing.assert_allclose(found["kernel_change"], change, **close)
    np.testing.assert_allclose(found["kernel_trace"], np.trace(kernels[0]) / 5, **close)


def test_the_kernel_of_a_model_linear_in_its_parameters_does_not_move():
    """However far the parameters do; that on the test inputs, in their reverse order, neither."""
    network = build(Linear(), (3,), 1)
    theta, start = RNG.normal(size=(2, 4))
    for inputs in ("train", "test"):
        found = compute(network, theta, start, inputs=inputs)
        assert found["kernel_change"] == 0
        np.testing.assert_allclose(found["kernel_cka"], 1, rtol=1e-6)
        assert found["layer_relative_changes"][0] > 0.1


def test_large_starts_are_lazy_and_small_ones_rich():
    """Gradient descent from alpha times one start, on the outputs less those of the start."""
    network = build(Mlp(widths=(8,), activation="tanh"), (3,), 1)
    first = RNG.normal(size=network.layout.num_params).astype(np.float32)
    y = np.sin(np.arange(len(X)))

    def outputs(theta):
        return network.apply(network.layout.unflatten(theta), jnp.asarray(X, jnp.float32))[:, 0]

    @jax.jit
    def trained(alpha):
        """Chizat, Oyallon & Bach (2019), NeurIPS: alpha (f - f_0), rate over alpha^2."""

        def loss(theta):
            return jnp.mean((alpha * (outputs(theta) - outputs(first)) - y) ** 2) / 2

        def step(theta, _):
            return theta - 0.1 / alpha**2 * jax.grad(loss)(theta), None

        return jax.lax.scan(step, first, length=300)[0]

    found = [compute(network, trained(alpha), first) for alpha in (0.25, 1.0, 4.0, 16.0)]
    changes = [each["kernel_change"] for each in found]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > 0.1 > 0.02 > changes[-1]
    cosines = [each["kernel_cka"] for each in found]
    assert cosines == sorted(cosines)
    assert cosines[-1] > 0.9999


def test_one_input_has_no_centred_kernel():
    network = build(ScalarFactorisation(), (1,), 1)
    found = compute(network, [3.0, 4.0], [1.0, 2.0], x=np.ones((1, 1)))
    assert np.isnan(found["kernel_cka"])
    np.testing.assert_allclose(found["kernel_trace"], 25, rtol=1e-6)


@pytest.mark.parametrize(("inside", "outside"), [(3, 2), (2, 4)], ids=str)
def test_alignment_by_numpy(inside, outside):
    first, second = RNG.normal(size=(4, inside)), RNG.normal(size=(inside, outside))
    left = np.linalg.svd(first.T)[0][:, 0]
    right = np.linalg.svd(second.T)[2][0]
    found = jax.jit(alignment)(jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32))
    np.testing.assert_allclose(found, abs(left @ right), rtol=1e-4)


def test_balanced_layers_are_aligned_and_crossed_ones_are_not():
    (observable,) = observables(("alignment",))
    network = build(Mlp(widths=(2, 2), activation="linear", bias=False), (2,), 2)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    layers = [turn @ np.diag([3.0, 1.0]), np.diag([3.0, 1.0]) @ turn, turn.T @ np.diag([1.0, 3.0])]
    theta = np.concatenate([layer.ravel() for layer in layers])
    found = observable.compute(outcome_at(network, theta, SQUARED, np.ones((1, 2)), np.zeros(1)))
    # The second writes along (0.6, 0.8); the third takes most from turn' e_2 = (-0.8, 0.6).
    np.testing.assert_allclose(found["layer_alignments"], [1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(found["mean_alignment"], 0.5, atol=1e-5)
