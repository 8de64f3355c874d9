"""Normalisation of a layer's units, example by example."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-5
"""Added to the mean square, as PyTorch's layer norm has it."""


class RmsNorm(nn.Module):
    """y = (1 + gain) x / sqrt(mean(x^2) + 1e-5), over the last axis.

    The gain is stored less 1, so that a law that starts what is no weight at 0 starts it where
    all of the field does, and a multiple of a draw is one of it too.

    Source:
        Zhang & Sennrich (2019), Root mean square layer normalization, NeurIPS.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "*N H"]) -> Float[Array, "*N H"]:
        gain = self.param("gain", nn.initializers.zeros_init(), x.shape[-1:])
        square = jnp.mean(x**2, axis=-1, keepdims=True)
        return (1 + gain) * x / jnp.sqrt(square + EPSILON)


class LayerNorm(nn.Module):
    """RMS norm of what is left when the mean is taken away, plus a bias.

    Source:
        Ba, Kiros & Hinton (2016), Layer normalization, arXiv:1607.06450.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "*N H"]) -> Float[Array, "*N H"]:
        gain = self.param("gain", nn.initializers.zeros_init(), x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:])
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        square = jnp.mean(x**2, axis=-1, keepdims=True)
        return (1 + gain) * x / jnp.sqrt(square + EPSILON) + bias


def normalised(norm: str | None, x: Float[Array, "*N H"]) -> Float[Array, "*N H"]:
    """Normalise by a norm of its own, named `layer` or `rms`; inside a module's `__call__`."""
    if norm is None:
        return x
    return NORMS[norm]()(x)


NORMS: dict[str, type[nn.Module]] = {"layer": LayerNorm, "rms": RmsNorm}
