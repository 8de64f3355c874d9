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


class Dense(nn.Module):
    """A dense layer with flax's parameters and initialisers, of inputs in rows or in columns."""

    num_units: int
    bias: bool
    columns: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[0 if self.columns else 1], self.num_units)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        x = jnp.einsum("dh,dn->hn", kernel, x) if self.columns else x @ kernel
        if not self.bias:
            return x
        bias = self.param("bias", nn.initializers.zeros_init(), shape[1:])
        return x + (bias[:, None] if self.columns else bias)


class MlpNetwork(nn.Module):
    """Dense layers with an activation between them.

    Vectors are filled along the last axis: examples stand in columns where there are many more
    of them than units.
    """

    widths: tuple[int, ...]
    activation: str
    bias: bool
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N C"]:
        columns = len(x) >= 2 * max(self.widths, default=len(x))
        x = x.T if columns else x
        for width in self.widths:
            x = ACTIVATIONS[self.activation](Dense(width, self.bias, columns)(x))
        x = Dense(self.num_outputs, self.bias, columns)(x)
        return x.T if columns else x


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
