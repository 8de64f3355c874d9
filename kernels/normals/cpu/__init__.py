"""Draw standard normals in C++: random words and what is made of them, within the cache."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.kernels import native
from sweep_engine.kernels.native.words import words_of

_FOLDER = Path(__file__).parent


def normals(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw what `plain.normals` does; inside `jax.jit` and `jax.vmap` too, on a CPU alone.

    The random words are the plain twin's bit for bit, the numbers to a few units in the last
    place of the inverse error function; XLA's own is some 30 units off where a number is large.

    Raises:
        CannotBuild: the kernel has to be built and cannot be.
        ValueError: the key is not one of JAX's default ones.
    """
    shape = jax.ShapeDtypeStruct((count,), jnp.float32)
    call = jax.ffi.ffi_call(native.register(build(), "normals"), shape, vmap_method="broadcast_all")
    return call(words_of(key))


@functools.cache
def build() -> Path:
    """Build the kernel.

    Raises:
        CannotBuild: it cannot be built here.
    """
    return native.build(_FOLDER / "handler.cc", [_FOLDER], [])
