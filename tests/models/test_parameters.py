"""Tests that parameters are taken as they stand, whatever module asks for them."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ScopeParamNotFoundError

from sweep_engine.models import Layout, Network


class Scaled(nn.Module):
    """A module of a user's own, with one of flax's inside: both ask for parameters."""

    initialiser: Callable

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", self.initialiser, x.shape[-1:])
        return nn.Dense(3)(x * scale)


@pytest.fixture
def asked():
    """Collect the shapes that an initialiser was asked for."""
    return []


@pytest.fixture
def network(asked):
    def initialise(key, shape):
        asked.append(shape)
        return jnp.full(shape, 2.0)

    module = Scaled(initialise)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.ones((1, 2)))["params"]
    return Network(module, (2,), Layout.of(shapes))


def test_no_initialiser_is_traced_again(network, asked):
    params = network.init(jax.random.key(1))
    params["scale"] = jnp.array([3.0, -1.0])
    asked.clear()
    x = jnp.arange(10.0).reshape(5, 2)
    outputs = network.apply(params, x)
    assert asked == []
    expected = network.module.apply({"params": params}, x)
    assert asked == [(2,)], "flax asks, so that this test would see it"
    assert outputs.shape == (5, 3)
    np.testing.assert_array_equal(outputs, expected)


def test_a_parameter_that_is_missing_is_named(network):
    params = network.init(jax.random.key(1))
    del params["scale"]
    with pytest.raises(ScopeParamNotFoundError, match="scale"):
        network.apply(params, jnp.ones((5, 2)))
