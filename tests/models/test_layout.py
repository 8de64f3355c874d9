"""theta: its order, its inverse, and networks against NumPy."""

import dataclasses
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.models import Layout, build
from sweep_engine.models.convolutions import as_products
from sweep_engine.models.networks import ACTIVATIONS
from sweep_engine.spec.models import CustomModel, Diagonal, Linear, Mlp, ScalarFactorisation

# Sums of at most 8 products of numbers near 1: some 10 roundings of float32.
TOLERANCE = {"rtol": 2e-6, "atol": 2e-6}


class Convolution(nn.Module):
    """A user's module: 4 x 4 images."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Conv(2, (3, 3))(x[..., None]))
        return nn.Dense(1)(x.reshape(len(x), -1))


class Gated(nn.Module):
    """A user's module with parameters of its own beside its layers'."""

    @nn.compact
    def __call__(self, x):
        gate = self.param("gate", nn.initializers.ones, (x.shape[-1],))
        return nn.Dense(1)(gate * x)


class Counting(nn.Module):
    """A user's module with state beside its parameters."""

    @nn.compact
    def __call__(self, x):
        self.variable("counts", "calls", lambda: jnp.zeros(()))
        return nn.Dense(1)(x)


def names(layout):
    return [leaf.name for leaf in layout.leaves]


def network_of(spec, num_inputs=3, num_outputs=1):
    spec = CustomModel.wrap(spec) if isinstance(spec, nn.Module) else spec
    shape = (4, 4) if isinstance(num_inputs, str) else (num_inputs,)
    return build(spec, shape, num_outputs)


# --- the order of theta -----------------------------------------------------------------------


def test_layer_by_layer_weights_before_biases():
    layout = network_of(Mlp(widths=(5, 4))).layout
    assert names(layout) == [f"Dense_{i}/{part}" for i in range(3) for part in ("kernel", "bias")]
    assert [leaf.shape for leaf in layout.leaves] == [(3, 5), (5,), (5, 4), (4,), (4, 1), (1,)]
    assert [leaf.offset for leaf in layout.leaves] == [0, 15, 20, 40, 44, 48]
    assert layout.num_params == 49
    assert [leaf.is_bias for leaf in layout.leaves] == [False, True] * 3
    assert layout.describe()[1] == {"name": "Dense_0/bias", "shape": [5], "offset": 15}


def test_layer_10_comes_after_layer_2():
    layout = network_of(Mlp(widths=(2,) * 11, bias=False)).layout
    assert names(layout) == [f"Dense_{i}/kernel" for i in range(12)]


def test_row_major():
    network = network_of(Linear(bias=False), num_inputs=3, num_outputs=3)
    params = network.layout.unflatten(jnp.arange(9.0))
    outputs = network.apply(params, jnp.eye(3))
    assert outputs.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_fans():
    shapes = {"a": {"kernel": (3, 5), "bias": (5,)}, "b": {"kernel": (3, 3, 2, 4), "scale": ()}}
    leaves = Layout.of(jax.tree.map(np.ones, shapes, is_leaf=lambda x: isinstance(x, tuple))).leaves
    assert {leaf.name: leaf.fans for leaf in leaves} == {
        "a/kernel": (3, 5),
        "a/bias": (1, 1),
        "b/kernel": (18, 36),
        "b/scale": (1, 1),
    }


# --- theta and params -------------------------------------------------------------------------

MODELS = {
    "mlp": Mlp(widths=(5, 4)),
    "deep": Mlp(widths=(2,) * 11),
    "no bias": Mlp(widths=(3,), bias=False),
    "linear": Linear(),
    "diagonal": Diagonal(),
}


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS.keys())
def test_flatten_and_unflatten_are_inverse(spec):
    network = network_of(spec)
    layout = network.layout
    theta = jnp.arange(float(layout.num_params))
    params = layout.unflatten(theta)
    assert np.array_equal(layout.flatten(params), theta)
    drawn = network.init(jax.random.key(0))
    assert jax.tree.structure(drawn) == jax.tree.structure(params)
    again = layout.unflatten(layout.flatten(drawn))
    assert jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b), again, drawn))


@pytest.mark.parametrize(
    ("module", "inputs", "num_params"), [(Convolution(), "image", 53), (Gated(), 3, 7)]
)
def test_a_users_module(module, inputs, num_params):
    network = network_of(module, inputs)
    params = network.init(jax.random.key(0))
    theta = network.layout.flatten(params)
    assert theta.shape == (network.layout.num_params,) == (num_params,)
    x = jax.random.normal(jax.random.key(1), (2, *network.input_shape))
    again = network.apply(network.layout.unflatten(theta), x)
    with as_products():
        assert np.array_equal(again, module.apply({"params": params}, x))


@given(st.integers(0, 5), st.integers(1, 4))
@settings(deadline=None, max_examples=10)
def test_flatten_rows_is_flatten_of_every_row(rows, width):
    layout = network_of(Mlp(widths=(width,))).layout
    theta = np.random.default_rng(0).normal(size=(rows, layout.num_params)).astype(np.float32)
    params = jax.vmap(layout.unflatten)(jnp.asarray(theta))
    assert np.array_equal(layout.flatten_rows(params), theta)


# --- networks against NumPy ---------------------------------------------------------------------

NUMPY = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "sin": np.sin,
    "linear": lambda x: x,
}


def test_every_activation_has_a_reference():
    assert set(NUMPY) == set(ACTIVATIONS)
    assert set(NUMPY) == set(Mlp.model_fields["activation"].annotation.__args__)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", NUMPY)
def test_a_forward_pass(activation, bias):
    rng = np.random.default_rng(0)
    sizes = [3, 5, 4, 2]
    network = build(Mlp(widths=(5, 4), activation=activation, bias=bias), (3,), 2)
    x, parts = rng.normal(size=(7, 3)), []
    outputs = x
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        weights, offset = rng.normal(size=(fan_in, fan_out)), rng.normal(size=fan_out) * bias
        parts += [weights.ravel(), offset] if bias else [weights.ravel()]
        outputs = outputs @ weights + offset
        if layer < 2:
            outputs = NUMPY[activation](outputs)
    theta = jnp.asarray(np.concatenate(parts), jnp.float32)
    with jax.default_matmul_precision("highest"):
        found = network.apply(network.layout.unflatten(theta), jnp.asarray(x, jnp.float32))
    # float32 against float64: the error grows with the layers' gains, some 10 in all.
    np.testing.assert_allclose(found, outputs, rtol=1e-5, atol=1e-5 * np.abs(outputs).max())


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_a_linear_model(num_outputs):
    network = build(Linear(), (3,), num_outputs)
    assert names(network.layout) == ["Dense_0/kernel", "Dense_0/bias"]
    theta = np.arange(4.0 * num_outputs) / 10
    x = np.array([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
    found = network.apply(network.layout.unflatten(jnp.asarray(theta)), jnp.asarray(x))
    split = 3 * num_outputs
    expected = x @ theta[:split].reshape(3, num_outputs) + theta[split:]
    np.testing.assert_allclose(found, expected, **TOLERANCE)


def test_a_diagonal_network():
    network = build(Diagonal(), (3,), 1)
    assert names(network.layout) == ["w_minus", "w_plus"]
    minus, plus = np.array([0.5, 1.0, 0.0]), np.array([1.0, 0.0, 2.0])
    x = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
    theta = jnp.asarray(np.concatenate([minus, plus]))
    found = network.apply(network.layout.unflatten(theta), jnp.asarray(x))
    np.testing.assert_allclose(found[:, 0], x @ (plus**2 - minus**2), **TOLERANCE)


def test_a_scalar_factorisation():
    network = build(ScalarFactorisation(), (1,), 1)
    assert names(network.layout) == ["a", "b"]
    found = network.apply(
        network.layout.unflatten(jnp.array([2.0, 3.0])), jnp.array([[1.0], [-2.0]])
    )
    assert found.tolist() == [[6.0], [-12.0]]


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "inputs", "outputs"),
    [(Diagonal(), 3, 2), (ScalarFactorisation(), 1, 3), (ScalarFactorisation(), 2, 1)],
)
def test_outputs_of_another_shape_are_refused(spec, inputs, outputs):
    with pytest.raises(ValueError, match=rf"expected outputs of shape \(N, {outputs}\)"):
        build(spec, (inputs,), outputs)


def test_a_module_with_state_is_refused():
    with pytest.raises(ValueError, match="params only"):
        network_of(Counting())


def test_only_flax_modules_are_models():
    thing = dataclasses.make_dataclass("Thing", ["size"])(3)
    with pytest.raises(ValueError, match="expected a flax linen module"):
        build(CustomModel.wrap(thing), (3,), 1)
