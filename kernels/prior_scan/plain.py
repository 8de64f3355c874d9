"""A scan of a prior in plain JAX: the truth that the kernel is held to."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.fused_training import plain as training
from sweep_engine.kernels.fused_training.case import Case as TrainingCase
from sweep_engine.kernels.prior_scan.case import Case, Found, Norm
from sweep_engine.threefry import (
    Numbers,
    direction,
    laplaces,
    normals,
    signs,
    truncated_normals,
    uniforms,
)

NO_TARGET = -1
"""The target of an input that no draw has to fit."""

NUMBERS: dict[Numbers, Callable[[Key[Array, ""], int], Float[Array, " n"]]] = {
    "normal": normals,
    "truncated_normal": truncated_normals,
    "uniform": uniforms,
    "laplace": laplaces,
    "sign": signs,
    "direction": direction,
    "ones": lambda _, count: jnp.ones(count),
}


def scan(
    case: Case,
    keys: Key[Array, "R B"],
    scales: Float[Array, "R A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    num_draws: Int[Array, ""] | int,
) -> Found:
    """Draw networks, read their functions, and count the targets that they miss.

    No theta is given back: `draw` makes that of the few that are kept again, from their keys.

    Args:
        case: What is static.
        keys: Of every draw, for each block of its law.
        scales: What the parameters of each array of theta are multiplied by.
        x: The inputs.
        targets: Of every input its label, or NO_TARGET.
        num_draws: How many of the first draws are wanted; what is found of others says nothing.
    """
    del num_draws  # no time is saved here
    return jax.vmap(partial(_scan_one, case, x, targets))(keys, scales)


def draw(case: Case, keys: Key[Array, " B"], scales: Float[Array, " A"]) -> Float[Array, " P"]:
    """Draw theta of one draw's keys."""
    parts, first = [], 0
    for block, key in zip(case.blocks, keys, strict=True):
        of_block = slice(first, first + block.arrays)
        sizes = np.array(case.sizes[of_block])
        numbers = NUMBERS[block.numbers](key, sizes.sum())
        parts.append(numbers * jnp.repeat(scales[of_block], sizes, total_repeat_length=sizes.sum()))
        first += block.arrays
    return jnp.concatenate(parts)


def outputs(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"]) -> Float[Array, "N C"]:
    """Compute the outputs of one network."""
    several = case.num_outputs > 1
    same = TrainingCase(
        case.widths,
        case.activation,
        case.bias,
        loss="cross_entropy" if several else "logistic",
        num_examples=case.num_inputs,
    )
    return training.outputs(same, theta, x)


def margins_of(f: Float[Array, "N C"], targets: Int[Array, " N"]) -> Float[Array, " N"]:
    """Compute the margins of outputs, +-inf by the label where there is none: at 0, or NaN."""
    return _read(f, targets)[2]


def divided(case: Case, margin: Float[Array, ""], theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Divide a margin by the network's norm, if the case has one: -inf where that is unusable."""
    if case.norm is None:
        return margin
    norm = norm_of(case, case.norm, theta)
    usable = (norm > 0) & jnp.isfinite(norm)
    return jnp.where(usable, margin / jnp.where(usable, norm, 1.0), -jnp.inf)


def norm_of(case: Case, norm: Norm, theta: Float[Array, " P"]) -> Float[Array, ""]:
    """Compute a norm of a network.

    Of paths: the sum of |product of the weights| over all that start at an input or a bias.
    """
    arrays = jnp.split(theta, np.cumsum(case.sizes)[:-1])
    step = 1 + case.bias
    if norm == "frobenius":
        return jnp.prod(jnp.stack([jnp.linalg.norm(weights) for weights in arrays[::step]]))
    reached = jnp.ones(case.widths[0])
    for layer, width in enumerate(case.widths[1:]):
        reached = reached @ jnp.abs(arrays[step * layer].reshape(-1, width))
        if case.bias:
            reached += jnp.abs(arrays[step * layer + 1])
    return jnp.sum(reached)


def _scan_one(
    case: Case, x: Array, targets: Array, keys: Key[Array, " B"], scales: Float[Array, " A"]
) -> Found:
    theta = draw(case, keys, scales)
    labels, right, margins = _read(outputs(case, theta, x), targets)
    is_target = targets != NO_TARGET
    return Found(
        jnp.packbits(labels) if case.num_outputs <= 2 else labels.astype(jnp.uint8),
        jnp.sum(~right & is_target, dtype=jnp.int32),
        divided(case, jnp.min(margins, where=is_target, initial=jnp.inf), theta),
    )


def _read(f: Float[Array, "N C"], targets: Int[Array, " N"]) -> tuple[Array, Array, Array]:
    """Read outputs: labels, which are right, and margins."""
    labels, margins = _of_one(f[:, 0], targets) if f.shape[1] == 1 else _of_several(f, targets)
    right = (labels == targets) & ~jnp.any(jnp.isnan(f), axis=1)
    no_margin = (margins == 0) | jnp.isnan(margins)
    return labels, right, jnp.where(no_margin, jnp.where(right, jnp.inf, -jnp.inf), margins)


def _of_one(f: Float[Array, " N"], targets: Array) -> tuple[Array, Array]:
    return (f > 0).astype(jnp.int32), jnp.where(targets > 0, f, -f)


def _of_several(f: Float[Array, "N C"], targets: Array) -> tuple[Array, Array]:
    is_target = jax.nn.one_hot(targets, f.shape[1], dtype=bool)
    right = jnp.max(f, axis=1, where=is_target, initial=-jnp.inf)
    other = jnp.max(f, axis=1, where=~is_target, initial=-jnp.inf)
    return jnp.argmax(f, axis=1), right - other
