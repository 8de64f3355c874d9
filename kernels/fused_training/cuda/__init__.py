"""Trains on an NVIDIA GPU for a segment: networks in a block's shared memory, a few threads each.

Unverified: it has not run on a GPU yet. `auto` takes it where it agrees with XLA on the device.
"""

from pathlib import Path

import jax.numpy as jnp

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
from sweep_engine.kernels.fused_training.cuda.launch import launch_of, network_floats
from sweep_engine.kernels.fused_training.plain import Records
from sweep_engine.kernels.native.cuda import CudaKernel

_FOLDER = Path(__file__).parent


def _headers(case: Case) -> list[Path]:
    """List what a source is put together of: what all networks share, then their passes."""
    passes = ("layers", "convolutional") if case.convolutions else ("dense",)
    return [_FOLDER / f"{name}.cuh" for name in ("case", *passes)]


KERNEL = CudaKernel(
    "train_segment", _FOLDER / "training.cu", macros, launch_of, network_floats, _headers
)


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
    num_runs = len(state.theta)
    settings = [num_runs, segment.indices.shape[1], num_records, *attributes(checks).values()]
    found = KERNEL.call(
        case,
        num_runs,
        results(state, num_records),
        *operands(state, hyper, limits, data, segment),
        jnp.asarray(settings, jnp.int32),
    )
    return unpack(found)
