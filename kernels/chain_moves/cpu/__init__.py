"""Compute gradients, leapfrog steps and NUTS in C++: a network stays in a thread's cache."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sweep_engine.kernels import fused_training, native
from sweep_engine.kernels.chain_moves.case import (
    Data,
    Density,
    Phase,
    Place,
    Stride,
    Transition,
    check_shapes,
)
from sweep_engine.kernels.chain_moves.plain import Found, Moved
from sweep_engine.kernels.fused_training.arrays import macros
from sweep_engine.kernels.fused_training.case import Case

_FOLDER = Path(__file__).parent
_PASSES = Path(fused_training.__file__).parent / "cpu"


def loss_gradient(case: Case, theta: Float[Array, "R P"], data: Data) -> Found:
    """Do what `plain.loss_gradient` does; inside `jax.jit` too, on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the plain twin.
    """
    check_shapes(case, theta, None, data)
    shapes = theta.shape[:1], theta.shape
    loss, gradient = _call(case, "loss_gradient", shapes, gradient_operands(theta, data))
    return loss, gradient


def leapfrog(case: Case, start: Phase, density: Density, data: Data, stride: Stride) -> Moved:
    """Do what `plain.leapfrog` does; inside `jax.jit` too, on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the plain twin.
    """
    check_shapes(case, start.z, density.scale, data)
    shapes = (*(start.z.shape,) * 3, start.z.shape[:1])
    operands = leapfrog_operands(start, density, data, stride)
    *moved, log_density = _call(case, "leapfrog", shapes, operands)
    return Phase(*moved), log_density


def transition(
    case: Case,
    most_doublings: int,
    place: Place,
    density: Density,
    data: Data,
    step_size: Float[Array, " R"],
) -> Transition:
    """Do what `plain.transition` does, by the same random numbers; on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the plain twin.
    """
    check_shapes(case, place.phase.z, density.scale, data)
    rows, scalars = place.phase.z.shape, place.log_density.shape
    operands = transition_operands(place, density, data, step_size)
    attributes = {"most_doublings": np.int32(most_doublings)}
    *floats, counts = _call(
        case, "transition", (rows, rows, scalars, scalars), operands, (*scalars, 4), **attributes
    )
    z, slope, log_density, acceptance = floats
    return Transition(z, slope, log_density, acceptance, counts)


def gradient_operands(theta: Float[Array, "R P"], data: Data) -> tuple[Array, ...]:
    """List what goes in: theta, x, y."""
    return tuple(jnp.asarray(array, jnp.float32) for array in (theta, *data))


def leapfrog_operands(
    start: Phase, density: Density, data: Data, stride: Stride
) -> tuple[Array, ...]:
    """List what goes in: z, momentum, slope, scale, weights, num_steps, x, y."""
    weights = jnp.stack([stride.step_size, density.by_loss, density.by_square], axis=1)
    floats = (jnp.asarray(array, jnp.float32) for array in (*start, density.scale, weights))
    x, y = (jnp.asarray(array, jnp.float32) for array in data)
    return (*floats, jnp.asarray(stride.num_steps, jnp.int32), x, y)


def transition_operands(
    place: Place, density: Density, data: Data, step_size: Float[Array, " R"]
) -> tuple[Array, ...]:
    """List what goes in: z, momentum, slope, log_density, scale, weights, key, x, y."""
    stride = Stride(step_size, jnp.zeros(len(step_size), jnp.int32))
    *phase, scale, weights, _, x, y = leapfrog_operands(place.phase, density, data, stride)
    return (*phase, jnp.asarray(place.log_density, jnp.float32), scale, weights, place.key, x, y)


def _call(
    case: Case,
    name: str,
    floats: Sequence[tuple[int, ...]],
    operands: Sequence[Array],
    *integers: tuple[int, ...],
    **attributes: np.int32,
) -> Any:
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in floats]
    results += [jax.ShapeDtypeStruct(shape, jnp.int32) for shape in integers]
    return jax.ffi.ffi_call(native.register(build(case), name), results)(*operands, **attributes)


@functools.cache
def build(case: Case) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = [f"{name}={value}" for name, value in macros(case).items()]
    return native.build(_FOLDER / "handler.cc", [_PASSES], defines)
