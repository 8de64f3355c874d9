"""A segment of training in C++: one network at a time per thread, all of it in the cache."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    Limits,
    Segment,
    Sgd,
    State,
    check_segment,
)
from sweep_engine.kernels.fused_training.reference import Records

_FOLDER = Path(__file__).parent
_RULES = ("train_error", "train_loss")  # `Rule` in training.h
_NAMES = {"tanh": "tanh_"}  # of macros' values that C++ has taken


def train_segment(
    case: Case,
    checks: Checks,
    state: State,
    hyper: Sgd | Adam,
    limits: Limits,
    data: Data,
    segment: Segment,
    *,
    num_records: int,
) -> tuple[State, Records]:
    """Do what `reference.train_segment` does; inside `jax.jit` too, on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the reference.
    """
    check_segment(case, segment)
    outputs = jax.ffi.ffi_call(register(case), _shapes(state, num_records))(
        *_inputs(state, hyper, limits, data, segment),
        every=np.int32(checks.every),
        rule=np.int32(_RULES.index(checks.rule)),
        stop_at_fit=np.int32(checks.stop_at_fit),
    )
    theta, moments, counters, measured, records = outputs
    return State(theta, moments, *counters.T, *measured.T), records


def _shapes(state: State, num_records: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    num_runs = len(state.theta)
    return (
        jax.ShapeDtypeStruct(state.theta.shape, jnp.float32),
        jax.ShapeDtypeStruct(state.moments.shape, jnp.float32),
        jax.ShapeDtypeStruct((num_runs, 4), jnp.int32),
        jax.ShapeDtypeStruct((num_runs, 2), jnp.float32),
        jax.ShapeDtypeStruct((num_runs, num_records, 2), jnp.float32),
    )


def _inputs(
    state: State, hyper: Sgd | Adam, limits: Limits, data: Data, segment: Segment
) -> tuple[jax.Array, ...]:
    """The arrays that `Arguments` in training.h names, in its order."""
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


@functools.cache
def build(case: Case) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = {
        "WIDTHS": ",".join(map(str, case.widths)),
        "ACTIVATION": _NAMES.get(case.activation, case.activation),
        "BIAS": int(case.bias),
        "LOSS": case.loss,
        "OPTIMIZER": case.optimizer,
        "EXAMPLES": case.num_examples,
        "MINIBATCH": case.minibatch or 0,
    }
    macros = [f"SWEEP_{name}={value}" for name, value in defines.items()]
    return native.build(_FOLDER / "handler.cc", sorted(_FOLDER.glob("*.h")), macros)


@functools.cache
def register(case: Case) -> str:
    """Make the kernel of a case known to XLA, and tell its name.

    Raises:
        CannotBuild: it cannot be built here.
    """
    built = build(case)
    name = f"sweep_engine_{built.stem}"  # XLA's compilation cache goes by the name
    handler = jax.ffi.pycapsule(native.load(built).train_segment)
    jax.ffi.register_ffi_target(name, handler, platform="cpu")
    return name
