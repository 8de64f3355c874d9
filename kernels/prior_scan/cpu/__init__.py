"""A scan of a prior in C++: a draw's parameters never leave the cache."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from sweep_engine.kernels import native
from sweep_engine.kernels.native.words import words_of
from sweep_engine.kernels.prior_scan.case import Case, Found, found_shapes, macros

_FOLDER = Path(__file__).parent


def scan(
    case: Case,
    keys: Key[Array, "R B"],
    scales: Float[Array, "R A"],
    x: Float[Array, "N D"],
    targets: Int[Array, " N"],
    num_draws: Int[Array, ""] | int,
) -> Found:
    """Do what `plain.scan` does; inside `jax.jit` too, on a CPU alone.

    Uniform draws and signs are the plain twin's bit for bit, others to a few units in the last
    place; an output within rounding of 0 may have another label.

    Raises:
        CannotBuild: the kernel of this case has to be built and cannot be.
        ValueError: the keys are not JAX's default ones.
    """
    call = jax.ffi.ffi_call(native.register(build(case), "scan"), found_shapes(case, len(keys)))
    count = jnp.asarray([num_draws], jnp.int32)
    return Found(*call(words_of(keys), scales, x, targets, count))


@functools.cache
def build(case: Case) -> Path:
    """Build the kernel of a case.

    Raises:
        CannotBuild: it cannot be built here.
    """
    defines = [f"{name}={value}" for name, value in macros(case).items()]
    return native.build(_FOLDER / "handler.cc", [_FOLDER], defines)
