"""Losses, gradients and leapfrog steps in plain JAX: the truth that the kernel is held to."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.plain import losses, outputs
from sweep_engine.kernels.loss_gradient.case import Data, Density, Phase, Stride, check_shapes

Found = tuple[Float[Array, " R"], Float[Array, "R P"]]
"""Mean losses over a network's examples, and their gradients."""

Moved = tuple[Phase, Float[Array, " R"]]
"""Where trajectories have come to, and the log-density there."""


def loss_gradient(case: Case, theta: Float[Array, "R P"], data: Data) -> Found:
    """Compute the mean loss of every network, and its gradient.

    Args:
        case: The network, the loss and N.
        theta: The parameters.
        data: The examples.

    Raises:
        ValueError: the arrays have other shapes.
    """
    check_shapes(case, theta, None, data)
    found: Found = jax.vmap(jax.value_and_grad(partial(mean_loss, case)))(
        theta, *_spread(data, len(theta))
    )
    return found


def leapfrog(case: Case, start: Phase, density: Density, data: Data, stride: Stride) -> Moved:
    """Take every trajectory's leapfrog steps; a mass is 1.

    A step is p += (h / 2) slope, z += h p, p += (h / 2) slope, with the slope where z is.

    Args:
        case: The network, the loss and N.
        start: Where trajectories are.
        density: Of which `start.slope` is the gradient.
        data: The examples.
        stride: How far they go: a step at least.

    Raises:
        ValueError: the arrays have other shapes.
    """
    check_shapes(case, start.z, density.scale, data)
    scale, *examples = _spread((density.scale, *data), len(start.z))
    moved: Moved = jax.vmap(partial(_leapfrog_one, case))(
        start, density._replace(scale=scale), Data(*examples), stride
    )
    return moved


def _spread(arrays: Any, count: int) -> list[Array]:
    """Repeat what all networks share."""
    return [jnp.broadcast_to(array, (count, *array.shape[1:])) for array in arrays]


def _leapfrog_one(
    case: Case, start: Phase, density: Density, data: Data, stride: Stride
) -> tuple[Phase, Float[Array, ""]]:
    half = 0.5 * stride.step_size

    def log_density(z: Float[Array, " P"]) -> Float[Array, ""]:
        by_loss = density.by_loss * mean_loss(case, density.scale * z, *data)
        return -by_loss - 0.5 * density.by_square * jnp.sum(z**2)

    def step(_: Int[Array, ""], phase: Phase) -> Phase:
        momentum = phase.momentum + half * phase.slope
        z = phase.z + stride.step_size * momentum
        slope = jax.grad(log_density)(z)
        return Phase(z, momentum + half * slope, slope)

    end: Phase = jax.lax.fori_loop(0, stride.num_steps, step, start)
    return end, log_density(end.z)


def mean_loss(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"], y: Array) -> Array:
    """Compute the mean loss of one network."""
    targets = y.astype(jnp.int32) if case.loss == "cross_entropy" else y
    return jnp.mean(losses(case, outputs(case, theta, x), targets))
