"""Ranks, sparsity and balance against NumPy in float64, and against networks known by hand."""

from functools import cache

import jax
import numpy as np
import pytest
from scipy.linalg import expm

from sweep_engine.models import build, canonicalise
from sweep_engine.observables import observables
from sweep_engine.observables.rank import ranks
from sweep_engine.spec.models import Diagonal, InfinitelyDeepLinear, MatrixFactorisation, Mlp
from sweep_engine.spec.observables import Rank
from sweep_engine.tasks import LOGISTIC, SQUARED
from tests.observables.outcomes import outcome_at

RNG = np.random.default_rng(1)
X = RNG.normal(size=(20, 3))
Y = RNG.normal(size=20)
SHAPES = [(3, 5), (5, 4), (4, 1)]
ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "linear": lambda z: z}
OBSERVABLE = observables((Rank(near_zero=0.1),))[0]


@cache
def network(activation, bias=True):
    return build(Mlp(widths=(5, 4), activation=activation, bias=bias), (3,), 1)


@cache
def program(activation, bias=True):
    made = network(activation, bias)
    return jax.jit(lambda theta: OBSERVABLE.compute(outcome_at(made, theta, SQUARED, X, Y)))


def compute(theta, activation, bias=True):
    found = program(activation, bias)(np.asarray(theta, np.float32))
    return {name: np.asarray(value) for name, value in found.items()}


def layers_of(theta, bias=True):
    """Weights and biases, in the order of theta."""
    parts, start = [], 0
    for shape in SHAPES:
        size = shape[0] * shape[1]
        weights = theta[start : start + size].reshape(shape)
        start += size
        parts.append((weights, theta[start : start + shape[1]] if bias else np.zeros(shape[1])))
        start += shape[1] if bias else 0
    return parts


def joined(layers):
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def theta_of(activation="relu"):
    """Drawn such that no relu unit is dead."""
    return np.random.default_rng(13).normal(size=network(activation).layout.num_params)


def summary(matrix, tolerance=1e-3):
    s = np.linalg.svd(matrix, compute_uv=False)
    p = s[s > 0] / s.sum()
    numerical = np.sum(s > tolerance * s[0])
    return [np.exp(-p @ np.log(p)), s @ s / s[0] ** 2, numerical, s.sum()]


def four(found, of):
    ends = ("effective_rank", "stable_rank", "numerical_rank", "nuclear_norm")
    many = of != "product"
    return np.array([found[f"{of}_{end}{'s' if many else ''}"] for end in ends]).T


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_the_columns_by_numpy(activation):
    theta = theta_of(activation).astype(np.float32).astype(float)
    layers, found = layers_of(theta), compute(theta, activation)
    close = {"rtol": 2e-5, "atol": 2e-5}  # float32 against float64, some hundred operations
    weights = [w for w, _ in layers]
    np.testing.assert_allclose(four(found, "layer"), [summary(w) for w in weights], **close)
    features, x = [], X.astype(np.float32).astype(float)
    for w, b in layers[:-1]:
        x = ACTIVATIONS[activation](x @ w + b)
        features.append(x)
    np.testing.assert_allclose(four(found, "feature"), [summary(f) for f in features], **close)
    np.testing.assert_allclose(
        found["mean_effective_rank"], np.mean([summary(w)[0] for w in weights]), **close
    )
    np.testing.assert_allclose(found["last_feature_rank"], summary(features[-1])[0], **close)
    if activation == "linear":
        expected = summary(np.linalg.multi_dot(weights))
        np.testing.assert_allclose(four(found, "product"), expected, **close)
    else:
        assert not any(name.startswith("product") for name in found)
    small = [np.mean(np.abs(w) <= 0.1 * np.sqrt(np.mean(w**2))) for w in weights]
    np.testing.assert_allclose(found["layer_near_zero_shares"], small, **close)
    sizes = [w.size for w in weights]
    np.testing.assert_allclose(found["near_zero_share"], np.average(small, weights=sizes), **close)
    assert found["ranks_converged"]


def loss(theta):
    x = X
    for w, b in layers_of(theta)[:-1]:
        x = np.tanh(x @ w + b)
    w, b = layers_of(theta)[-1]
    return np.mean(((x @ w + b)[:, 0] - Y) ** 2) / 2


def test_gradient_norms_by_differences():
    theta, step = theta_of("tanh"), 1e-6
    slopes = [(loss(theta + d) - loss(theta - d)) / (2 * step) for d in step * np.eye(len(theta))]
    expected = [np.linalg.norm(w) for w, _ in layers_of(np.array(slopes))]
    found = compute(theta, "tanh")["layer_gradient_norms"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


ranks_of = jax.jit(lambda matrix: ranks(matrix, 1e-3))


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.eye(3), [3, 3, 3, 3]),
        (np.outer([3, 4, 0], [1, 0, 0]), [1, 1, 1, 5]),
        (np.diag([1.0, 1e-2, 0]), [np.exp(0.0555), 1.0001, 2, 1.01]),
        (np.zeros((3, 3)), [np.nan, np.nan, 0, 0]),
        (np.full((3, 3), np.nan), [np.nan] * 4),
    ],
    ids=["identity", "rank one", "a small one", "zero", "no number"],
)
def test_matrices_known_by_hand(matrix, expected):
    """Of two values 1 : 0.01 the entropy is ln 1.01 + 0.01 ln 100 / 1.01 = 0.0555."""
    found = ranks_of(np.asarray(matrix, np.float32))
    np.testing.assert_allclose(found[:4], expected, rtol=1e-4)


def test_dead_saturated_and_duplicate_units():
    """Built by hand: the first layer has a dead unit and two of one direction."""
    layers = layers_of(theta_of())
    w, b = layers[0]
    w[:, 0], b[0] = 0.01, -9  # never on
    w[:, 2], b[2] = 2 * w[:, 1], 2 * b[1]
    found = compute(joined(layers), "relu")
    usual = compute(theta_of(), "relu")
    assert found["dead_units"] == usual["dead_units"] + 1 == 1
    assert found["saturated_units"] == found["dead_units"], "of relu, the two are one"
    assert found["duplicate_units"] == usual["duplicate_units"] + 2 == 2
    usual = 0.3 * theta_of("tanh")
    layers = layers_of(usual.copy())
    w, b = layers[0]
    w[:, 0], b[0] = 0.01, -9  # always -1
    w[:, 1], b[1] = 0, 0
    w[:, 2], b[2] = -w[:, 3], -b[3]
    found, usual = compute(joined(layers), "tanh"), compute(usual, "tanh")
    assert found["saturated_units"] == usual["saturated_units"] + 1 == 1
    assert found["dead_units"] == 1
    assert found["duplicate_units"] == 2, "a sign is no difference"


def test_near_zero_weights_are_counted_beside_their_layer():
    layers = layers_of(theta_of())
    layers[0][0][:] = np.where(np.arange(15).reshape(3, 5) < 6, 1e-3, 1.0)
    layers[1][0][:] *= 1e-3  # small, but all alike
    found = compute(joined(layers), "relu")
    assert found["layer_near_zero_shares"][0] == pytest.approx(6 / 15)
    usual = compute(theta_of(), "relu")["layer_near_zero_shares"]
    np.testing.assert_array_equal(found["layer_near_zero_shares"][1:], usual[1:])


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_balances_are_what_the_gradient_conserves(activation):
    """Their slope along the gradient is 0, along another direction it is not.

    Those of relu units are of degree two: a central difference of any step is their slope.
    """
    theta = np.asarray(theta_of(activation), np.float32)
    made = outcome_at(network(activation), theta, SQUARED, X, Y)
    gradient = np.asarray(jax.jit(jax.grad(made.train_loss))(theta))
    name = "unit_balances" if activation == "relu" else "layer_balances"

    def change(direction):
        step = direction / np.linalg.norm(direction)
        ahead, behind = (compute(theta + d, activation)[name] for d in (step, -step))
        return np.max(np.abs(ahead - behind))

    assert change(gradient) < 1e-4 < 0.1 < change(np.ones_like(theta))


def test_balances_known_by_hand():
    """One unit of incoming (3, 4, 0), bias 2 and outgoing 1: 25 + 4 - 1."""
    theta = np.zeros(network("relu").layout.num_params)
    layers = layers_of(theta)
    layers[0][0][:, 0], layers[0][1][0], layers[1][0][0, 0] = (3, 4, 0), 2, 1
    found = compute(theta, "relu")
    assert found["unit_balances"].tolist() == [0, 0, 0, 0, 28, 0, 0, 0, 1]
    assert found["layer_balances"].tolist() == [28, 1]
    assert compute(theta, "linear")["layer_balances"].tolist() == [28, 1]
    assert "layer_balances" not in compute(theta, "tanh"), "tanh conserves nothing of the kind"


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_the_order_and_the_signs_of_units_change_nothing(activation):
    theta = np.asarray(theta_of(activation), np.float32)
    moved = canonicalise(network(activation), theta).theta
    assert not np.array_equal(moved, theta)
    one, other = compute(theta, activation), compute(moved, activation)
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_diverged_network_has_no_ranks():
    found = compute(np.full(network("relu").layout.num_params, np.nan), "relu")
    assert not found["ranks_converged"]
    for name, value in found.items():
        assert value.dtype != np.float32 or np.all(np.isnan(value)), name


RESCALED = ("dead_units", "saturated_units", "duplicate_units", "feature_numerical_ranks")


def test_rescaling_relu_units():
    """Counts of units and the rank of features stay; what has a scale does not."""
    layers = layers_of(theta_of())
    layers[0][0][:, 0], layers[0][1][0] = 0.01, -9
    scales = np.array([0.5, 1, 2, 3, 1.5])
    moved = [(w.copy(), b.copy()) for w, b in layers]
    moved[0] = (moved[0][0] * scales, moved[0][1] * scales)
    moved[1] = (moved[1][0] / scales[:, None], moved[1][1])
    one, other = compute(joined(layers), "relu"), compute(joined(moved), "relu")
    for name in RESCALED:
        np.testing.assert_array_equal(other[name], one[name], err_msg=name)
    assert not np.allclose(other["unit_balances"], one["unit_balances"])
    assert not np.allclose(other["layer_effective_ranks"], one["layer_effective_ranks"])


@pytest.mark.parametrize(
    "model", [MatrixFactorisation(depth=3, width=2), InfinitelyDeepLinear(cells=2)]
)
def test_the_product_of_a_matrix_that_is_not_of_dense_layers(model):
    made = build(model, (3, 3), 1)
    theta = RNG.normal(size=made.layout.num_params).astype(np.float32)
    inputs = RNG.normal(size=(4, 3, 3))
    found = jax.jit(
        lambda theta: OBSERVABLE.compute(outcome_at(made, theta, SQUARED, inputs, Y[:4]))
    )(theta)
    kernels = [theta[x.offset : x.offset + x.size].reshape(x.shape) for x in made.layout.leaves]
    if isinstance(model, MatrixFactorisation):
        product = np.linalg.multi_dot(kernels).T
    else:
        product = expm(kernels[1].T / np.sqrt(2)) @ expm(kernels[0].T / np.sqrt(2))
    np.testing.assert_allclose(four(found, "product"), summary(product), rtol=1e-4)


def test_a_model_without_dense_layers_has_ranks_of_weights_alone():
    made = build(Diagonal(), (3,), 1)
    found = jax.jit(lambda theta: OBSERVABLE.compute(outcome_at(made, theta, LOGISTIC, X, Y > 0)))(
        np.arange(1.0, 7)
    )
    assert found["layer_numerical_ranks"].tolist() == [1, 1]
    assert found["ranks_converged"]
    assert not any(name.startswith(("feature", "product", "dead")) for name in found)
