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

from sweep_engine.threefry import random_words, rounds, threefry


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
    LABEL_NOISE = 31


def run_ids(setting_id: int, start: int, stop: int) -> np.ndarray:
    """Ids of the runs with index start .. stop - 1 of a setting: its id times 2^32 + index."""
    return (np.int64(setting_id) << 32) + np.arange(start, stop, dtype=np.int64)


def halves(ids: np.ndarray) -> np.ndarray:
    """Split 64-bit ids into (high, low) 32-bit words, shape (R, 2), as programs take them."""
    words = np.stack([ids >> 32, ids & 0xFFFFFFFF], axis=-1)
    return words.astype(np.uint32)


def sweep_key(seed: int) -> Key[Array, ""]:
    """Make the root key from a 63-bit seed.

    As jax.random does, with the high half folded into the key of the low one; on the host, since
    JAX would compile each of these few operations.
    """
    zero = np.zeros(1, np.uint32)
    low, high = np.uint32(seed & 0xFFFFFFFF), np.array([seed >> 32], np.uint32)
    words = np.concatenate(rounds(zero, zero + low, zero, high))
    return jax.random.wrap_key_data(jnp.asarray(words))


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


def fold_in(key: Key[Array, ""], data: Any) -> Key[Array, ""]:
    """Fold a 32-bit number into a key, as jax.random does; written out as well."""
    words = threefry(key, jnp.uint32(0), jnp.asarray(data).astype(jnp.uint32))
    return jax.random.wrap_key_data(jnp.stack(words))


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
