"""Every random stream, addressed by (sweep seed, run id, purpose).

Ids are folded into a key, never split off a shared one, so a run's stream does not depend
on its neighbours, its order or the number of runs. `fold_in` wraps at 2^32 in silence:
64-bit numbers are folded in as two halves.
"""

from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32


class Purpose(IntEnum):
    """What a stream is for. Values are part of every result: never renumber."""

    PARAMS = 1
    MINIBATCH = 2
    SPLITTING = 10
    CHAIN_START = 20
    CHAIN_MOVES = 21
    TEACHER = 22
    TEACHER_LABELS = 23
    OPTIMIZER = 30


def run_ids(setting_id: int, start: int, stop: int) -> np.ndarray:
    """Ids of the runs with index start .. stop - 1 of a setting: its id times 2^32 + index."""
    return (np.int64(setting_id) << 32) + np.arange(start, stop, dtype=np.int64)


def halves(ids: np.ndarray) -> np.ndarray:
    """Split 64-bit ids into (high, low) 32-bit words, shape (R, 2), as programs take them."""
    words = np.stack([ids >> 32, ids & 0xFFFFFFFF], axis=-1)
    return words.astype(np.uint32)


def sweep_key(seed: int) -> Key[Array, ""]:
    """Make the root key from a 63-bit seed."""
    root = jax.random.key(seed & 0xFFFFFFFF)
    return jax.random.fold_in(root, np.uint32(seed >> 32))


def run_key(
    root: Key[Array, ""], run: UInt32[Array, "2"], purpose: Purpose, *, shared: bool = False
) -> Key[Array, ""]:
    """Make the key of one run for one purpose.

    With `shared` only the run's index counts, so run i of every setting gets the same key.
    """
    key = fold_in(root, int(purpose))
    if shared:
        return fold_in(fold_in(key, 1), run[1])
    key = fold_in(fold_in(key, 0), run[0])
    return fold_in(key, run[1])


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def random_words(key: Key[Array, ""], count: int) -> UInt32[Array, " n"]:
    """Draw random 32-bit words: Threefry-2x32 of the key at 0, 1, 2, ...

    The generator of jax.random, written out so that XLA makes one loop of it and of what is
    made of the words, and with both words of a block used: on a CPU less than half the time.

    Source:
        Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    counters = jnp.arange(-(-count // 2), dtype=jnp.uint32)
    return jnp.concatenate(_threefry(key, counters, jnp.zeros_like(counters)))[:count]


def fold_in(key: Key[Array, ""], data: Any) -> Key[Array, ""]:
    """Fold a 32-bit number into a key, as jax.random does; written out as well."""
    words = _threefry(key, jnp.uint32(0), jnp.asarray(data).astype(jnp.uint32))
    return jax.random.wrap_key_data(jnp.stack(words))


def _threefry(key: Key[Array, ""], x: Array, y: Array) -> tuple[Array, Array]:
    """The two words of the blocks with counters (x, y)."""
    first, second = jax.random.key_data(key)
    subkeys = (first, second, first ^ second ^ _PARITY)
    x, y = x + subkeys[0], y + subkeys[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = x + y
            y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
        x = x + subkeys[(i + 1) % 3]
        y = y + subkeys[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


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


def key_of(theta: Float[Array, " P"]) -> Key[Array, ""]:
    """Make the key of a network from the bits of its parameters.

    Two words, each the sum of the parameters' 32-bit words times fixed random odd numbers
    (multilinear hashing): equal networks share a stream, others do so once in 2^62 pairs.
    """
    words = jax.lax.bitcast_convert_type(theta.astype(jnp.float32), jnp.uint32)
    factors = jax.random.bits(jax.random.key(0), (2, len(words)), jnp.uint32) | 1
    high, low = jnp.sum(words * factors, axis=1, dtype=jnp.uint32)
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(0), high), low)


MAX_PACKED = 2**12
"""Numbers that are shuffled as one word each; more would leave under 20 bits to chance."""


def permutation(key: Key[Array, ""], count: int) -> Int[Array, " N"]:
    """Draw an order of 0 .. count - 1.

    Few numbers are sorted as one word each, random bits above the number: on a CPU four times
    as fast as sorting pairs, as jax.random does.
    """
    if count > MAX_PACKED:
        return jax.random.permutation(key, count).astype(jnp.int32)
    words = random_words(key, count + 1)
    return order_of_words(words[:count], words[count])


def order_of_words(words: UInt32[Array, " N"], mask: UInt32[Array, ""]) -> Int[Array, " N"]:
    """Order 0 .. N - 1 by the high bits of their words.

    Ties are broken by the number XOR a mask, so over the masks either of two comes first
    equally often.
    """
    count = len(words)
    low = jnp.uint32(2 ** max(1, (count - 1).bit_length()) - 1)
    number = jnp.arange(count, dtype=jnp.uint32) ^ (mask & low)
    ordered = jnp.sort((words & ~low) | number)
    return ((ordered ^ mask) & low).astype(jnp.int32)


def data_rng(seed: int, purpose: str) -> np.random.Generator:
    """Make the generator of a task's data: from (seed, purpose), so all runs share it."""
    words = [seed, *purpose.encode()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
