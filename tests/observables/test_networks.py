"""Observables of parameters and outputs against NumPy, on a fixed network."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.models import build
from sweep_engine.observables import Outcome, observables
from sweep_engine.spec.models import CustomModel, Linear, Mlp, ScalarFactorisation
from sweep_engine.tasks import LOGISTIC, SQUARED, cross_entropy

RNG = np.random.default_rng(0)
WEIGHTS = [RNG.normal(size=(3, 5)), RNG.normal(size=(5, 4)), RNG.normal(size=(4, 1))]
BIASES = [RNG.normal(size=5), RNG.normal(size=4), RNG.normal(size=1)]
THETA = np.concatenate([v.ravel() for pair in zip(WEIGHTS, BIASES, strict=True) for v in pair])
START = RNG.normal(size=len(THETA))
OUTPUTS = RNG.normal(size=(6, 1))
LABELS = np.array([0, 1, 1, 0, 1, 0])


def outcome(network=None, theta=THETA, loss=LOGISTIC, outputs=OUTPUTS, labels=LABELS):
    network = network or build(Mlp(widths=(5, 4)), (3,), 1)
    theta = jnp.asarray(theta, jnp.float32)
    return Outcome(
        theta=theta,
        params=network.layout.unflatten(theta),
        start=jnp.asarray(START, jnp.float32)[: len(theta)],
        network=network,
        train_inputs=jnp.zeros((len(outputs), *network.input_shape)),
        train_outputs=jnp.asarray(outputs, jnp.float32),
        train_targets=jnp.asarray(labels),
        test_inputs=jnp.ones((4, *network.input_shape)),
        test_outputs=jnp.asarray(-outputs[:4], jnp.float32),
        test_targets=jnp.asarray(labels[:4]),
        loss=loss,
        curvature_limit=None,
    )


def compute(name, **changes):
    found = observables((name,))[0].compute(outcome(**changes))
    return {column: np.asarray(value) for column, value in found.items()}


def assert_close(found, expected):
    """float32 against float64, over some tens of operations."""
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_norms():
    found = compute("norms")
    frobenius = [np.sqrt((w**2).sum()) for w in WEIGHTS]
    spectral = [np.linalg.svd(w, compute_uv=False)[0] for w in WEIGHTS]
    assert_close(found["l2_norm"], np.sqrt((THETA**2).sum()))
    assert_close(found["layer_norms"], frobenius)
    assert_close(found["layer_spectral_norms"], spectral)
    assert_close(found["frobenius_product"], np.prod(frobenius))
    assert_close(found["spectral_product"], np.prod(spectral))


def test_distance():
    found = compute("distance")
    distance = np.linalg.norm(THETA - START)
    assert_close(found["distance_from_init"], distance)
    assert_close(found["relative_distance"], distance / np.linalg.norm(START))


def test_margins():
    found, norms = compute("margin"), compute("norms")
    margin = np.min(np.where(LABELS == 1, 1, -1) * OUTPUTS[:, 0])
    assert_close(found["margin"], margin)
    assert_close(found["margin_frobenius"], margin / norms["frobenius_product"])
    assert_close(found["margin_spectral"], margin / norms["spectral_product"])


def test_path_norm():
    """Without activations, absolute values for weights and biases, from the input of ones."""
    reached = np.ones(3)
    for weights, bias in zip(WEIGHTS, BIASES, strict=True):
        reached = reached @ np.abs(weights) + np.abs(bias)
    found = compute("path")
    assert_close(found["path_norm"], reached[0])
    assert_close(found["margin_path"], compute("margin")["margin"] / reached[0])
    network, theta = build(Linear(bias=False), (2,), 1), np.array([3.0, -4.0])
    real = compute("path", network=network, theta=theta, loss=SQUARED)
    assert_close(real["path_norm"], 7.0)
    assert set(real) == {"path_norm"}


def test_a_normalised_margin_does_not_change_when_a_layer_is_scaled_away():
    """Without biases, the last layer's weights twice as large double outputs and norms."""
    network = build(Mlp(widths=(5, 4), bias=False), (3,), 1)
    theta = np.concatenate([w.ravel() for w in WEIGHTS])
    scaled = np.concatenate([WEIGHTS[0].ravel(), WEIGHTS[1].ravel(), 2 * WEIGHTS[2].ravel()])
    one = compute("margin", network=network, theta=theta)
    two = compute("margin", network=network, theta=scaled, outputs=2 * OUTPUTS)
    assert_close(two["margin"], 2 * one["margin"])
    assert_close(two["margin_frobenius"], one["margin_frobenius"])
    assert_close(two["margin_spectral"], one["margin_spectral"])


def test_normalised_losses():
    norms, path = compute("norms"), compute("path")
    scales = {"frobenius": norms["frobenius_product"], "spectral": norms["spectral_product"],
              "path": path["path_norm"]}  # fmt: skip
    found = compute({"kind": "normalised_loss", "by": list(scales)})
    signs = np.where(LABELS == 1, 1, -1)
    for name, scale in scales.items():
        loss = np.mean(np.log1p(np.exp(-signs * OUTPUTS[:, 0] / scale)))
        assert_close(found[f"train_loss_{name}"], loss)
    assert len({float(value) for value in found.values()}) == len(scales)


def test_a_loss_over_the_largest_slope_is_that_of_a_slope_of_1():
    """Of a linear network the slope is |w|, whatever the inputs."""
    network, theta = build(Linear(bias=False), (2,), 1), np.array([3.0, -4.0])
    found = compute({"kind": "normalised_loss", "by": ["lipschitz"]}, network=network, theta=theta)
    signs = np.where(LABELS == 1, 1, -1)
    loss = np.mean(np.log1p(np.exp(-signs * OUTPUTS[:, 0] / 5)))
    assert_close(found["train_loss_lipschitz"], loss)


def test_confidence_and_brier_of_two_classes():
    found = compute("confidence")
    p1 = 1 / (1 + np.exp(OUTPUTS[:4, 0]))
    assert_close(found["test_confidence"], np.mean(np.maximum(p1, 1 - p1)))
    assert_close(found["test_brier"], np.mean(2 * (p1 - LABELS[:4]) ** 2))


def test_confidence_and_brier_of_many_classes():
    outputs = RNG.normal(size=(6, 3))
    labels = np.array([0, 1, 2, 2, 0, 1])
    network = build(Mlp(widths=(4,)), (3,), 3)
    theta = RNG.normal(size=network.layout.num_params)
    found = compute(
        "confidence",
        network=network,
        theta=theta,
        loss=cross_entropy(3),
        outputs=outputs,
        labels=labels,
    )
    exponents = np.exp(-outputs[:4])
    p = exponents / exponents.sum(axis=1, keepdims=True)
    assert_close(found["test_confidence"], np.mean(p.max(axis=1)))
    assert_close(found["test_brier"], np.mean(((p - np.eye(3)[labels[:4]]) ** 2).sum(axis=1)))


@pytest.mark.parametrize(("a", "b"), [(2.0, 0.5), (-2.0, 3.0), (1.0, 1.0), (1.5, -1.5)])
def test_balance(a, b):
    network = build(ScalarFactorisation(), (1,), 1)
    found = compute("balance", network=network, theta=np.array([a, b]), loss=SQUARED)
    np.testing.assert_allclose(found["balance_u"], np.log(abs(a / b)) / 2, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found["balance_c"], a**2 - b**2, rtol=1e-6)


def test_a_diverged_network_has_no_norms():
    found = compute("norms", theta=np.full(len(THETA), np.nan))
    assert all(np.all(np.isnan(value)) for value in found.values())


class Scaled(nn.Module):
    """A user's module: a convolution and a factor of no axes."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(2, (3, 3))(x[..., None]).reshape(len(x), -1)
        return nn.Dense(1, name="Out")(x) + self.param("factor", nn.initializers.ones, ())


def test_norms_of_a_users_module():
    network = build(CustomModel.wrap(Scaled()), (4, 4), 1)
    params = network.init(jax.random.key(0))
    found = compute("norms", network=network, theta=network.layout.flatten(params))
    expected = {
        "Conv_0/kernel": np.linalg.norm(params["Conv_0"]["kernel"]),
        "Out/kernel": np.linalg.norm(params["Out"]["kernel"]),
        "factor": 1.0,
    }
    assert sorted(found["layer_norms"].tolist()) == pytest.approx(sorted(expected.values()))
