"""The end-to-end matrix of networks that are linear in their inputs."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.models.network import Network
from sweep_engine.models.networks import (
    DiagonalNetwork,
    InfinitelyDeepNetwork,
    MatrixFactorisationNetwork,
    MlpNetwork,
    ScalarFactorisationNetwork,
)

ALWAYS_LINEAR = (
    DiagonalNetwork,
    ScalarFactorisationNetwork,
    MatrixFactorisationNetwork,
    InfinitelyDeepNetwork,
)


def is_linear(network: Network) -> bool:
    """Say whether f(x) - f(0) is linear in x."""
    module = network.module
    if isinstance(module, MlpNetwork):
        return module.activation == "linear"
    return isinstance(module, ALWAYS_LINEAR)


def end_to_end(network: Network, theta: Float[Array, " P"]) -> Float[Array, "m n"]:
    """Compute the matrix of a linear network: W of f(x) = W x + f(0), or M of f(A) = <A, M>.

    Raises:
        ValueError: the network is not linear.
    """
    if not is_linear(network):
        raise ValueError("needs a linear model, such as deep_linear or matrix_factorisation")
    params = network.layout.unflatten(theta)
    size = math.prod(network.input_shape)
    basis = jnp.eye(size, dtype=theta.dtype).reshape(size, *network.input_shape)
    columns = network.apply(params, basis) - network.apply(params, jnp.zeros_like(basis[:1]))
    return columns.T if len(network.input_shape) == 1 else columns.reshape(network.input_shape)
