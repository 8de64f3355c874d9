"""Networks as observables see them."""

import functools

import jax
import jax.numpy as jnp

from sweep_engine.observables import Outcome


@functools.cache
def _compiled(network):
    return jax.jit(network.apply)


def outcome_at(network, theta, loss, x, y, test=None):
    """A network with the given parameters and training set, and a test set if one is given."""
    theta, x = jnp.asarray(theta, jnp.float32), jnp.asarray(x, jnp.float32)
    params, apply = network.layout.unflatten(theta), _compiled(network)
    return Outcome(
        theta=theta,
        params=params,
        start=None,
        network=network,
        train_inputs=x,
        train_outputs=apply(params, x),
        train_targets=jnp.asarray(y),
        test_inputs=None if test is None else jnp.asarray(test[0]),
        test_outputs=None if test is None else apply(params, jnp.asarray(test[0])),
        test_targets=None if test is None else jnp.asarray(test[1]),
        loss=loss,
        curvature_limit=None,
    )
