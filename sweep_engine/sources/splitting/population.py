"""A population between two levels: the worst particles are killed, the others cloned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


class Selection(NamedTuple):
    """Who goes on to the next level.

    Attributes:
        threshold: The level that all must be above; at most 0.
        num_survivors: How many of the particles are.
        parent: Which particle each place is given, shape (N,); its own where nobody survives.
    """

    threshold: Float[Array, ""]
    num_survivors: Int[Array, ""]
    parent: Int[Array, " N"]


def select(levels: Float[Array, " N"], survivors: float, key: Key[Array, ""]) -> Selection:
    """Choose the next level, and the clones that replace the particles not above it.

    The level leaves the given share of the particles, or fewer where levels are equal, as the
    labels of discrete laws are; it is never above 0. Each survivor is cloned equally
    often, but for a remainder that is drawn.

    Source:
        Cérou & Guyader (2007), Stochastic Analysis and Applications 25(2); Au & Beck (2001),
        Probabilistic Engineering Mechanics 16(4), as subset simulation. Counting the survivors
        where levels can be equal: Bréhier, Gazeau, Goudenège, Lelièvre & Rousset (2016),
        Annals of Applied Probability 26(6).
    """
    count = len(levels)
    killed_at_least = min(max(count - round(survivors * count), 1), count - 1)
    threshold = jnp.minimum(jnp.sort(levels)[killed_at_least - 1], 0.0)
    alive = levels > threshold
    num_survivors = jnp.sum(alive)
    order = _alive_first(alive, key)
    clone = order[(jnp.cumsum(~alive) - 1) % jnp.maximum(num_survivors, 1)]
    stay = alive | (num_survivors == 0)
    return Selection(threshold, num_survivors, jnp.where(stay, jnp.arange(count), clone))


def _alive_first(alive: Bool[Array, " N"], key: Key[Array, ""]) -> Int[Array, " N"]:
    """The survivors in random order, then the others."""
    priority = jax.random.uniform(key, alive.shape)
    return jnp.argsort(jnp.where(alive, priority, 2.0))
