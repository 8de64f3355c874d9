"""A segment of training on an NVIDIA GPU: one network a block, all of it in shared memory.

Opt-in: it trains only where a sweep names it, after it has agreed with XLA on the device.
XLA takes PTX through an internal interface of its own; a version without it refuses the call.
"""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

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
from sweep_engine.kernels.native import CannotBuild, nvrtc

SHARED_BYTES = 227 * 1024
"""Shared memory that a block can have on compute capability 9.0."""

THREADS = 128
_SOURCE = Path(__file__).parent / "training.cu"
_TARGET = "__gpu$xla.gpu.ptx"


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
    """Do what `plain.train_segment` does; inside `jax.jit` too, on an NVIDIA GPU alone.

    Raises:
        CannotBuild: there is no NVRTC, or the network does not fit a block's shared memory.
        ValueError: as the plain twin.
    """
    check_segment(case, segment)
    text = ptx(case)
    settings = [segment.indices.shape[1], num_records, *attributes(checks).values()]
    grid = {"grid_x": len(state.theta), "grid_y": 1, "grid_z": 1}
    block = {"block_x": THREADS, "block_y": 1, "block_z": 1}
    sizes = grid | block | {"shared_mem_bytes": shared_bytes(text)}
    found = jax.ffi.ffi_call(_TARGET, results(state, num_records))(
        *operands(state, hyper, limits, data, segment),
        jnp.asarray(settings, jnp.int32),
        name="train_segment",
        kernel_type="ptx",
        kernel_data=text,
        **{name: np.int32(size) for name, size in sizes.items()},
    )
    return unpack(found)


def source(case: Case, threads: int, shared_limit: int = SHARED_BYTES) -> str:
    """The source of a case: the values of its macros, then the file."""
    values = macros(case) | {
        "SWEEP_THREADS": str(threads),
        "SWEEP_SHARED_BYTES": str(shared_limit),
    }
    lines = [f"#define {name} {value}\n" for name, value in values.items()]
    return "".join(lines) + _SOURCE.read_text()


@functools.cache
def ptx(case: Case) -> str:
    """Compile a case to PTX for compute capability 9.0 and later.

    Raises:
        CannotBuild: there is no NVRTC, or it failed.
    """
    return nvrtc.compile_ptx(source(case, THREADS), "compute_90")


def shared_bytes(text: str) -> int:
    """Read the shared memory of a block off its PTX."""
    found = re.search(r"shared_bytes = (\d+);", text)
    if found is None:
        raise CannotBuild("the PTX does not say how much shared memory it needs")
    return int(found[1])
