"""A segment of training in C++: one network at a time per thread, all of it in the cache."""

import functools
from pathlib import Path

import jax

from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training.arrays import (
    attributes,
    macros,
    operands,
    results,
    unpack,
)
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    KernelState,
    Limits,
    Segment,
    Sgd,
    check_segment,
)
from sweep_engine.kernels.fused_training.plain import Records

_FOLDER = Path(__file__).parent


def train_segment(
    case: Case,
    checks: Checks,
    state: KernelState,
    hyper: Sgd | Adam,
    limits: Limits,
    data: Data,
    segment: Segment,
    *,
    num_records: int,
) -> tuple[KernelState, Records]:
    """Do what `plain.train_segment` does; inside `jax.jit` too, on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the plain twin.
    """
    check_segment(case, segment)
    call = jax.ffi.ffi_call(register(case), results(state, num_records))
    return unpack(call(*operands(state, hyper, limits, data, segment), **attributes(checks)))


@functools.cache
def build(case: Case) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = [f"{name}={value}" for name, value in macros(case).items()]
    return native.build(_FOLDER / "handler.cc", [_FOLDER], defines)


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
