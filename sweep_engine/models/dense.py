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
    leaves = network.layout.leaves
    values = [theta[leaf.offset : leaf.offset + leaf.size].reshape(leaf.shape) for leaf in leaves]
    pairs = list(zip(leaves, values, strict=True))
    kernels = [value for leaf, value in pairs if not leaf.is_bias]
    biases = [value for leaf, value in pairs if leaf.is_bias]
    return DenseLayers(kernels, biases or None, network.module.activation)
