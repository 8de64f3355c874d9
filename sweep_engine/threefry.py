"""The generator: Threefry-2x32 of (key, counter), and the numbers that are made of its words.

Written out so that XLA makes one loop of it and of what is made of the words; the kernels
that draw on chip make the same numbers.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

Numbers = Literal[
    "normal", "truncated_normal", "uniform", "laplace", "sign", "direction", "ones"
]  # fmt: skip
"""Names what parameters are before they are scaled: N(0, 1), the same within two deviations of 0,
uniform on (-1, 1), of density exp(-|x|) / 2, -1 or 1, normals divided by the
length of them all, or no random numbers, 1."""

TRUNCATED_AT = 2.0
TRUNCATED_MASS = math.erf(TRUNCATED_AT / math.sqrt(2))
"""Say where normals are cut, in standard deviations, and how much of their mass is left."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def random_words(key: Key[Array, ""], count: int) -> UInt32[Array, " n"]:
    """Draw random 32-bit words: Threefry-2x32 of the key at 0, 1, 2, ...

    The generator of jax.random, with both words of a block used: on a CPU less than half the
    time.

    Source:
        Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    counters = jnp.arange(-(-count // 2), dtype=jnp.uint32)
    return jnp.concatenate(threefry(key, counters, jnp.zeros_like(counters)))[:count]


def threefry(key: Key[Array, ""], x: Array, y: Array) -> tuple[Array, Array]:
    """The two words of the blocks with counters (x, y)."""
    first, second = jax.random.key_data(key)
    return _traced_rounds(first, second, x, y)


def rounds(first: Any, second: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Encrypt the counters (x, y) by a key's two words: arrays of uint32, JAX's or NumPy's."""
    subkeys = (first, second, first ^ second ^ _PARITY)
    x, y = x + subkeys[0], y + subkeys[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = x + y
            y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
        x = x + subkeys[(i + 1) % 3]
        y = y + subkeys[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


_traced_rounds = jax.jit(rounds)
"""A program has it many times: traced once, it is one function that XLA puts in place."""


def uniforms(key: Key[Array, ""], count: int, bound: float = 1.0) -> Float[Array, " n"]:
    """Draw numbers uniform on (-bound, bound), in steps of 2^-22 of it, as jax.random does."""
    words = random_words(key, count)
    from_one_to_two = (words >> np.uint32(9)) | np.uint32(0x3F800000)
    share = jax.lax.bitcast_convert_type(from_one_to_two, jnp.float32) - 1.0
    low = np.nextafter(np.float32(-bound), np.float32(0))
    return jnp.maximum(low, share * (np.float32(bound) - low) + low)


def normals(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw standard normals: sqrt(2) erfinv of uniforms."""
    return np.float32(np.sqrt(2)) * erfinv(uniforms(key, count))


def truncated_normals(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw standard normals given that they are within `TRUNCATED_AT` of 0."""
    drawn = math.sqrt(2) * jax.scipy.special.erfinv(uniforms(key, count, TRUNCATED_MASS))
    return jnp.clip(drawn, -TRUNCATED_AT, TRUNCATED_AT)


def laplaces(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw numbers of density exp(-|x|) / 2: at the quantiles that uniforms are.

    1 - |u| is exact, so they are to rounding, near 0 too.
    """
    u = uniforms(key, count)
    return -jnp.sign(u) * jnp.log(1 - jnp.abs(u))


def signs(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw -1 or 1, equally likely: the signs of uniforms, none of which is 0."""
    return jnp.sign(uniforms(key, count))


def direction(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw a unit vector, all directions alike: jax.random's normals, divided by their length."""
    z = jax.random.normal(key, (count,))
    return z / jnp.linalg.norm(z)


_ERFINV_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                  -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
_ERFINV_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)  # fmt: skip


def erfinv(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """Compute the inverse of erf, float32, to 3e-7 of its value.

    XLA's own has log1p(-x^2) for the logarithm of (1 - x)(1 + x), which costs more and is less
    exact near 1, where x^2 has been rounded.

    Source:
        Giles (2012), Approximating the erfinv function, GPU Computing Gems.
    """
    w = -jnp.log((1 - x) * (1 + x))
    is_centre = w < 5
    w = jnp.where(is_centre, w - 2.5, jnp.sqrt(w) - 3)
    value = jnp.where(is_centre, _ERFINV_CENTRE[0], _ERFINV_TAIL[0])
    for centre, tail in zip(_ERFINV_CENTRE[1:], _ERFINV_TAIL[1:], strict=True):
        value = jnp.where(is_centre, centre, tail) + value * w
    return value * x
