"""A segment of training in C++, all of it in the cache.

A thread trains one network at a time, or where networks are tiny one in each lane of a vector.
Where there are convolutions, norms or residual connections, each example has a lane.
"""

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
    is_tiny: bool = False,
) -> tuple[KernelState, Records]:
    """Do what `plain.train_segment` does; inside `jax.jit` too, on a CPU alone.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: as the plain twin.
    """
    check_segment(case, segment)
    call = jax.ffi.ffi_call(
        native.register(build(case, is_tiny), "train_segment"), results(state, num_records)
    )
    return unpack(call(*operands(state, hyper, limits, data, segment), **attributes(checks)))


train_tiny_segment = functools.partial(train_segment, is_tiny=True)
"""The same, where a network is too small to fill a vector: each lane of one has its own."""


@functools.cache
def build(case: Case, is_tiny: bool = False) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = [f"{name}={value}" for name, value in macros(case).items()]
    if is_tiny:
        defines.append("SWEEP_TINY=1")
    return native.build(_FOLDER / "handler.cc", [_FOLDER], defines)
