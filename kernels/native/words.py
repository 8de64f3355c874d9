"""Read the words of keys, by which kernels draw."""

import jax
from jaxtyping import Array, Key, UInt32


def words_of(keys: Key[Array, "*R"]) -> UInt32[Array, "*R 2"]:
    """Return the words of keys that a kernel draws by.

    Raises:
        ValueError: they are not JAX's default ones.
    """
    if str(jax.random.key_impl(keys)) != "threefry2x32":
        raise ValueError("expected threefry2x32 keys, JAX's default")
    return jax.random.key_data(keys)
