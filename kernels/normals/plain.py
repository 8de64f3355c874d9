"""Draw standard normals in plain JAX: the truth that the kernel is held to."""

import jax
from jaxtyping import Array, Float, Key


def normals(key: Key[Array, ""], count: int) -> Float[Array, " n"]:
    """Draw standard normals."""
    return jax.random.normal(key, (count,))
