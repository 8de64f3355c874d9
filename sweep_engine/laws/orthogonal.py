"""Uniform (Haar) laws on semi-orthogonal matrices, without calls into LAPACK."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import FloatLike

ON_MANIFOLD = 2e-5
"""How far, relative to scale², the Gram matrix may be from scale² I."""


@dataclass(frozen=True)
class SemiOrthogonal:
    """`scale` times a uniform matrix with orthonormal columns, or rows where those are fewer.

    For k columns of length n >= k it is Q of Z = QR, with Z of independent normals and a
    positive diagonal of R. The density is with respect to the Hausdorff measure of the
    manifold in the space of matrices (for k = 1, area on the sphere), whose mass is
    2^(k(k+3)/4) pi^(nk/2) scale^d / Gamma_k(n/2), with d = nk - k(k+1)/2.

    Source:
        Mezzadri (2007), Notices of the AMS 54(5), for QR. Muirhead (1982), Aspects of
        Multivariate Statistical Theory, theorem 2.1.15, for the mass: his measure counts
        every pair of columns once; the Hausdorff measure has a factor sqrt(2) more for each.
    """

    num_rows: int
    num_columns: int
    scale: FloatLike

    @property
    def num_params(self) -> int:
        return self.num_rows * self.num_columns

    @property
    def num_normals(self) -> int:
        return self.num_params

    @property
    def _sides(self) -> tuple[int, int]:
        """(k, n), the shorter and the longer side."""
        short, long = sorted((self.num_rows, self.num_columns))
        return short, long

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return self.from_normals(jax.random.normal(key, (self.num_normals,)))

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        vectors = orthonormal_rows(z.reshape(self._sides))
        matrix = vectors if self.num_rows <= self.num_columns else vectors.T
        return matrix.reshape(-1) * self.scale

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        matrix = theta.reshape(self.num_rows, self.num_columns)
        vectors = matrix if self.num_rows <= self.num_columns else matrix.T
        gram = jnp.matmul(vectors, vectors.T, precision=jax.lax.Precision.HIGHEST)
        square = jnp.square(self.scale)
        gap = jnp.max(jnp.abs(gram - square * jnp.eye(len(gram))))
        return jnp.where(gap <= ON_MANIFOLD * square, -self._log_volume(), -jnp.inf)

    def _log_volume(self) -> Float[Array, ""]:
        k, n = self._sides
        dimension = n * k - k * (k + 1) // 2
        log_gamma = k * (k - 1) / 4 * math.log(math.pi)
        log_gamma += sum(math.lgamma((n - i) / 2) for i in range(k))
        unit = k * (k + 3) / 4 * math.log(2) + n * k / 2 * math.log(math.pi) - log_gamma
        return unit + dimension * jnp.log(self.scale)

    def std(self) -> Float[Array, " n"]:
        return jnp.full(self.num_params, self.scale / math.sqrt(self._sides[1]))

    def atoms(self) -> None:
        return None


def orthonormal_rows(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """Orthonormalise k <= n rows one after the other, each with the sign that it has.

    Gram-Schmidt, with every projection made twice, which is orthogonal to rounding. Matrix
    products only: two programs with LAPACK calls that run at the same time on a CPU can wait
    for each other for ever. In full float32, also where matrix products default to less.

    Source:
        Giraud, Langou, Rozložník & van den Eshof (2005), Numer. Math. 101.
    """

    def step(
        rows: Float[Array, "k n"], item: tuple[Array, Float[Array, " n"]]
    ) -> tuple[Float[Array, "k n"], None]:
        index, row = item
        for _ in range(2):
            onto = jnp.matmul(rows, row, precision=jax.lax.Precision.HIGHEST)
            row = row - jnp.matmul(onto, rows, precision=jax.lax.Precision.HIGHEST)
        row = row / jnp.maximum(jnp.linalg.norm(row), jnp.finfo(row.dtype).tiny)
        return rows.at[index].set(row), None

    rows, _ = jax.lax.scan(step, jnp.zeros_like(z), (jnp.arange(len(z)), z))
    return rows
