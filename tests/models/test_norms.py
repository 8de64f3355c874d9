"""Normalised, residual and transformer networks against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from sweep_engine.models import build
from sweep_engine.spec.models import Mlp, ModelSpec, Residual, Transformer

EPSILON = 1e-5


def setup(spec, shape, outputs, x):
    """A network's parameters in float64, and its outputs."""
    network = build(spec, shape, outputs)
    theta = np.random.default_rng(0).normal(size=network.layout.num_params).astype(np.float32)
    params = network.layout.unflatten(jnp.asarray(theta))
    with jax.default_matmul_precision("highest"):
        found = np.asarray(network.apply(params, jnp.asarray(x, jnp.float32)))
    return jax.tree.map(lambda leaf: np.asarray(leaf, float), params), found


def dense(layer, x):
    return x @ layer["kernel"] + layer.get("bias", 0.0)


def layer_norm(layer, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return rms_norm(layer, centred) + layer["bias"]


def rms_norm(layer, x):
    return (1 + layer["gain"]) * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON)


def assert_close(found, truth):
    np.testing.assert_allclose(found, truth, atol=1e-5 * np.abs(truth).max())


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_normalised_mlp(norm):
    x = np.random.default_rng(1).normal(size=(6, 3))
    params, found = setup(Mlp(widths=(5, 4), norm=norm), (3,), 2, x)
    name, of = {"layer": ("LayerNorm", layer_norm), "rms": ("RmsNorm", rms_norm)}[norm]
    for i in range(2):
        x = np.maximum(of(params[f"{name}_{i}"], dense(params[f"Dense_{i}"], x)), 0)
    truth = dense(params["Dense_2"], x)
    assert_close(found, truth)
    params[f"{name}_1"]["gain"] -= 1  # as if the gain were stored whole
    with pytest.raises(AssertionError):
        assert_close(found, dense(params["Dense_2"], np.maximum(of(params[f"{name}_1"], x), 0)))


def test_a_norm_divides_by_the_scale_of_what_it_is_given():
    """Weights and biases of a hidden layer times 100: f(x) as before, to the share of epsilon."""
    network = build(Mlp(widths=(6,), norm="rms"), (3,), 1)
    params = network.init(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(5, 3)), jnp.float32)
    larger = params | {"Dense_0": jax.tree.map(lambda w: 100 * w, params["Dense_0"])}
    np.testing.assert_allclose(network.apply(larger, x), network.apply(params, x), rtol=1e-3)
    plain = build(Mlp(widths=(6,)), (3,), 1)
    without = {name: layer for name, layer in larger.items() if name != "RmsNorm_0"}
    assert not np.allclose(plain.apply(without, x), network.apply(params, x), rtol=1e-2)


@pytest.mark.parametrize("norm", [None, "layer"])
def test_residual_network(norm):
    x = np.random.default_rng(3).normal(size=(6, 3))
    spec = Residual(blocks=2, width=4, activation="tanh", norm=norm)
    params, found = setup(spec, (3,), 2, x)

    def normalised(i, x):
        return x if norm is None else layer_norm(params[f"LayerNorm_{i}"], x)

    x = dense(params["Dense_0"], x)
    for i in range(2):
        branch = np.tanh(dense(params[f"Dense_{2 * i + 1}"], normalised(i, x)))
        x = x + dense(params[f"Dense_{2 * i + 2}"], branch)
    assert_close(found, dense(params["Dense_5"], normalised(2, x)))


@pytest.mark.parametrize("causal", [True, False])
def test_transformer(causal):
    """Token by token and head by head."""
    tokens = np.array([[0, 2, 4], [1, 1, 4], [3, 0, 4]])
    spec = Transformer(
        vocabulary=5, blocks=2, width=6, heads=2, hidden=7, norm="rms", causal=causal
    )
    params, found = setup(spec, (3,), 5, tokens)

    def attention(layer, x):
        heads = []
        for columns in (slice(0, 3), slice(3, 6)):
            q, k, v = (x @ layer[n]["kernel"][:, columns] for n in ("query", "key", "value"))
            rows = []
            for t in range(len(x)):
                seen = slice(0, t + 1) if causal else slice(None)
                weights = np.exp(k[seen] @ q[t] / np.sqrt(3))
                rows.append(weights @ v[seen] / weights.sum())
            heads.append(np.stack(rows))
        return np.concatenate(heads, axis=1) @ layer["output"]["kernel"]

    truth = []
    for row in tokens:
        x = params["tokens"]["embedding"][row] + params["places"]["embedding"]
        for i in range(2):
            x = x + attention(params[f"attention_{i}"], rms_norm(params[f"RmsNorm_{2 * i}"], x))
            hidden = dense(params[f"hidden_{i}"], rms_norm(params[f"RmsNorm_{2 * i + 1}"], x))
            x = x + dense(params[f"back_{i}"], np.maximum(hidden, 0))
        truth.append(dense(params["unembedding"], rms_norm(params["RmsNorm_4"], x[-1])))
    assert_close(found, np.stack(truth))


def test_heads_divide_the_width():
    with pytest.raises(ValidationError, match="heads: the width, 6, is shared"):
        TypeAdapter(ModelSpec).validate_python(
            {"kind": "transformer", "vocabulary": 3, "width": 6, "heads": 4}
        )


def test_an_mlp_without_a_norm_is_written_as_before():
    assert "norm" not in Mlp().model_dump()
    assert Mlp(norm="rms").model_dump()["norm"] == "rms"
