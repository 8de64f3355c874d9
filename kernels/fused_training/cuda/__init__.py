"""A segment of training on an NVIDIA GPU: networks in a block's shared memory, a few threads each.

Unverified: it has not run on a GPU yet. `auto` takes it where it agrees with XLA on the device.
XLA takes PTX through an internal interface of its own; a version without it refuses the call.
"""

import functools
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
from sweep_engine.kernels.fused_training.cuda.launch import launch_of, network_bytes, spare
from sweep_engine.kernels.fused_training.plain import Records
from sweep_engine.kernels.native import CannotBuild, nvrtc
from sweep_engine.kernels.native.launch import Launch

_SOURCE = Path(__file__).parent / "training.cu"


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
    num_runs, launch = len(state.theta), fitting(case)
    settings = [num_runs, segment.indices.shape[1], num_records, *attributes(checks).values()]
    found = nvrtc.call(
        "train_segment",
        ptx(case),
        nvrtc.Grid(
            blocks=-(-num_runs // launch.networks),
            threads=launch.networks * launch.threads,
            shared_bytes=launch.networks * network_bytes(case, launch.threads, launch.tile),
        ),
        results(state, num_records),
        *operands(state, hyper, limits, data, segment),
        jnp.asarray(settings, jnp.int32),
    )
    return unpack(found)


def fitting(case: Case) -> Launch:
    """Choose the launch of a case.

    Raises:
        CannotBuild: the network does not fit a block's shared memory.
    """
    launch = launch_of(case)
    if launch is None:
        raise CannotBuild(f"a network of {case.num_params:,} parameters fits no block of the GPU")
    return launch


def source(case: Case, launch: Launch) -> str:
    """The source of a case: the values of its macros, then the files."""
    size = network_bytes(case, launch.threads, launch.tile)
    own = nvrtc.launch_macros(launch, size, spare(case, launch.threads, launch.tile))
    return nvrtc.source(macros(case) | own, _SOURCE)


@functools.cache
def ptx(case: Case) -> str:
    """Compile a case to PTX for compute capability 9.0 and later.

    Raises:
        CannotBuild: there is no NVRTC, or it failed, or the network fits no block.
    """
    return nvrtc.compile_ptx(source(case, fitting(case)), "compute_90")
