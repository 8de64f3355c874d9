"""Curvature of a smooth cost at a point: products with the Hessian, and its extreme eigenvalues."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Vector = Float[Array, " D"]
LinearMap = Callable[[Vector], Vector]
Smooth = Callable[[Vector], Float[Array, ""]]

ROUNDING = 1e-5
"""What is left of a vector that lies in a space, as a share of it, and of the largest so far."""


def hessian_product(cost: Smooth, z: Vector) -> LinearMap:
    """Return v -> H v, of the Hessian of the cost at z, for the price of two gradients.

    Source:
        Pearlmutter (1994), Neural Computation 6, 147.
    """
    return lambda v: jax.jvp(jax.grad(cost), (z,), (v,))[1]


class Eigenpairs(NamedTuple):
    """Ritz values and vectors of a symmetric map, the largest value first.

    Attributes:
        values: Shape (k,).
        vectors: Orthonormal rows, shape (k, D).
        residuals: |H v - value v|, shape (k,): some eigenvalue is no farther from the value.
    """

    values: Float[Array, " k"]
    vectors: Float[Array, "k D"]
    residuals: Float[Array, " k"]


def eigenpairs(product: LinearMap, key: Key[Array, ""], size: int, steps: int) -> Eigenpairs:
    """Find k = min(steps, D) Ritz pairs of a symmetric map by Lanczos from a random start.

    Every vector is made orthogonal to all before it, twice, and the map is projected on them as
    it is. Where the Krylov space ends (a map of low rank, of equal eigenvalues, or 0), it goes
    on from a random vector that is orthogonal to it, and so meets equal eigenvalues too.

    matfree, whose Lanczos takes half the memory, divides by the remainder's norm there, and
    gave 4.2 for the identity times 2.

    Source:
        Golub & Van Loan (2013), Matrix Computations, sections 10.1 and 10.3.
    """
    steps = min(steps, size)

    def orthogonal(v: Vector, basis: Float[Array, "k D"]) -> Vector:
        for _ in range(2):
            v = v - basis.T @ (basis @ v)
        return v

    def step(
        carry: tuple[Array, Vector, Array], fresh: tuple[Array, Vector]
    ) -> tuple[tuple[Array, Vector, Array], Vector]:
        basis, image, largest = carry
        number, random = fresh
        remainder, other = orthogonal(image, basis), orthogonal(random, basis)
        length = jnp.linalg.norm(remainder)
        vector = jnp.where(length > ROUNDING * largest, remainder, other)
        vector = vector / jnp.linalg.norm(vector)
        image = product(vector)
        largest = jnp.maximum(largest, jnp.linalg.norm(image))
        return (basis.at[number].set(vector), image, largest), image

    fresh = jax.random.normal(key, (steps, size))
    start = (jnp.zeros((steps, size)), jnp.zeros(size), jnp.zeros(()))
    (basis, *_), images = jax.lax.scan(step, start, (jnp.arange(steps), fresh))
    projected = basis @ images.T
    values, rows = jnp.linalg.eigh((projected + projected.T) / 2)
    values, rows = values[::-1], rows.T[::-1]
    vectors = rows @ basis
    residuals = jnp.linalg.norm(rows @ images - values[:, None] * vectors, axis=1)
    return Eigenpairs(values, vectors, residuals)


class Estimated(NamedTuple):
    """The mean of independent samples, and its standard error."""

    value: Float[Array, ""]
    stderr: Float[Array, ""]


def mean_of(samples: Float[Array, " M"]) -> Estimated:
    """Estimate an expectation from M >= 2 independent samples."""
    return Estimated(jnp.mean(samples), jnp.std(samples, ddof=1) / len(samples) ** 0.5)


def probe(
    product: LinearMap, key: Key[Array, ""], shape: tuple[int, ...], probes: int
) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """Sample s'Hs, of mean tr(H), and |Hs|^2, of mean |H|_F^2, over random sign vectors s.

    Source:
        Hutchinson (1990), Commun. Stat. Simul. Comput. 19, 433.
    """

    def sample(key: Key[Array, ""]) -> tuple[Array, Array]:
        signs = jax.random.rademacher(key, shape, jnp.float32)
        image = product(signs)
        return signs @ image, image @ image

    sampled: tuple[Array, Array] = jax.lax.map(sample, jax.random.split(key, probes))
    return sampled
