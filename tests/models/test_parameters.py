"""Tests that parameters are taken as they stand, whatever module asks for them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ScopeParamNotFoundError

from sweep_engine.models import Layout, Network


class Doubled(nn.Module):
    """A module of a user's own, with one of flax's inside: both ask for parameters."""

    asked: list

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", self._initialise, x.shape[-1:])
        return nn.Dense(3)(x * scale)

    def _initialise(self, key, shape):
        self.asked.append(shape)
        return jnp.full(shape, 2.0)


@pytest.fixture
def network():
    module = Doubled([])
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.ones((1, 2)))["params"]
    return Network(module, (2,), Layout.of(shapes))


def test_no_initialiser_is_traced_again(network):
    params = network.init(jax.random.key(1))
    network.module.asked.clear()
    x = jnp.ones((5, 2))
    outputs = network.apply(params, x)
    assert network.module.asked == []
    expected = network.module.apply({"params": params}, x)  # as flax does it
    assert network.module.asked == [(2,)]
    assert outputs.shape == (5, 3)
    np.testing.assert_array_equal(outputs, expected)


def test_a_parameter_that_is_missing_is_named(network):
    params = network.init(jax.random.key(1))
    del params["scale"]
    with pytest.raises(ScopeParamNotFoundError, match="scale"):
        network.apply(params, jnp.ones((5, 2)))
