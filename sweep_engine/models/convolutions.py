"""Convolutions as products of patches: vmapped over networks, others are slow on a CPU.

Under `vmap` a convolution with kernels of its own for each network becomes one with as many
groups as there are networks, which XLA goes through one by one on a CPU. Patches and a batched
product take a sixth of the time (`tests/benchmarks/records/convolutions_busy_2_cores.json`).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import product
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from sweep_engine.lanes import platform


def as_products() -> AbstractContextManager[Any]:
    """Compute every `nn.Conv` that is met inside by patches, on a CPU; elsewhere as it is.

    The platform alone decides, and is part of a result's identity.
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
    if is_plain and platform() == "cpu":
        # A bound module lives for one call; flax has no other door to one that is not ours.
        object.__setattr__(module, "conv_general_dilated", by_patches)
    return call(*args, **kwargs)


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
) -> Float[Array, "N *M H"]:
    """Compute a convolution as `lax.conv_general_dilated` does, for flax's `nn.Conv`.

    y[n, m, h] = sum over w and d of x[n, stride m + w, d] kernel[w, d, h]. What is dilated or
    grouped is left to `lax`.
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
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    patches = _patches(x, window, strides)
    return jnp.matmul(patches, kernel.reshape(-1, kernel.shape[-1]), precision=precision)


def _patches(x: Array, window: Sequence[int], strides: Sequence[int]) -> Array:
    """Every position's window, shape (N, *M, W D): the kernel's axes in its own order."""
    lengths = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:-1], window, strides, strict=True)]
    shifted = []
    for offset in product(*map(range, window)):
        ends = [o + s * (m - 1) + 1 for o, s, m in zip(offset, strides, lengths, strict=True)]
        start, stop = (0, *offset, 0), (x.shape[0], *ends, x.shape[-1])
        shifted.append(lax.slice(x, start, stop, (1, *strides, 1)))
    return jnp.concatenate(shifted, axis=-1)
