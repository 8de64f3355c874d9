"""Convolutions as products of patches: vmapped over networks, others are slow on CPUs and TPUs.

Under `vmap` a convolution with kernels of its own for each network becomes one with as many
groups as there are networks, which XLA goes through one by one on a CPU. Patches and a batched
product take a sixth of the time (`tests/benchmarks/records/convolutions_busy_2_cores.json`).

A TPU pads the last axis to 128: of 25 channels a convolution moves five times as much as there
is. Patches in columns, one for each position and example, fill that axis in few-example steps.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import product
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from sweep_engine.lanes import platform

FEWEST_IN_COLUMNS, MOST_IN_COLUMNS = 8, 32
"""Bound the examples of signals that a TPU takes in columns. By its compiler 8 and 32 of MNIST-1D
move 0.2 and 0.6 of the bytes that convolutions do, 64 move 1.3 times as many, images of 8 x 8
1.9 times."""

SIGNAL_AXES = 3
"""Count those of signals: examples, positions, channels."""


def as_products() -> AbstractContextManager[Any]:
    """Compute every `nn.Conv` that is met inside by patches, where that is faster.

    That is on a CPU, and on a TPU for some numbers of examples. The platform and the shape alone
    decide, and are part of a result's identity.
    """
    return nn.intercept_methods(_intercept)


def _intercept(
    call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
) -> Any:
    module = context.module
    is_plain = (
        type(module) is nn.Conv
        and module.conv_general_dilated is None
        and module.conv_general_dilated_cls is None
    )
    if is_plain and (form := _form(args[0])) is not None:
        # A bound module lives for one call; flax has no other door to one that is not ours.
        object.__setattr__(module, "conv_general_dilated", form)
    return call(*args, **kwargs)


def _form(x: Float[Array, "N *L D"]) -> Callable[..., Any] | None:
    is_signal = x.ndim == SIGNAL_AXES
    if platform() == "tpu" and is_signal and FEWEST_IN_COLUMNS <= len(x) <= MOST_IN_COLUMNS:
        return by_columns
    return by_patches if platform() == "cpu" else None


def by_patches(
    x: Float[Array, "N *L D"],
    kernel: Float[Array, "*W D H"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
    multiply: Callable[..., Array] | None = None,
) -> Float[Array, "N *M H"]:
    """Compute a convolution as `lax.conv_general_dilated` does, for flax's `nn.Conv`.

    y[n, m, h] = sum over w and d of x[n, stride m + w, d] kernel[w, d, h]. What is dilated or
    grouped is left to `lax`. To `multiply` by another layout of patches is for `by_columns`.
    """
    dilations = (*(lhs_dilation or ()), *(rhs_dilation or ()))
    if feature_group_count != 1 or any(d != 1 for d in dilations):
        outputs: Array = lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            lhs_dilation=lhs_dilation,
            rhs_dilation=rhs_dilation,
            dimension_numbers=dimension_numbers,
            feature_group_count=feature_group_count,
            precision=precision,
        )
        return outputs
    window = kernel.shape[:-2]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:-1], window, strides, padding)
    cut = partial(_patches, window=window, strides=strides, padding=padding)
    return (multiply or _in_rows)(x, kernel, cut, precision)


def _in_rows(
    x: Float[Array, "N *L D"],
    kernel: Float[Array, "*W D H"],
    cut: Callable[..., Array],
    precision: Any,
) -> Float[Array, "N *M H"]:
    return jnp.matmul(cut(x, axis=-1), kernel.reshape(-1, kernel.shape[-1]), precision=precision)


def _in_columns(
    x: Float[Array, "N *L D"],
    kernel: Float[Array, "*W D H"],
    cut: Callable[..., Array],
    precision: Any,
) -> Float[Array, "N *M H"]:
    patches = cut(jnp.swapaxes(x, 0, -1), axis=0)
    kernel, columns = kernel.reshape(-1, kernel.shape[-1]), patches.reshape(len(patches), -1)
    y = jnp.einsum("dh,dn->hn", kernel, columns, precision=precision)
    return jnp.swapaxes(y.reshape(-1, *patches.shape[1:]), 0, -1)


by_columns = partial(by_patches, multiply=_in_columns)
"""Compute a convolution as `by_patches` does, a column for each position and example."""


def _patches(
    x: Array,
    *,
    axis: int,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Array:
    """Lay every position's window along the axis of channels, the kernel's axes in their order."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    lengths = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:-1], window, strides, strict=True)]
    shifted = []
    for offset in product(*map(range, window)):
        ends = [o + s * (m - 1) + 1 for o, s, m in zip(offset, strides, lengths, strict=True)]
        start, stop = (0, *offset, 0), (x.shape[0], *ends, x.shape[-1])
        shifted.append(lax.slice(x, start, stop, (1, *strides, 1)))
    return jnp.concatenate(shifted, axis=axis)
