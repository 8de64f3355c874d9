"""Convolutional networks of signals and images."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep_engine.models.networks import ACTIVATIONS
from sweep_engine.spec.models import Cnn, Lenet


class Convolution(NamedTuple):
    """One convolution and the pooling behind it.

    Attributes:
        channels: How many outputs it has at a position.
        kernel: Side of its window, along every axis of positions.
        stride: From one position to the next, along every axis.
        padding: Zeros at both ends of every axis, or 'same'.
        max_pool: Side of the windows of which the largest value stays.
        mean_pool: Side of the windows, after these, of which the mean stays.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int | str = 0
    max_pool: int = 1
    mean_pool: int = 1


class CnnNetwork(nn.Module):
    """Convolutions over positions, each with its activation and pooling, then dense layers."""

    convolutions: tuple[Convolution, ...]
    dense: tuple[int, ...]
    activation: str
    bias: bool
    image: tuple[int, ...] | None
    num_outputs: int

    @nn.compact
    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N C"]:
        activation = ACTIVATIONS[self.activation]
        x = with_channels(x, self.image)
        for i, layer in enumerate(self.convolutions):
            check_room(x.shape[1:-1], layer, number=i + 1)
            axes = x.ndim - 2
            padding = layer.padding.upper() if isinstance(layer.padding, str) else layer.padding
            convolve = nn.Conv(
                layer.channels,
                (layer.kernel,) * axes,
                strides=layer.stride,
                padding=padding,
                use_bias=self.bias,
            )
            x = activation(convolve(x))
            x = pooled(pooled(x, layer.max_pool, jnp.max), layer.mean_pool, jnp.mean)
        x = x.reshape(len(x), -1)
        for width in self.dense:
            x = activation(nn.Dense(width, use_bias=self.bias)(x))
        return nn.Dense(self.num_outputs, use_bias=self.bias)(x)


def cnn_module(spec: Cnn, num_outputs: int) -> CnnNetwork:
    """Give the module of a `cnn`."""
    convolutions = tuple(
        Convolution(
            channels,
            *(spec.of_layer(getattr(spec, name), i) for name in spec.PER_LAYER),
        )
        for i, channels in enumerate(spec.channels)
    )
    return CnnNetwork(convolutions, spec.dense, spec.activation, spec.bias, spec.image, num_outputs)


def lenet_module(spec: Lenet, num_outputs: int) -> CnnNetwork:
    """Give the module of a `lenet`."""
    pool = {f"{spec.pooling}_pool": 2}
    first, second = spec.channels
    convolutions = (
        Convolution(first, 5, padding=2, **pool),
        Convolution(second, 5, **pool),
    )
    return CnnNetwork(convolutions, spec.dense, spec.activation, True, spec.image, num_outputs)


def with_channels(x: Float[Array, "N ..."], image: tuple[int, ...] | None) -> Array:
    """Give inputs an axis of channels: signals (L,) and images (H, W) have one channel.

    Raises:
        ValueError: rows have not as many numbers as `image` says, or the shape is none of these.
    """
    return x.reshape(len(x), *image_of(x.shape[1:], image))


def image_of(shape: tuple[int, ...], image: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the sides of an input of such a shape, and its channels.

    Raises:
        ValueError: as `with_channels`.

    >>> image_of((8, 6), None)
    (8, 6, 1)
    """
    if image is not None:
        if len(shape) != 1 or shape[0] != math.prod(image):
            sides = " x ".join(map(str, image))
            raise ValueError(f"inputs of shape {shape} are no rows of an image of {sides} numbers")
        shape = image
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"inputs of shape {shape}: give (L,), (H, W) or (H, W, channels)")
    return shape if len(shape) == 3 else (*shape, 1)


def check_room(sides: tuple[int, ...], layer: Convolution, *, number: int) -> None:
    """Raise ValueError where a convolution or its pooling leaves no position."""
    left = [_left(side, layer) for side in sides]
    if min(left) < 1:
        shown = " x ".join(map(str, sides))
        raise ValueError(
            f"convolution {number} is given {shown} positions and leaves none: give larger inputs, "
            "smaller kernels, strides or pools, or padding"
        )


def _left(side: int, layer: Convolution) -> int:
    """Count the positions that a convolution and its pooling leave of `side`."""
    if isinstance(layer.padding, str):
        left = -(-side // layer.stride)
    else:
        left = (side + 2 * layer.padding - layer.kernel) // layer.stride + 1
    return left // layer.max_pool // layer.mean_pool


def pooled(
    x: Float[Array, "N *L C"], side: int, summary: Callable[..., Array]
) -> Float[Array, "N *M C"]:
    """Summarise windows of `side` positions along every axis, which do not overlap.

    What is left over at an axis's end is dropped. A gradient is shared by equal maxima.
    """
    if side == 1:
        return x
    whole = [n // side for n in x.shape[1:-1]]
    x = x[(slice(None), *(slice(0, n * side) for n in whole))]
    split = [part for n in whole for part in (n, side)]
    x = x.reshape(len(x), *split, x.shape[-1])
    pools: Array = summary(x, axis=tuple(range(2, x.ndim - 1, 2)))
    return pools
