"""The flax modules that a sweep file can name."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "tanh": jnp.tanh,
    "gelu": nn.gelu,
    "sin": jnp.sin,
    "linear": lambda x: x,
}


class MlpNetwork(nn.Module):
    """Dense layers with an activation between them."""

    widths: tuple[int, ...]
    activation: str
    bias: bool
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        for width in self.widths:
            x = ACTIVATIONS[self.activation](nn.Dense(width, use_bias=self.bias)(x))
        return nn.Dense(self.num_outputs, use_bias=self.bias)(x)


class DiagonalNetwork(nn.Module):
    """f = (w_plus^2 - w_minus^2) . x."""

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N 1"]:
        normal = nn.initializers.normal(1.0)
        plus = self.param("w_plus", normal, (x.shape[-1],))
        minus = self.param("w_minus", normal, (x.shape[-1],))
        return x @ (plus**2 - minus**2)[:, None]


class ScalarFactorisationNetwork(nn.Module):
    """f = a b x."""

    @nn.compact
    def __call__(self, x: Float[Array, "N 1"]) -> Float[Array, "N 1"]:
        normal = nn.initializers.normal(1.0)
        return self.param("a", normal, (1,)) * self.param("b", normal, (1,)) * x
