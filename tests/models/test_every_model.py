"""Every model that a sweep file can name, or Python can give, in one table of cases.

A new kind is met by being listed in the union; `CASES` says what it is tried with.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter

from sweep_engine.bench.training.networks import mnist1d_module
from sweep_engine.models import build, canonicalise, end_to_end, is_dense, is_linear
from sweep_engine.spec.base import kinds
from sweep_engine.spec.models import CustomModel, ModelSpec

DEFAULT = [({}, (3,), 1)]
CASES = {
    "mlp": [
        ({"widths": [4, 3]}, (3,), 1),
        ({"widths": [4], "activation": "tanh", "bias": False}, (2,), 3),
        ({"widths": [4], "activation": "linear"}, (3,), 2),
        ({"widths": [4, 3], "activation": "linear", "norm": "layer"}, (3,), 2),
        ({"widths": [4, 3], "bias": False, "norm": "rms"}, (3,), 1),
    ],
    "residual": [
        ({"blocks": 2, "width": 4, "activation": "tanh"}, (3,), 1),
        ({"blocks": 1, "width": 3, "bias": False, "norm": "layer"}, (2,), 2),
    ],
    "linear": [({}, (3,), 3), ({"bias": False}, (2,), 1)],
    "deep_linear": [({"depth": 3, "width": 4}, (3,), 2), ({"depth": 1, "width": 9}, (3,), 1)],
    "diagonal": [({}, (3,), 1), ({"depth": 3}, (3,), 1)],
    "scalar_factorisation": [({}, (1,), 1)],
    "matrix_factorisation": [
        ({"depth": 3, "width": 4}, (3, 2), 1),
        ({"depth": 1, "width": 9}, (2, 2), 1),
    ],
    "infinitely_deep_linear": [
        ({"cells": 4}, (3,), 3),
        ({"cells": 1}, (2,), 3),
        ({"cells": 2}, (3,), 1),
        ({"cells": 4}, (3, 3), 1),
    ],
    "cnn": [
        ({"channels": [3, 2], "kernel": [3, 2], "max_pool": [2, 1], "dense": [4]}, (9,), 2),
        ({"channels": [3], "stride": 2, "padding": "same", "mean_pool": 2}, (7, 6, 2), 3),
        ({"channels": [2], "bias": False, "activation": "gelu", "image": [3, 4]}, (12,), 1),
    ],
    "lenet": [({"channels": [2, 3], "dense": [5, 4], "pooling": "mean"}, (12, 12), 2)],
    "transformer": [
        ({"vocabulary": 3, "width": 4, "heads": 2, "hidden": 5}, (3,), 2),
        (
            {"vocabulary": 4, "blocks": 2, "width": 4, "heads": 1, "hidden": 3, "norm": "layer"},
            (2,),
            1,
        ),
    ],
}
"""By kind: settings, the shape of an input, and how many outputs."""


class Gated(nn.Module):
    @nn.compact
    def __call__(self, x):
        gate = self.param("gate", nn.initializers.ones, (x.shape[-1],))
        return nn.Dense(2)(gate * x)


def _cases():
    for kind in kinds(ModelSpec):
        if kind is CustomModel:
            yield CustomModel.wrap(Gated()), (3,), 2
            yield CustomModel.wrap(mnist1d_module()), (40,), 10
            continue
        for fields, shape, outputs in CASES.get(kind.model_fields["kind"].default, DEFAULT):
            yield kind(**fields), shape, outputs


every_model = pytest.mark.parametrize(
    ("spec", "shape", "outputs"), list(_cases()), ids=lambda value: getattr(value, "kind", None)
)


def made_once(function):
    """Keep what a function makes of each case: a case is compiled once for all tests."""
    kept = {}

    @functools.wraps(function)
    def of_case(spec, shape, outputs):
        key = (spec.model_dump_json(), shape, outputs)
        if key not in kept:
            kept[key] = function(spec, shape, outputs)
        return kept[key]

    return of_case


@made_once
def started(spec, shape, outputs):
    """A network, and parameters from its own initialisation."""
    network = build(spec, shape, outputs)
    return network, jax.tree.map(np.asarray, jax.jit(network.init)(jax.random.key(0)))


def drawn(spec, shape, outputs):
    """A network, theta near an initialisation of its own, and some inputs."""
    network, params = started(spec, shape, outputs)
    rng = np.random.default_rng(0)
    start = network.layout.flatten_rows(jax.tree.map(lambda leaf: leaf[None], params))[0]
    theta = start + 0.3 * rng.normal(size=start.shape).astype(np.float32)
    x = rng.normal(size=(20, *shape))
    if spec.num_tokens is not None:
        x = rng.integers(0, spec.num_tokens, x.shape)
    return network, theta, x.astype(np.float32)


@functools.cache
def compiled(network):
    return jax.jit(lambda theta, x: network.apply(network.layout.unflatten(theta), x))


def applied(network, theta, x):
    return np.asarray(compiled(network)(theta, x))


@every_model
def test_outputs_are_one_row_an_input(spec, shape, outputs):
    network, theta, x = drawn(spec, shape, outputs)
    whole = applied(network, theta, x)
    assert whole.shape == (20, outputs)
    assert whole.dtype == np.float32
    alone = applied(network, theta, x[2:3])  # sums of the same terms, in another order
    np.testing.assert_allclose(alone[0], whole[2], atol=1e-5 * np.abs(whole).max())


@every_model
def test_theta_and_the_pytree_are_one(spec, shape, outputs):
    network, params = started(spec, shape, outputs)
    layout = network.layout
    flat = np.asarray(layout.flatten(params))
    assert flat.shape == (layout.num_params,)
    assert jax.tree.all(jax.tree.map(np.array_equal, layout.unflatten(flat), dict(params)))
    assert np.array_equal(layout.flatten(layout.unflatten(flat)), flat)
    offsets = [leaf["offset"] for leaf in layout.describe()]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0


@every_model
def test_no_array_of_parameters_is_without_effect(spec, shape, outputs):
    network, theta, x = drawn(spec, shape, outputs)
    mix = np.random.default_rng(1).normal(size=(20, outputs))
    slope = jax.jit(jax.grad(lambda params: jnp.sum(mix * network.apply(params, x))))
    for leaf in jax.tree.leaves(slope(network.layout.unflatten(theta))):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0)


@every_model
def test_it_answers_what_it_is(spec, shape, outputs):
    network, theta, x = drawn(spec, shape, outputs)
    assert spec.is_dense == is_dense(network)
    if spec.is_dense:
        form = jax.jit(lambda theta: canonicalise(network, theta).theta)(theta)
        np.testing.assert_allclose(
            applied(network, form, x), applied(network, theta, x), rtol=1e-5, atol=1e-5
        )
    else:
        with pytest.raises(ValueError, match="dense layers"):
            canonicalise(network, theta)
    assert spec.is_linear == is_linear(network)
    if spec.is_linear:
        matrix = np.asarray(jax.jit(functools.partial(end_to_end, network))(theta))
        change = x.reshape(20, -1) @ matrix.reshape(outputs, -1).T
        offset = applied(network, theta, np.zeros_like(x))
        np.testing.assert_allclose(applied(network, theta, x), change + offset, atol=2e-5)
    else:
        with pytest.raises(ValueError, match="linear model"):
            end_to_end(network, theta)
    is_product = len(theta) == 2 and np.allclose(applied(network, theta, x), np.prod(theta) * x)
    assert spec.is_scalar_product == is_product


@every_model
def test_it_comes_back_from_sweep_json(spec, shape, outputs):
    adapter = TypeAdapter(ModelSpec)
    stored = adapter.dump_json(spec)
    again = adapter.validate_json(stored, context="stored")
    assert type(again) is type(spec)
    assert adapter.dump_json(again) == stored
