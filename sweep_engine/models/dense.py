"""The layers of a chain of dense layers, and what its hidden units are given."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from sweep_engine.models.network import Network
from sweep_engine.models.networks import ACTIVATIONS, MlpNetwork


class DenseLayers(NamedTuple):
    """Parameters layer by layer, the input side first.

    Attributes:
        kernels: Weights, shape (fan_in, fan_out) each.
        biases: Shape (fan_out,) each; None without biases.
        activation: Its name; the last layer has none.
    """

    kernels: list[Float[Array, "F H"]]
    biases: list[Float[Array, " H"]] | None
    activation: str

    def hidden(
        self, inputs: Float[Array, "N D"]
    ) -> list[tuple[Float[Array, "N H"], Float[Array, "N H"]]]:
        """Compute (what they are given, what they give) of every hidden layer's units."""
        layers, x = [], inputs
        for i, kernel in enumerate(self.kernels[:-1]):
            given = x @ kernel if self.biases is None else x @ kernel + self.biases[i]
            x = ACTIVATIONS[self.activation](given)
            layers.append((given, x))
        return layers


def slope(activation: str, given: Float[Array, "N H"]) -> Float[Array, "N H"]:
    """Compute the derivative of an activation, by its name, at what units are given."""
    derivative = jax.grad(ACTIVATIONS[activation])
    return jax.vmap(jax.vmap(derivative))(given)


def is_dense(network: Network) -> bool:
    """Say whether the model is one chain of dense layers."""
    return isinstance(network.module, MlpNetwork)


def dense_layers(network: Network, theta: Float[Array, " P"]) -> DenseLayers:
    """Cut theta into the layers of a chain of dense layers.

    Raises:
        ValueError: the network is none.
    """
    if not isinstance(network.module, MlpNetwork):
        raise ValueError("needs a model of dense layers (mlp, linear, deep_linear)")
    biases = _leaves(network, theta, is_bias=True)
    return DenseLayers(matrices(network, theta), biases or None, network.module.activation)


def matrices(network: Network, theta: Float[Array, " P"]) -> list[Float[Array, "F H"]]:
    """Cut theta into a network's weights, biases left out, in the order of the layout."""
    return _leaves(network, theta, is_bias=False)


def _leaves(network: Network, theta: Float[Array, " P"], *, is_bias: bool) -> list[Array]:
    chosen = [leaf for leaf in network.layout.leaves if leaf.is_bias == is_bias]
    return [theta[leaf.offset : leaf.offset + leaf.size].reshape(leaf.shape) for leaf in chosen]
