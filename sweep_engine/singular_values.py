"""Singular values in plain JAX: accurate to rounding, and the same bits in every lane.

The eigenvalues of the Gram matrix are their squares, so that what lies below the root of the
rounding error of the largest is lost: half of the digits. A vmapped SVD calls LAPACK once a
network. One-sided Jacobi rotations need products and sums alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MAX_SWEEPS = 30
"""Of rotations of all pairs of columns; matrices of some hundred columns need 8 to 12."""

_TALL = 2
"""From so many times more rows than columns on, a QR decomposition pays."""

_State = tuple[Float[Array, "2 k m"], Float[Array, ""]]


class SingularValues(NamedTuple):
    """The singular values of one matrix.

    Attributes:
        values: The largest first, shape (min(rows, columns),).
        converged: Whether all pairs of columns were orthogonal to rounding in the end; false
            where a number is not finite.
    """

    values: Float[Array, " n"]
    converged: Bool[Array, ""]


def singular_values(matrix: Float[Array, "m n"]) -> SingularValues:
    """Compute the singular values, each to rounding of the largest.

    Columns are rotated in pairs until they are orthogonal: their norms are the singular values.
    A sweep takes every pair once, half of the columns at a time (round robin). A tall matrix is
    first reduced to the triangle of its QR decomposition.

    Source:
        Golub & Van Loan (2013), Matrix Computations, sections 8.5 and 8.6.3 (one-sided Jacobi,
        parallel ordering), 5.2.2 (Householder QR).
    """
    rows, columns = matrix.shape
    if columns > rows:
        return singular_values(matrix.T)
    largest = jnp.max(jnp.abs(matrix))
    scale = jnp.where(largest > 0, largest, 1.0)  # squares neither overflow nor underflow
    scaled = matrix / scale
    if rows >= _TALL * columns:
        scaled = _triangle(scaled)
    values, converged = _orthogonalised(scaled.T)
    return SingularValues(values * scale, converged)


def _orthogonalised(vectors: Float[Array, "n m"]) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    """Return the vectors' norms, largest first, once rotations have made them orthogonal."""
    count, length = vectors.shape
    if count == 1:
        norms = jnp.sqrt(jnp.sum(vectors * vectors, axis=1))
        return norms, jnp.isfinite(norms[0])
    tolerance = 4 * length**0.5 * float(np.finfo(np.float32).eps)
    total = jnp.sqrt(jnp.sum(vectors * vectors))
    halves = jnp.concatenate([vectors, jnp.zeros((count % 2, length), vectors.dtype)])
    halves = halves.reshape(2, -1, length)

    def rotate_pairs(_: Array, state: _State) -> _State:
        halves, worst = state
        rotated, overlap = _rotated(halves, total)
        return _next_pairs(rotated), jnp.maximum(worst, overlap)

    def sweep(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        halves, _, number = state
        start = (halves, jnp.zeros((), vectors.dtype))
        halves, worst = jax.lax.fori_loop(0, 2 * halves.shape[1] - 1, rotate_pairs, start)
        return halves, worst, number + 1

    def is_unfinished(state: tuple[Array, Array, Array]) -> Array:
        return (state[1] > tolerance) & (state[2] < MAX_SWEEPS)

    first = (halves, jnp.full((), jnp.inf, vectors.dtype), jnp.zeros((), jnp.int32))
    halves, worst, _ = jax.lax.while_loop(is_unfinished, sweep, first)
    norms = jnp.sqrt(jnp.sum(halves * halves, axis=-1)).ravel()
    # The vector of zeros that evens the number out is never mixed with another.
    return -jnp.sort(-norms)[:count], worst <= tolerance


def _rotated(
    halves: Float[Array, "2 k m"], total: Float[Array, ""]
) -> tuple[Float[Array, "2 k m"], Float[Array, ""]]:
    """Rotate vector i of both halves until they are orthogonal, for all i.

    Returns:
        The halves, and the largest overlap before: |x . y| / (max(|x|, |y|) |all|), which bounds
        what a rotation can change a norm by, as a share of |all|.
    """
    x, y = halves
    xx, yy, xy = (jnp.sum(a * b, axis=-1) for a, b in ((x, x), (y, y), (x, y)))
    larger = jnp.sqrt(jnp.maximum(xx, yy)) * total
    overlap = jnp.abs(xy) / jnp.where(larger == 0, 1.0, larger)
    ratio = (yy - xx) / jnp.where(xy == 0, 1.0, 2 * xy)
    tangent = jnp.where(ratio < 0, -1.0, 1.0) / (jnp.abs(ratio) + jnp.sqrt(1 + ratio * ratio))
    tangent = jnp.where(xy == 0, 0.0, tangent)
    cosine = 1 / jnp.sqrt(1 + tangent * tangent)
    # Corrections to x and y, which are small at the end: cosine * x would round in every sweep.
    sine, half = (tangent * cosine)[:, None], (tangent * cosine / (1 + cosine))[:, None]
    rotated = jnp.stack([x - sine * (y + half * x), y + sine * (x - half * y)])
    return rotated, jnp.max(overlap)


def _next_pairs(halves: Float[Array, "2 k m"]) -> Float[Array, "2 k m"]:
    """Move all vectors but the first one seat on, so that everyone meets everyone."""
    x, y = halves
    if len(x) == 1:
        return halves
    return jnp.stack([
        jnp.concatenate([x[:1], y[:1], x[1:-1]]),
        jnp.concatenate([y[1:], x[-1:]]),
    ])  # fmt: skip


def _triangle(matrix: Float[Array, "m n"]) -> Float[Array, "n n"]:
    """Reduce to the triangle R of the QR decomposition, which has the same singular values."""
    rows, columns = matrix.shape
    row = jnp.arange(rows)

    def reflect(j: Array, matrix: Array) -> Array:
        below = jnp.where(row >= j, matrix[:, j], 0.0)
        norm = jnp.sqrt(jnp.sum(below * below))
        corner = below[j]
        v = below + jnp.where(row == j, jnp.where(corner < 0, -norm, norm), 0.0)
        square = jnp.sum(v * v)
        shares = jnp.sum(v[:, None] * matrix, axis=0) * 2 / jnp.where(square > 0, square, 1.0)
        return matrix - v[:, None] * shares

    reduced: Array = jax.lax.fori_loop(0, columns, reflect, matrix)
    return jnp.triu(reduced[:columns])


def symmetric_eigenvalues(
    matrix: Float[Array, "n n"],
) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    """Compute the eigenvalues of a symmetric matrix, largest first, to rounding of its norm.

    With the norm added to the diagonal none is negative, and all are singular values.

    Returns:
        The eigenvalues, and whether they converged.
    """
    shift = jnp.sqrt(jnp.sum(matrix * matrix))
    values, converged = singular_values(matrix + shift * jnp.eye(len(matrix)))
    return values - shift, converged
