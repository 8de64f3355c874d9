"""Models that are products coordinate by coordinate."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.observables.factorisations.factorisation import Factorisation, norm, signs


@dataclass(frozen=True)
class Coordinatewise(Factorisation):
    """A product a coordinate: phi is short, and each has one conserved quantity."""

    @property
    def size(self) -> int:
        return self.network.layout.num_params // 2

    @property
    def num_conserved(self) -> int:
        return self.size

    def factors(self, theta: Float[Array, " P"]) -> list[Array]:
        """Cut theta into its two factors, in the order of their names."""
        params = self.network.layout.unflatten(theta)
        return [params[name] for name in sorted(params)]

    def project(self, theta: Float[Array, " P"], key: Key[Array, ""]) -> Float[Array, ""]:
        return jnp.dot(self.lift(theta), signs(key, self.size))

    def distance(self, theta: Float[Array, " P"], start: Float[Array, " P"]) -> Float[Array, ""]:
        return norm([self.lift(theta) - self.lift(start)])


@dataclass(frozen=True)
class ScalarProduct(Coordinatewise):
    """phi = ab; a^2 - b^2 is conserved."""

    def lift(self, theta: Float[Array, " P"]) -> Float[Array, " d"]:
        a, b = self.factors(theta)
        return a * b

    def conserved(self, theta: Float[Array, " P"]) -> list[Array]:
        a, b = self.factors(theta)
        return [(a - b) * (a + b)]


@dataclass(frozen=True)
class DiagonalPowers(Coordinatewise):
    """phi = beta = u^L - v^L, u = w_plus and v = w_minus.

    The flow is u' = -g L u^(L-1), v' = g L v^(L-1), g the gradient by beta. So uv is conserved
    for L = 2, and u^(2-L) + v^(2-L) for other L.

    Source:
        Woodworth et al. (2020), Kernel and rich regimes, COLT, section 4 and appendix.
    """

    depth: int

    def lift(self, theta: Float[Array, " P"]) -> Float[Array, " d"]:
        v, u = self.factors(theta)
        return u**self.depth - v**self.depth

    def conserved(self, theta: Float[Array, " P"]) -> list[Array]:
        v, u = self.factors(theta)
        power = 2 - self.depth
        return [u * v if power == 0 else u**power + v**power]
