"""Canonical form: the same function, one point of each orbit, and the divergences it keeps."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from sweep_engine.models import build
from sweep_engine.models.canonical import HOMOGENEOUS, ODD, canonicalise
from sweep_engine.models.dense import dense_layers
from sweep_engine.spec.models import Diagonal, Linear, Mlp
from tests.statistics import StatisticalFailure, assert_p_value

CASES = [
    ("relu", (4, 3), True),
    ("tanh", (3, 4, 3), True),
    ("gelu", (5,), True),
    ("sin", (4, 3), False),
    ("linear", (4, 3), False),
]


def transformed(network, theta, rng, *, scaling=False):
    """theta after a random symmetry: permutations, signs, and positive scales where asked for."""
    params = jax.tree.map(np.array, network.layout.unflatten(jnp.asarray(theta)))
    activation = network.module.activation
    for i in range(len(params) - 1):
        here, after = params[f"Dense_{i}"], params[f"Dense_{i + 1}"]
        size = here["kernel"].shape[1]
        order = rng.permutation(size)
        sign = rng.choice([-1.0, 1.0], size) if activation in ODD else np.ones(size)
        scale = rng.lognormal(size=size) if scaling and activation in HOMOGENEOUS else sign * sign
        for name in here:
            here[name] = ((sign * scale) * here[name])[..., order].astype(here[name].dtype)
        outgoing = (sign / scale)[:, None] * after["kernel"]
        after["kernel"] = outgoing[order].astype(after["kernel"].dtype)
    return np.asarray(network.layout.flatten(params))


def canonical(network, theta, **how):
    return np.asarray(jax.jit(lambda theta: canonicalise(network, theta, **how).theta)(theta))


def outputs(network, *thetas):
    """What networks of one kind make of 20 inputs."""
    inputs = np.random.default_rng(9).normal(size=(20, 3)).astype(np.float32)
    apply = jax.jit(lambda theta: network.apply(network.layout.unflatten(theta), inputs))
    return [np.asarray(apply(theta)) for theta in thetas]


def canonical_rows(network, thetas, scaling):
    form = jax.jit(jax.vmap(lambda theta: canonicalise(network, theta, scaling=scaling)))
    return jax.tree.map(np.asarray, form(np.stack(thetas)))


def case(activation, widths, bias, seed=0):
    network = build(Mlp(widths=widths, activation=activation, bias=bias), (3,), 2)
    rng = np.random.default_rng(seed)
    return network, rng.normal(size=network.layout.num_params).astype(np.float32), rng


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize(("activation", "widths", "bias"), CASES)
def test_the_function_stays_and_every_symmetry_leads_to_one_point(
    activation, widths, bias, scaling
):
    network, theta, rng = case(activation, widths, bias)
    exact = not (scaling and activation in HOMOGENEOUS)
    moved = [transformed(network, theta, rng, scaling=not exact) for _ in range(5)]
    found = canonical_rows(network, [theta, *moved], scaling)
    before, after = outputs(network, theta, found.theta[0])
    # float32 sums of up to 5 products through 4 layers, of numbers of the outputs' size.
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())
    if exact:
        assert np.array_equal(found.theta, found.theta[:1].repeat(6, axis=0))
    np.testing.assert_allclose(found.theta[1:], found.theta[:1].repeat(5, 0), rtol=1e-5, atol=1e-5)
    assert not found.undecided.any()
    group = sum(math.lgamma(w + 1) + w * math.log(2) * (activation in ODD) for w in widths)
    np.testing.assert_allclose(found.log_orbit, group, rtol=1e-6)


def form_of_relu(network, theta, scaling):
    """The definition in NumPy, which compiles nothing: scale and sort, layer by layer."""
    kernels, biases, _ = dense_layers(network, theta)
    for i in range(len(kernels) - 1):
        incoming, outgoing = np.vstack([kernels[i], biases[i]]), kernels[i + 1]
        if scaling:
            size = np.linalg.norm(incoming, axis=0)
            incoming, outgoing = incoming / size, outgoing * size[:, None]
        order = np.lexsort(np.vstack([incoming, outgoing.T])[::-1])
        kernels[i], biases[i] = incoming[:-1, order], incoming[-1, order]
        kernels[i + 1] = outgoing[order]
    pairs = zip(kernels, biases, strict=True)
    return np.concatenate([part.ravel() for pair in pairs for part in pair])


@pytest.mark.parametrize("scaling", [False, True])
def test_a_compiled_form_is_the_one_that_is_computed_step_by_step(scaling):
    """A compiler once found units behind themselves, and took one of them twice."""
    network = build(Mlp(widths=(6, 5), activation="relu"), (4,), 1)
    alone = jax.jit(lambda theta: canonicalise(network, theta, scaling=scaling).theta)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=network.layout.num_params).astype(np.float32)
        expected = form_of_relu(network, theta, scaling)
        np.testing.assert_allclose(alone(theta), expected, rtol=1e-4, atol=1e-6)


def test_scaling_makes_every_incoming_side_a_unit_vector():
    network, theta, _ = case("relu", (4, 3), True)
    params = network.layout.unflatten(canonical(network, theta, scaling=True))
    for layer in ("Dense_0", "Dense_1"):
        incoming = np.vstack([params[layer]["kernel"], params[layer]["bias"]])
        np.testing.assert_allclose(np.linalg.norm(incoming, axis=0), 1.0, rtol=1e-6)


def test_a_form_that_forgets_the_bias_would_be_caught():
    network, theta, _ = case("tanh", (5,), True)
    params = jax.tree.map(np.array, network.layout.unflatten(jnp.asarray(theta)))
    order = np.argsort(params["Dense_0"]["kernel"][0])
    params["Dense_0"]["kernel"] = params["Dense_0"]["kernel"][:, order]
    params["Dense_1"]["kernel"] = params["Dense_1"]["kernel"][order]
    before, after = outputs(network, theta, np.asarray(network.layout.flatten(params)))
    assert np.abs(after - before).max() > 1e-2


def orbits(network, values):
    """Every theta with entries among `values`, its form and its ln |orbit|."""
    points = np.array(list(itertools.product(values, repeat=network.layout.num_params)), np.float32)
    found = jax.jit(jax.vmap(lambda theta: canonicalise(network, theta)))(points)
    return points, np.asarray(found.theta), np.exp(np.asarray(found.log_orbit, float)), found


@pytest.mark.parametrize(
    ("activation", "widths", "values"),
    [("tanh", (2,), (-1, 0, 1)), ("tanh", (3,), (-1, 1)), ("gelu", (3,), (0, 1))],
)
def test_one_point_of_each_orbit_with_equal_and_dead_units_too(activation, widths, values):
    """On a lattice that the group maps to itself, orbits can be counted and their sizes added.

    Most of these points have equal units, or units of zeros.
    """
    network = build(Mlp(widths=widths, activation=activation), (1,), 1)
    points, forms, sizes, found = orbits(network, values)
    members = {tuple(form) for form in forms}
    assert members <= set(map(tuple, points))
    is_form = np.all(points == forms, axis=1)
    assert is_form.sum() == len(members)
    np.testing.assert_allclose(sizes[is_form].sum(), len(points), rtol=1e-5)
    index = {form: i for i, form in enumerate(members)}
    counted = np.bincount([index[tuple(form)] for form in forms])
    np.testing.assert_allclose([counted[index[tuple(f)]] for f in forms], sizes, rtol=1e-5)
    assert not np.any(found.undecided)


def test_what_is_not_decided_is_counted():
    network = build(Mlp(widths=(3, 2), activation="tanh"), (1,), 1)
    params = jax.tree.map(lambda x: np.arange(1.0, 1.0 + x.size).reshape(x.shape),
                          jax.eval_shape(network.init, jax.random.key(0)))  # fmt: skip
    form = jax.jit(lambda theta: canonicalise(network, theta))

    def count():
        return int(form(network.layout.flatten(params)).undecided)

    assert count() == 0
    params["Dense_0"]["kernel"][0, :2], params["Dense_0"]["bias"][:2] = 5.0, 7.0
    assert count() == 2
    params["Dense_0"]["kernel"][0, 2], params["Dense_0"]["bias"][2] = 0.0, 0.0
    assert count() == 3


def test_units_of_one_direction_are_counted_under_scaling():
    network = build(Mlp(widths=(3,), activation="relu", bias=False), (2,), 1)
    theta = np.array([1.0, 3.0, 2.0, 2.0, 6.0, -1.0, 1.0, 1.0, 1.0], np.float32)
    assert canonical_rows(network, [theta], True).undecided.tolist() == [2]
    assert canonical_rows(network, [theta], False).undecided.tolist() == [0]


def test_a_network_without_hidden_units_stays_as_it_is():
    network = build(Linear(), (3,), 2)
    theta = np.arange(8, dtype=np.float32) - 3
    assert np.array_equal(canonical(network, theta), theta)


def test_only_chains_of_dense_layers_have_a_form():
    network = build(Diagonal(), (3,), 1)
    with pytest.raises(ValueError, match="needs a model of dense layers"):
        canonicalise(network, jnp.zeros(6))


# --- the KL of N(0, 1) from N(0, 4) ------------------------------------------------------------


def gaussian_kl(num_params):
    return num_params * (math.log(2) + 1 / 8 - 1 / 2)


def test_permutations_and_signs_keep_the_kl():
    """Gauss-Hermite quadrature over the canonical points alone, each with its |orbit|.

    The rule is exact for polynomials and invariant under the group; pairs of equal nodes are
    orbits of another size.
    """
    network = build(Mlp(widths=(2,), activation="tanh", bias=False), (1,), 1)
    nodes, weights = special.roots_hermitenorm(6)
    points, forms, sizes, _ = orbits(network, nodes)
    is_form = np.all(points == forms, axis=1)
    mass = np.prod(np.array(list(itertools.product(weights, repeat=4))), axis=1) / (4 * np.pi**2)
    p, q = (stats.norm.logpdf(points, scale=s).sum(axis=1) for s in (1.0, 2.0))
    assert is_form.sum() < len(points) / 6
    np.testing.assert_allclose((mass * sizes)[is_form].sum(), 1.0, rtol=1e-5)
    kl = ((mass * sizes) * (p - q))[is_form].sum()
    np.testing.assert_allclose(kl, gaussian_kl(4), rtol=1e-5)
    wrong = (mass * 2 * (p - q))[is_form].sum()  # |orbit| of the permutations alone
    assert abs(wrong - gaussian_kl(4)) > 0.1


def canonical_kl():
    """KL of the laws of ab: a, b ~ N(0, v), of density K0(|c|/v)/(pi v), v = 1 against v = 4."""

    def integrand(c):
        log_p, log_q = (np.log(special.k0e(c / v) / (np.pi * v)) - c / v for v in (1.0, 4.0))
        return 2 * np.exp(log_p) * (log_p - log_q)

    return integrate.quad(integrand, 0, np.inf, epsabs=1e-10, limit=200)[0]


def test_the_kl_falls_under_scaling():
    np.testing.assert_allclose(gaussian_kl(2), 0.636294, atol=1e-6)
    np.testing.assert_allclose(canonical_kl(), 0.452, atol=5e-4)


def test_the_scaled_form_of_ab_is_the_product():
    """f = abx: |a| = 1, its sign is b's, and b becomes ab, of the law integrated above."""
    network = build(Mlp(widths=(1,), activation="linear", bias=False), (1,), 1)
    draws = np.random.default_rng(3).normal(size=(4000, 2)).astype(np.float32)
    forms = canonical_rows(network, draws, True).theta
    np.testing.assert_allclose(forms[:, 0], 1.0, rtol=1e-6)
    np.testing.assert_allclose(forms[:, 1], draws.prod(axis=1), rtol=1e-5)

    def below(c):
        tail = integrate.quad(special.k0, 0, abs(c))[0] / np.pi
        return 0.5 + np.sign(c) * tail

    grid = np.linspace(-6, 6, 241)
    cdf = np.array([below(c) for c in grid])

    def law(x):
        return np.interp(x, grid, cdf)

    assert_p_value(stats.kstest(forms[:, 1], law).pvalue, "canonical b is not of the law of ab")
    with pytest.raises(StatisticalFailure):
        assert_p_value(stats.kstest(draws[:, 1], law).pvalue, "b itself is not")
