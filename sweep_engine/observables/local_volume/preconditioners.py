"""Linear maps of determinant 1 that stretch directions along which the basin is wide.

Each is (1 + D h / (2 threshold))^(-1/2), scaled to determinant 1, of an estimate h of the
curvature in coordinates in which the law has deviation 1: wide where the cost is flat, but no
wider than the law. On an ellipsoid far smaller than the law it is exact: h^(-1/2).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.observables.curvature import (
    LinearMap,
    Smooth,
    Vector,
    hessian_product,
)

PROBES = 64
"""Random sign vectors of the estimate of the Hessian's diagonal."""


def none(v: Vector) -> Vector:
    """Leave directions as they are."""
    return v


def diagonal(curvature: Vector, threshold: float) -> LinearMap:
    """Stretch every coordinate by its own curvature."""
    logs = _log_widths(curvature, len(curvature), threshold)
    widths = jnp.exp(logs - jnp.mean(logs))
    return lambda v: widths * v


def low_rank(
    eigenvalues: Float[Array, " k"], vectors: Float[Array, "D k"], threshold: float
) -> LinearMap:
    """Stretch by the curvatures of k orthonormal directions, and by 0 across them."""
    logs = _log_widths(eigenvalues, len(vectors), threshold)
    shrink, scale = jnp.expm1(logs), jnp.exp(-jnp.sum(logs) / len(vectors))
    return lambda v: scale * (v + vectors @ (shrink * (vectors.T @ v)))


def _log_widths(curvature: Array, size: int, threshold: float) -> Array:
    return -0.5 * jnp.log1p(size * jnp.maximum(curvature, 0.0) / (2 * threshold))


def hessian_diagonal(cost: Smooth, z: Vector, key: Key[Array, ""]) -> Vector:
    """Estimate the diagonal of the Hessian: the mean of s * Hs over random signs s.

    Source:
        Bekas, Kokiopoulou & Saad (2007), Appl. Numer. Math. 57, 1214.
    """

    def probe(total: Vector, key: Key[Array, ""]) -> tuple[Vector, None]:
        signs = jax.random.rademacher(key, z.shape, z.dtype)
        return total + signs * hessian_product(cost, z)(signs), None

    return jax.lax.scan(probe, jnp.zeros_like(z), jax.random.split(key, PROBES))[0] / PROBES


def second_moment(losses: Callable[[Vector, Array], Array], z: Vector, examples: int) -> Vector:
    """Compute the mean over the examples of the squared gradient of each one's loss.

    That is what Adam's second moment tends to at z with one example a minibatch, and it is the
    diagonal of the empirical Fisher matrix. It vanishes where every residual does.

    Args:
        losses: Maps z and the index of an example to its loss.
        z: Where.
        examples: How many there are.

    Source:
        Kingma & Ba (2015), ICLR, algorithm 1.
    """

    def add(total: Vector, index: Array) -> tuple[Vector, None]:
        return total + jax.grad(losses)(z, index) ** 2, None

    return jax.lax.scan(add, jnp.zeros_like(z), jnp.arange(examples))[0] / examples
