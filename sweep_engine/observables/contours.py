"""The length of a zero contour on a grid."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def contour_length(
    values: Float[Array, "n m"], row_step: Float[Array, ""], column_step: Float[Array, ""]
) -> Float[Array, ""]:
    """Measure where a function is 0 that is linear in each half of the cells of a grid.

    Each cell is cut along a diagonal into two triangles, in which a linear function is 0 on one
    straight line at most (marching triangles): exact for linear functions.

    Args:
        values: At the grid's points; above 0 is one side, 0 belongs to the other.
        row_step: Distance of rows.
        column_step: Distance of points in a row.
    """
    upper, lower = values[:-1], values[1:]
    here = _in_triangles(upper[:, :-1], lower[:, :-1], upper[:, 1:], row_step, column_step)
    there = _in_triangles(lower[:, 1:], upper[:, 1:], lower[:, :-1], row_step, column_step)
    return jnp.sum(here) + jnp.sum(there)


def _in_triangles(o: Array, a: Array, b: Array, to_a: Array, to_b: Array) -> Array:
    """Measure the contour in right triangles: o at the right angle, legs to a and to b.

    It cuts off the corner whose sign differs from that of the two others.
    """
    cut_o = _hypot(_share(o, a) * to_a, _share(o, b) * to_b)
    cut_a = _hypot((_share(a, o) - _share(a, b)) * to_a, _share(a, b) * to_b)
    cut_b = _hypot((_share(b, o) - _share(b, a)) * to_b, _share(b, a) * to_a)
    o_on, a_on, b_on = o > 0, a > 0, b > 0
    length = jnp.where((o_on != a_on) & (a_on == b_on), cut_o, 0.0)
    length += jnp.where((a_on != o_on) & (o_on == b_on), cut_a, 0.0)
    length += jnp.where((b_on != o_on) & (o_on == a_on), cut_b, 0.0)
    return jnp.where(jnp.isfinite(o + a + b), length, jnp.nan)


def _share(start: Array, end: Array) -> Array:
    """Say how far from start to end the function is 0, as a share of the way."""
    is_cut = (start > 0) != (end > 0)
    return jnp.where(is_cut, start / jnp.where(is_cut, start - end, 1.0), 0.0)


def _hypot(x: Array, y: Array) -> Array:
    return jnp.sqrt(x * x + y * y)
