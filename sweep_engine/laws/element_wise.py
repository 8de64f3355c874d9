"""Laws of independent parameters: a standard law of one number, times a scale."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.scipy import special, stats
from jaxtyping import Array, Float, Key

from sweep_engine.laws.distribution import Atoms, FloatLike
from sweep_engine.threefry import (
    TRUNCATED_AT,
    TRUNCATED_MASS,
    normals,
    truncated_normals,
    uniforms,
)

ROUNDING = 1e-6
"""How far outside its support, relative to its scale, a float32 draw may be rounded."""


class Standard(ABC):
    """The law of one number, at scale 1.

    Attributes:
        normals_each: How many standard normals make one number.
        is_discrete: Whether it has probabilities instead of a density.
    """

    normals_each: int = 1
    is_discrete: bool = False

    @property
    @abstractmethod
    def std(self) -> FloatLike:
        """The standard deviation."""

    @abstractmethod
    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        """Map every column of normals to a number."""

    @abstractmethod
    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Compute the log-density of every number; of a discrete law, its log-probability."""

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, " n"]:
        """Draw `count` numbers."""
        return self.from_normals(normals(key, self.normals_each * count).reshape(-1, count))

    def atoms(self) -> Atoms | None:
        """List the values of a discrete law."""
        return None


class Normal(Standard):
    """N(0, 1)."""

    std = 1.0

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        return z[0]

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        return stats.norm.logpdf(x)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, " n"]:
        return normals(key, count)


class Uniform(Standard):
    """Uniform on [-1, 1]: 2 Phi(z) - 1."""

    std = 1 / math.sqrt(3)

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        return _centred_phi(z[0])

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        return jnp.where(jnp.abs(x) <= 1 + ROUNDING, -math.log(2), -jnp.inf)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, " n"]:
        return uniforms(key, count)


class TruncatedNormal(Standard):
    """N(0, 1) given that it is within two deviations of 0."""

    bound, mass = TRUNCATED_AT, TRUNCATED_MASS
    std = math.sqrt(1 - 2 * bound * math.exp(-(bound**2) / 2) / math.sqrt(2 * math.pi) / mass)

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        return math.sqrt(2) * special.erfinv(self.mass * _centred_phi(z[0]))

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        inside = jnp.abs(x) <= self.bound * (1 + ROUNDING)
        return jnp.where(inside, stats.norm.logpdf(x) - math.log(self.mass), -jnp.inf)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, " n"]:
        return truncated_normals(key, count)


class Laplace(Standard):
    """Density exp(-|x|) / 2: minus the log of the normal's two-sided tail, with its sign."""

    std = math.sqrt(2)

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        size = jnp.abs(z[0]) / math.sqrt(2)
        # Each form of ln erfc is exact to rounding on its side: near 0, and in the tail.
        near = -jnp.log1p(-special.erf(jnp.minimum(size, 1.0)))
        far = -jnp.log(special.erfc(jnp.clip(size, 0.5, 9.0)))
        return jnp.sign(z[0]) * jnp.where(size < 0.5, near, far)

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        return -jnp.abs(x) - math.log(2)


@dataclass(frozen=True)
class StudentT(Standard):
    """Student's t: z_0 / sqrt(mean of the squares of `degrees_of_freedom` further normals)."""

    degrees_of_freedom: int

    @property
    def normals_each(self) -> int:  # type: ignore[override]  # a constant elsewhere
        return self.degrees_of_freedom + 1

    @property
    def std(self) -> float:
        nu = self.degrees_of_freedom
        return math.sqrt(nu / (nu - 2)) if nu > 2 else math.inf

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        spread = jnp.sqrt(jnp.mean(z[1:] ** 2, axis=0))
        return z[0] / jnp.maximum(spread, 1e-12)  # float32 normals can be 0

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        nu = self.degrees_of_freedom
        constant = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(nu * math.pi) / 2
        return constant - (nu + 1) / 2 * jnp.log1p(x**2 / nu)


@dataclass(frozen=True)
class Ternary(Standard):
    """0 with probability `zero_probability`, else 1 or -1: thresholds of z."""

    zero_probability: FloatLike = 0.0
    is_discrete = True

    @property
    def std(self) -> FloatLike:
        return jnp.sqrt(1 - jnp.asarray(self.zero_probability))

    def from_normals(self, z: Float[Array, "k n"]) -> Float[Array, " n"]:
        threshold = math.sqrt(2) * special.erfinv(jnp.float32(self.zero_probability))
        return jnp.where(jnp.abs(z[0]) < threshold, 0.0, jnp.where(z[0] < 0, -1.0, 1.0))

    def log_density(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        zero = jnp.log(jnp.float32(self.zero_probability))
        one = jnp.log1p(-jnp.float32(self.zero_probability)) - math.log(2)
        is_one = jnp.abs(jnp.abs(x) - 1) <= ROUNDING
        return jnp.where(x == 0, zero, jnp.where(is_one, one, -jnp.inf))

    def atoms(self) -> Atoms:
        zero = float(self.zero_probability)
        values = np.array([-1, 0, 1], np.float32)
        probabilities = np.array([1 - zero, 2 * zero, 1 - zero]) / 2
        possible = probabilities > 0
        return Atoms(values[possible], np.log(probabilities[possible]))


class Sign(Ternary):
    """1 or -1, equally likely: never 0, whatever a setting says."""


@dataclass(frozen=True)
class Independent:
    """Every parameter is `scale` times `unit` times a draw of its own of one standard law.

    Attributes:
        standard: The law at scale 1.
        scale: Multiplies all parameters; at 0 they are fixed at 0.
        num_params: How many.
        unit: A constant: where `scale` is to be the standard deviation, 1 / standard.std.
    """

    standard: Standard
    scale: FloatLike
    num_params: int
    unit: float = 1.0

    @property
    def num_normals(self) -> int:
        return self.standard.normals_each * self.num_params

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return self.standard.draw(key, self.num_params) * self.scale * self.unit

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        numbers = self.standard.from_normals(z.reshape(-1, self.num_params))
        return numbers * self.scale * self.unit

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        scale = jnp.asarray(self.scale) * self.unit
        divisor = jnp.where(scale > 0, scale, 1.0)
        density = jnp.sum(self.standard.log_density(theta / divisor))
        if not self.standard.is_discrete:
            density -= self.num_params * jnp.log(divisor)
        return jnp.where(scale > 0, density, _log_indicator(theta == 0))

    def std(self) -> Float[Array, " n"]:
        return jnp.full(self.num_params, self.standard.std * self.scale * self.unit)

    def atoms(self) -> Sequence[Atoms] | None:
        atoms = self.standard.atoms()
        if atoms is None:
            return None
        scaled = atoms._replace(values=atoms.values * np.float32(self.scale))
        return [scaled] * self.num_params


@dataclass(frozen=True)
class Zeros:
    """Parameters fixed at 0, without normals; the density is with respect to the point."""

    num_params: int
    num_normals: int = 0

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return jnp.zeros(self.num_params)

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return jnp.zeros(self.num_params)

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        return _log_indicator(theta == 0)

    def std(self) -> Float[Array, " n"]:
        return jnp.zeros(self.num_params)

    def atoms(self) -> Sequence[Atoms]:
        return [Atoms(np.zeros(1, np.float32), np.zeros(1))] * self.num_params


@dataclass(frozen=True)
class Fixed:
    """Parameters fixed at a value, without normals; the density is with respect to the point."""

    value: FloatLike
    num_params: int
    num_normals: int = 0

    def sample(self, key: Key[Array, ""]) -> Float[Array, " n"]:
        return self._theta()

    def from_normals(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        return self._theta()

    def _theta(self) -> Float[Array, " n"]:
        return jnp.full(self.num_params, self.value, jnp.float32)

    def log_density(self, theta: Float[Array, " n"]) -> Float[Array, ""]:
        gap = jnp.abs(theta - self.value)
        return _log_indicator(gap <= ROUNDING * jnp.abs(jnp.asarray(self.value)))

    def std(self) -> Float[Array, " n"]:
        return jnp.zeros(self.num_params)

    def atoms(self) -> Sequence[Atoms]:
        values = np.full(1, self.value, np.float32)
        return [Atoms(values, np.zeros(1))] * self.num_params


def _centred_phi(z: Float[Array, " n"]) -> Float[Array, " n"]:
    """2 Phi(z) - 1, as exact at small z as in the tails."""
    return special.erf(z / math.sqrt(2))


def _log_indicator(condition: Array) -> Float[Array, ""]:
    return jnp.where(jnp.all(condition), 0.0, -jnp.inf)
