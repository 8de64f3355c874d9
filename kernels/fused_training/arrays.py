"""The arrays that a kernel is called with and gives back, in the order of its arguments."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    KernelState,
    Limits,
    Segment,
    Sgd,
)
from sweep_engine.kernels.fused_training.convolution import Convolution
from sweep_engine.kernels.fused_training.plain import Records

T = TypeVar("T")

RULES = ("train_error", "train_loss")
"""As numbered by `Rule` in the sources."""


def operands(
    state: KernelState, hyper: Sgd | Adam, limits: Limits, data: Data, segment: Segment
) -> tuple[Array, ...]:
    """List what goes in: theta, moments, counters, measured, hyper, turns, x, y, indices."""
    return (
        jnp.asarray(state.theta, jnp.float32),
        jnp.asarray(state.moments, jnp.float32),
        jnp.stack([state.step, state.status, state.fit_step, state.fit], axis=1),
        jnp.stack([state.loss, state.error], axis=1),
        jnp.stack([*hyper, limits.fit, limits.loss], axis=1).astype(jnp.float32),
        jnp.stack([segment.num_turns, limits.max_steps], axis=1),
        jnp.asarray(data.x, jnp.float32),
        jnp.asarray(data.y, jnp.float32),
        segment.indices,
    )


def results(state: KernelState, num_records: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    """List the shapes of what comes out: theta, moments, counters, measured, records."""
    num_runs = len(state.theta)
    return (
        jax.ShapeDtypeStruct(state.theta.shape, jnp.float32),
        jax.ShapeDtypeStruct(state.moments.shape, jnp.float32),
        jax.ShapeDtypeStruct((num_runs, 4), jnp.int32),
        jax.ShapeDtypeStruct((num_runs, 2), jnp.float32),
        jax.ShapeDtypeStruct((num_runs, num_records, 2), jnp.float32),
    )


def unpack(found: Sequence[Array]) -> tuple[KernelState, Records]:
    """Make the state and the records of what came out."""
    theta, moments, counters, measured, records = found
    return KernelState(theta, moments, *counters.T, *measured.T), records


def attributes(checks: Checks) -> dict[str, np.int32]:
    """Name the static choices that are not compiled into a kernel."""
    return {
        "every": np.int32(checks.every),
        "rule": np.int32(RULES.index(checks.rule)),
        "stop_at_fit": np.int32(checks.stop_at_fit),
    }


def macros(case: Case) -> dict[str, str]:
    """Name the static choices that are compiled into a kernel."""
    values = {
        "WIDTHS": ",".join(map(str, case.widths)),
        "ACTIVATION": {"tanh": "tanh_"}.get(case.activation, case.activation),
        "BIAS": int(case.bias),
        "LOSS": case.loss,
        "OPTIMIZER": case.optimizer,
        "EXAMPLES": case.num_examples,
        "MINIBATCH": case.minibatch or 0,
    }
    if case.convolutions:
        *sides, channels = case.image
        values["IMAGE"] = ",".join(map(str, (*_of_two(sides, 1), channels)))
        values["CONVOLUTIONS"] = ",".join(map(_window, case.convolutions))
    if case.norm or case.residual:
        values["NORM"] = f"{case.norm or 'no'}_norm"
        values["RESIDUAL"] = int(case.residual)
    return {f"SWEEP_{name}": str(value) for name, value in values.items()}


def _window(one: Convolution) -> str:
    """Write a convolution as `Window` of the C++ sources: a signal is an image of one row."""
    axes = len(one.padding)
    sides = (one.kernel, one.stride, one.max_pool, one.mean_pool)
    kernel, stride, max_pool, mean_pool = (_of_two([side] * axes, 1) for side in sides)
    zeros = _of_two(one.padding, (0, 0))
    numbers = [one.channels, *kernel, *stride, *zeros[0], *zeros[1], *max_pool, *mean_pool]
    return f"{{{','.join(map(str, numbers))}}}"


def _of_two(values: Sequence[T], filling: T) -> list[T]:
    """Fill up what is known of one or two axes."""
    return [*[filling] * (2 - len(values)), *values]
