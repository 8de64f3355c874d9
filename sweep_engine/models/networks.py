"""The flax modules that a sweep file can name."""

from collections.abc import Callable
from itertools import pairwise

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.lanes import platform
from sweep_engine.models.exponential import matrix_exponential, ordered_product

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "tanh": jnp.tanh,
    "gelu": nn.gelu,
    "sin": jnp.sin,
    "linear": lambda x: x,
}


FEW_INPUTS = 8
"""On a GPU a layer of no more inputs is a sum, which XLA fuses with its neighbours: a product goes
to memory and back before the activation. By its compiler a step of 7-40-40-1 moves a third less."""


class Dense(nn.Module):
    """A dense layer with flax's parameters and initialisers, of inputs in rows or in columns."""

    num_units: int
    bias: bool
    columns: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[0 if self.columns else 1], self.num_units)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        zeros = nn.initializers.zeros_init()
        bias = self.param("bias", zeros, shape[1:]) if self.bias else None
        if self.columns and len(x) <= FEW_INPUTS and platform() == "gpu":
            return _summed(kernel, bias, x)
        x = jnp.einsum("dh,dn->hn", kernel, x) if self.columns else x @ kernel
        if bias is None:
            return x
        return x + (bias[:, None] if self.columns else bias)


def _summed(
    kernel: Float[Array, "D H"], bias: Float[Array, " H"] | None, x: Float[Array, "D N"]
) -> Float[Array, "H N"]:
    if bias is not None:  # the weight of an input of ones: one sum gives the gradients of both
        kernel = jnp.concatenate([kernel, bias[None]])
        x = jnp.concatenate([x, jnp.ones_like(x[:1])])
    return jnp.sum(kernel[:, :, None] * x[:, None, :], axis=0)


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
    """f = (w_plus^L - w_minus^L) . x."""

    depth: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "N D"]) -> Float[Array, "N 1"]:
        normal = nn.initializers.normal(1.0)
        plus = self.param("w_plus", normal, (x.shape[-1],))
        minus = self.param("w_minus", normal, (x.shape[-1],))
        return x @ (plus**self.depth - minus**self.depth)[:, None]


class ScalarFactorisationNetwork(nn.Module):
    """f = a b x."""

    @nn.compact
    def __call__(self, x: Float[Array, "N 1"]) -> Float[Array, "N 1"]:
        normal = nn.initializers.normal(1.0)
        return self.param("a", normal, (1,)) * self.param("b", normal, (1,)) * x


class Matrix(nn.Module):
    """A matrix W as the kernel of a dense layer: W transposed, (fan_in, fan_out)."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Float[Array, "F H"]:
        kernel: Array = self.param("kernel", nn.initializers.lecun_normal(), self.shape)
        return kernel


class MatrixFactorisationNetwork(nn.Module):
    """f(A) = <A, M>, M = W_L ... W_1."""

    depth: int
    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "N m n"]) -> Float[Array, "N 1"]:
        if x.ndim != 3:
            raise ValueError(f"inputs of shape {x.shape[1:]}: the model takes matrices")
        sides = (x.shape[2], *[self.width] * (self.depth - 1), x.shape[1])
        product = Matrix(sides[:2])()
        for shape in pairwise(sides[1:]):
            product = product @ Matrix(shape)()
        return inner_products(x, product.T)


class Rate(nn.Module):
    """theta_j of one cell of an infinitely deep linear network, transposed as kernels are."""

    side: int

    @nn.compact
    def __call__(self) -> Float[Array, "n n"]:
        fan_in = nn.initializers.lecun_normal()
        rate: Array = self.param("rate", fan_in, (self.side, self.side))
        return rate


class InfinitelyDeepNetwork(nn.Module):
    """f(x) = Z(1) x, or <x, Z(1)> of a matrix; Z(1) is the product of the cells' exponentials."""

    cells: int
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N C"]:
        is_matrix = x.ndim == 3 and x.shape[1] == x.shape[2]
        if x.ndim != 2 and not is_matrix:
            raise ValueError(f"inputs of shape {x.shape[1:]}: give rows or square matrices")
        side = x.shape[1] if is_matrix else max(x.shape[1], self.num_outputs)
        rates = jnp.stack([Rate(side)() for _ in range(self.cells)])
        # exp(A_j / cells) with A_j = sqrt(cells) theta_j
        transposed = ordered_product(matrix_exponential(rates / self.cells**0.5))
        if is_matrix:
            return inner_products(x, transposed.T)
        return x @ transposed[: x.shape[1], : self.num_outputs]


def inner_products(x: Float[Array, "N m n"], matrix: Float[Array, "m n"]) -> Float[Array, "N 1"]:
    """Compute <A, M> = sum A_ij M_ij of every input A."""
    return x.reshape(len(x), -1) @ matrix.reshape(-1, 1)
