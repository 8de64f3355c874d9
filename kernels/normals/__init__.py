"""Draw standard normals, as many lanes at once as a block has.

`plain` says what they are: jax.random's own. `cpu` makes them of the same random words.
"""

from collections.abc import Callable

from jaxtyping import Array, Float, Key

from sweep_engine.kernels.normals import cpu, plain

NORMALS: dict[str, Callable[[Key[Array, ""], int], Float[Array, " n"]]] = {
    "plain": plain.normals,
    "cpu": cpu.normals,
}
"""Names the implementations. Each is of one key; mapped over lanes, `cpu` is one call for all."""
