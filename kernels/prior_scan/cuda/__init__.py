"""A scan of a prior on an NVIDIA GPU: a draw's parameters never leave the chip.

Unverified: it has not run on a GPU yet. `auto` takes it where it agrees with XLA on the device.
"""

import functools
from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.native import CannotBuild, nvrtc
from sweep_engine.kernels.native.launch import Launch
from sweep_engine.kernels.prior_scan.case import Case, Found, found_shapes, macros, words_of
from sweep_engine.kernels.prior_scan.cuda.launch import launch_of, network_bytes, spare

_SOURCE = Path(__file__).parent / "scan.cu"


def scan(
    case: Case,
    keys: Key[Array, " R"],
    scales: Float[Array, "R A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
) -> Found:
    """Do what `plain.scan` does; inside `jax.jit` too, on an NVIDIA GPU alone.

    Draws are those of the CPU's kernel; an output within rounding of 0 may have another label.

    Raises:
        CannotBuild: there is no NVRTC, or the network does not fit a block's shared memory.
        ValueError: the keys are not JAX's default ones.
    """
    launch = fitting(case)
    found = nvrtc.call(
        "scan",
        ptx(case),
        nvrtc.Grid(
            blocks=-(-len(keys) // launch.networks),
            threads=launch.networks * launch.threads,
            shared_bytes=launch.networks * network_bytes(case, launch.threads, launch.tile),
        ),
        found_shapes(case, len(keys)),
        words_of(keys),
        scales,
        x,
        targets,
        jnp.asarray([len(keys)], jnp.int32),
    )
    return Found(*found)


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
