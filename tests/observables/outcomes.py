"""Networks as observables see them."""

import jax.numpy as jnp

from sweep_engine.observables import Outcome


def outcome_at(network, theta, loss, x, y):
    """A network with the given parameters and training set, without a test set."""
    theta, x = jnp.asarray(theta, jnp.float32), jnp.asarray(x, jnp.float32)
    params = network.layout.unflatten(theta)
    return Outcome(
        theta=theta,
        params=params,
        start=None,
        network=network,
        train_inputs=x,
        train_outputs=network.apply(params, x),
        train_targets=jnp.asarray(y),
        test_inputs=None,
        test_outputs=None,
        test_targets=None,
        loss=loss,
        curvature_limit=None,
    )
