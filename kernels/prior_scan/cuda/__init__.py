"""Scans a prior on an NVIDIA GPU: a draw's parameters never leave the chip.

Unverified: it has not run on a GPU yet. `auto` takes it where it agrees with XLA on the device.
"""

from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels.native.cuda import CudaKernel
from sweep_engine.kernels.native.words import words_of
from sweep_engine.kernels.prior_scan.case import Case, Found, found_shapes, macros
from sweep_engine.kernels.prior_scan.cuda.launch import launch_of, network_floats

KERNEL = CudaKernel("scan", Path(__file__).parent / "scan.cu", macros, launch_of, network_floats)


def scan(
    case: Case,
    keys: Key[Array, "R B"],
    scales: Float[Array, "R A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    num_draws: Int[Array, ""] | int,
) -> Found:
    """Do what `plain.scan` does; inside `jax.jit` too, on an NVIDIA GPU alone.

    Draws are those of the CPU's kernel; an output within rounding of 0 may have another label.

    Raises:
        CannotBuild: there is no NVRTC, or the network does not fit a block's shared memory.
        ValueError: the keys are not JAX's default ones.
    """
    found = KERNEL.call(
        case,
        len(keys),
        found_shapes(case, len(keys)),
        words_of(keys),
        scales,
        x,
        targets,
        jnp.asarray([num_draws], jnp.int32),
    )
    return Found(*found)
