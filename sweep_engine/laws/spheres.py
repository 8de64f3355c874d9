"""Uniform laws on the sphere and in the ball, all parameters together."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import FloatLike
from sweep_engine.laws.element_wise import ROUNDING
from sweep_engine.threefry import direction

ON_SPHERE = 1e-5
"""How far from the sphere, relative to its radius, a point still counts as on it."""


@dataclass(frozen=True)
class OnSphere:
    """Uniform on the sphere: radius z / |z|. The density is with respect to area."""

    radius: FloatLike
    num_params: int

    @property
    def num_normals(self) -> int:
        return self.num_params

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return direction(key, self.num_params) * self.radius

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return _direction(z) * self.radius

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        n = self.num_params
        log_area = _log_ball(n) + math.log(n) + (n - 1) * jnp.log(self.radius)
        gap = jnp.abs(jnp.linalg.norm(theta) - self.radius)
        return jnp.where(gap <= ON_SPHERE * self.radius, -log_area, -jnp.inf)

    def std(self) -> Float[Array, " n"]:
        return jnp.full(self.num_params, self.radius / math.sqrt(self.num_params))

    def atoms(self) -> None:
        return None


@dataclass(frozen=True)
class InBall:
    """Uniform in the ball: n coordinates of a uniform point on the sphere in n + 2 dimensions.

    `sample` takes a uniform direction and the radius times U^(1/n).

    Source:
        Barthe, Guédon, Mendelson & Naor (2005), Ann. Probab. 33(2), for p = 2.
    """

    radius: FloatLike
    num_params: int

    @property
    def num_normals(self) -> int:
        return self.num_params + 2

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        share, angular = self.draw_share(key, self.num_params)
        return direction(angular, self.num_params) * (self.radius * share)

    @staticmethod
    def draw_share(key: Key[Array, ""], num_params: int) -> tuple[Float[Array, ""], Key[Array, ""]]:
        """Draw how far out a point lies, as a share of the radius; the key of its direction."""
        radial, angular = jax.random.split(key)
        return jax.random.uniform(radial) ** (1 / num_params), angular

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return _direction(z)[: self.num_params] * self.radius

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        log_volume = _log_ball(self.num_params) + self.num_params * jnp.log(self.radius)
        inside = jnp.linalg.norm(theta) <= (1 + ROUNDING) * self.radius
        return jnp.where(inside, -log_volume, -jnp.inf)

    def std(self) -> Float[Array, " n"]:
        return jnp.full(self.num_params, self.radius / math.sqrt(self.num_params + 2))

    def atoms(self) -> None:
        return None


def _direction(z: Float[Array, " n"]) -> Float[Array, " n"]:
    return z / jnp.linalg.norm(z)


def _log_ball(dimension: int) -> float:
    """Ln of the unit ball's volume."""
    return dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1)
