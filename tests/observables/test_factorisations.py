"""Liftings and conserved quantities: against NumPy, gradients, and what theory counts."""

from functools import cache
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.models import build
from sweep_engine.observables.factorisations import factorisation
from sweep_engine.observables.factorisations.coordinatewise import DiagonalPowers
from sweep_engine.spec.models import Diagonal, MatrixFactorisation, Mlp, ScalarFactorisation

RNG = np.random.default_rng(3)


def linear(*widths, bias=False):
    return Mlp(widths=widths, activation="linear", bias=bias)


def relu(*widths, bias=False):
    return Mlp(widths=widths, activation="relu", bias=bias)


CASES = [
    (linear(4), 3, 2),
    (linear(3, 4, bias=True), 2, 2),
    (relu(4), 3, 2),
    (relu(3, 2, bias=True), 2, 2),
    (Diagonal(), 4, 1),
    (ScalarFactorisation(), 1, 1),
    (Diagonal(depth=3), 4, 1),
    (MatrixFactorisation(depth=3, width=3), (3, 2), 1),
]
every_model = pytest.mark.parametrize("case", CASES, ids=str)


@cache
def known(model, inputs, outputs):
    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    return factorisation(build(model, shape, outputs))


def drawn(of, seed=1):
    """A generic theta; of seed 1 no relu layer is dead."""
    size = of.network.layout.num_params
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def flat(of, theta):
    return jnp.concatenate([h.ravel() for h in of.conserved(theta)])


def slopes(of, theta, *functions):
    """How fast each moves along the gradient of a loss, as a share of what it could; largest."""
    x = np.random.default_rng(1).normal(size=(7, *of.network.input_shape)).astype(np.float32)

    def loss(theta):
        outputs = of.network.apply(of.network.layout.unflatten(theta), x)
        return jnp.mean(jnp.sin(outputs) + outputs**2)

    def share(theta, function):
        gradient = jax.grad(loss)(theta)
        jacobian = jax.jacfwd(function)(theta)
        lengths = jnp.linalg.norm(jacobian, axis=1) * jnp.linalg.norm(gradient)
        return jnp.max(jnp.abs(jacobian @ gradient) / lengths)

    return jax.jit(lambda theta: [share(theta, function) for function in functions])(theta)


@every_model
def test_gradient_flow_of_any_loss_conserves_them(case):
    """The biases count with what goes in: without them it is not so."""
    of = known(*case)

    def without(theta):
        leaves = of.network.layout.leaves
        kept = [theta[x.offset : x.offset + x.size] * (not x.is_bias) for x in leaves]
        return flat(of, jnp.concatenate(kept))

    wrong = without if any(leaf.is_bias for leaf in of.network.layout.leaves) else jnp.square
    kept, moved = slopes(of, drawn(of), lambda theta: flat(of, theta), wrong)
    # A sum of some tens of products in float32, as a share of the product of their norms.
    assert kept < 2e-6
    assert moved > 1e-2


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_diagonal_products_of_any_depth(depth):
    """The flow u' = -g L u^(L-1), v' = g L v^(L-1) keeps h, whatever g; another L's it does not."""
    of = DiagonalPowers(build(Diagonal(), (4,), 1), depth=depth)
    theta = np.abs(drawn(of)) + 0.5
    pull = jnp.asarray(RNG.normal(size=4), jnp.float32)
    flow = jax.grad(lambda theta: -jnp.dot(of.lift(theta), pull))(theta)
    kept = jax.jvp(lambda theta: of.conserved(theta)[0], (theta,), (flow,))[1]
    np.testing.assert_allclose(kept, 0, atol=1e-5)
    other = DiagonalPowers(of.network, depth=depth % 3 + 2)
    moved = jax.jvp(lambda theta: other.conserved(theta)[0], (theta,), (flow,))[1]
    assert np.abs(moved).max() > 0.1


def matrices(of, theta):
    """W of every layer, mapping columns to columns, and b."""
    layers = of.layers(theta)
    kernels = [np.asarray(kernel, float).T for kernel in layers.kernels]
    zeros = [np.zeros(len(kernel)) for kernel in kernels]
    return kernels, zeros if layers.biases is None else [
        np.asarray(b, float) for b in layers.biases
    ]


@pytest.mark.parametrize("case", [*CASES[:4], CASES[7]], ids=str)
def test_the_conserved_quantities_of_chains_by_numpy(case):
    of = known(*case)
    w, b = matrices(of, drawn(of))
    found = of.conserved(drawn(of))
    assert len(found) == len(w) - 1
    for i, h in enumerate(found):
        expected = w[i + 1].T @ w[i + 1] - w[i] @ w[i].T - np.outer(b[i], b[i])
        if h.ndim == 1:
            expected = -np.diag(expected)
        np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-5)


def test_the_conserved_quantities_of_products_by_hand():
    theta = np.array([3.0, 2.0], np.float32)
    assert known(*CASES[5]).conserved(theta)[0].tolist() == [5.0]
    minus, plus = np.arange(1.0, 5), np.arange(5.0, 9)
    found = known(*CASES[4]).conserved(np.concatenate([minus, plus]).astype(np.float32))[0]
    assert found.tolist() == [5.0, 12.0, 21.0, 32.0]


SHAPES = [
    (linear(2), 2, 2), (linear(3), 1, 1), (linear(5), 1, 1), (linear(3, 3), 1, 1),
    (linear(4, 6), 1, 1), (linear(1, 2), 3, 3), (linear(5, bias=True), 1, 1),
    (linear(2, 2, bias=True), 2, 2), *CASES[2:],
]  # fmt: skip


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_as_many_are_independent_as_theory_counts(case):
    """The rank of dh, at three generic points, in float64."""
    of = known(*case)
    jacobian = jax.jit(jax.jacfwd(lambda theta: flat(of, theta)))
    for seed in range(3):
        values = np.linalg.svd(np.asarray(jacobian(drawn(of, seed)), float), compute_uv=False)
        assert np.sum(values > 1e-5 * values[0]) == of.num_conserved
    hidden = case[0].widths if isinstance(case[0], Mlp) else ()
    naive = sum(n * (n + 1) // 2 for n in hidden)  # wrong where hidden layers are too wide
    if case in (SHAPES[1], SHAPES[2], SHAPES[4], SHAPES[6]):
        assert of.num_conserved < naive


def paths(of, theta):
    """The product of the weights along every path, sorted: unit by unit from where it starts."""
    w, b = matrices(of, theta)
    starts = [(0, i, 1.0) for i in range(w[0].shape[1])]
    if of.has_biases:
        starts += [(layer + 1, j, x) for layer, each in enumerate(b) for j, x in enumerate(each)]
    found = []
    for first, unit, value in starts:
        for units in product(*(range(len(each)) for each in w[first:])):
            steps = zip(w[first:], pairwise((unit, *units)), strict=True)
            found.append(value * np.prod([layer[j, i] for layer, (i, j) in steps]))
    return np.sort(found)


@pytest.mark.parametrize("case", [CASES[2], CASES[3], (relu(2, 3, 2), 3, 1)], ids=str)
def test_relu_networks_are_lifted_to_their_paths(case):
    of = known(*case)
    found = np.asarray(of.lift(drawn(of)))
    assert found.shape == (of.size,)
    np.testing.assert_allclose(np.sort(found), paths(of, drawn(of)), rtol=1e-5, atol=1e-6)


def test_a_product_of_matrices_is_lifted_to_the_matrix_that_it_is():
    """Of <A, M> with A = E_ij, transposed as kernels are."""
    of = known(*CASES[7])
    basis = np.eye(6, dtype=np.float32).reshape(6, 3, 2)
    entries = of.network.apply(of.network.layout.unflatten(drawn(of)), basis)[:, 0]
    found = np.asarray(of.lift(drawn(of))).reshape(2, 3).T.ravel()
    np.testing.assert_allclose(found, entries, rtol=1e-5, atol=1e-6)
    assert factorisation(build(MatrixFactorisation(depth=1, width=3), (3, 2), 1)) is None


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_linear_networks_are_lifted_to_the_affine_map_that_they_are(case):
    of = known(*case)
    x = RNG.normal(size=(5, case[1])).astype(np.float32)
    rows = np.asarray(of.lift(drawn(of))).reshape(-1, case[2])
    assert rows.size == of.size
    inputs = np.hstack([x, np.ones((5, 1))]) if of.has_biases else x
    outputs = of.network.apply(of.network.layout.unflatten(drawn(of)), x)
    np.testing.assert_allclose(inputs @ rows, outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_rescaling_a_unit_keeps_the_lifting_and_its_projections(case):
    """By a power of two, so that nothing is rounded; what goes in alone changes it."""
    of = known(*case)
    theta = drawn(of)
    kernels, biases, _ = of.layers(jnp.arange(len(theta)))
    incoming = [*kernels[0][:, 1], *([] if biases is None else [biases[0][1]])]
    scaled = theta.copy()
    scaled[np.array(incoming)] *= 4
    key = jax.random.key(0)
    assert not np.allclose(of.lift(scaled), of.lift(theta))
    assert not np.isclose(of.project(scaled, key), of.project(theta, key))
    scaled[np.asarray(kernels[1][1])] /= 4
    np.testing.assert_allclose(of.lift(scaled), of.lift(theta), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of.project(scaled, key), of.project(theta, key), rtol=1e-4)


@every_model
def test_projections_are_scalar_products_on_average(case):
    """Within 5 standard errors over 4,096 keys; without signs it is not so."""
    of, one = known(*case), drawn(known(*case))
    other = (one + 0.5 * drawn(of, 2)).astype(np.float32)
    keys = jax.random.split(jax.random.key(1), 4096)
    both = jax.jit(jax.vmap(lambda key: of.project(one, key) * of.project(other, key)))
    products = np.asarray(both(keys), float)
    phi, psi = np.asarray(of.lift(one), float), np.asarray(of.lift(other), float)
    stderr = products.std() / len(keys) ** 0.5
    assert abs(products.mean() - phi @ psi) <= 5 * stderr + 1e-5 * abs(phi @ psi)
    if of.size > 1:
        assert abs(phi.sum() * psi.sum() - phi @ psi) > 5 * stderr


@every_model
def test_distances_are_those_of_the_listed_coordinates(case):
    """Also where the two are so close that squares of phi would cancel."""
    of, theta = known(*case), drawn(known(*case))
    distance = jax.jit(of.distance)
    for size, accuracy in ((1.0, 1e-5), (1e-4, 2e-2)):
        start = (theta + size * drawn(of, 2)).astype(np.float32)
        with jax.enable_x64(True):
            points = [of.lift(jnp.asarray(point, jnp.float64)) for point in (theta, start)]
            expected = float(np.linalg.norm(np.subtract(*points)))
        np.testing.assert_allclose(distance(theta, start), expected, rtol=accuracy)
    assert distance(theta, theta) == 0
