"""Factorisation: what must be known of a model whose function is one of phi(theta)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from sweep_engine.models import Network


@dataclass(frozen=True)
class Factorisation(ABC):
    """A model whose function depends on theta through phi(theta) alone.

    Gradient flow of any loss L(phi) then moves phi by -M(theta) grad L, M = dphi dphi', and
    conserves numbers h(theta) that depend on no data.

    Source:
        Marcotte, Gribonval & Peyre (2023), Abide by the law and follow the flow, NeurIPS.
    """

    network: Network

    @property
    @abstractmethod
    def size(self) -> int:
        """Count the coordinates of phi."""

    @property
    @abstractmethod
    def num_conserved(self) -> int:
        """Count the independent conserved quantities that theory knows, at generic points."""

    @abstractmethod
    def lift(self, theta: Float[Array, " P"]) -> Float[Array, " d"]:
        """Compute phi."""

    @abstractmethod
    def project(self, theta: Float[Array, " P"], key: Key[Array, ""]) -> Float[Array, ""]:
        """Compute the sum of phi's coordinates with random signs, without listing them.

        The key alone decides the signs. Those of two coordinates are independent, so that the
        mean over keys of a product of projections is a scalar product.
        """

    @abstractmethod
    def distance(self, theta: Float[Array, " P"], start: Float[Array, " P"]) -> Float[Array, ""]:
        """Compute |phi(theta) - phi(start)|, without listing more than a layer."""

    @abstractmethod
    def conserved(self, theta: Float[Array, " P"]) -> list[Array]:
        """Compute h, of every hidden layer: numbers (n,), or a symmetric matrix (n, n)."""


def norm(values: Sequence[Array]) -> Float[Array, ""]:
    """Compute the root of the sum of squares of all entries."""
    return jnp.sqrt(sum((jnp.sum(value * value) for value in values), jnp.zeros(())))


def signs(key: Key[Array, ""], size: int) -> Float[Array, " n"]:
    """Draw independent signs."""
    drawn: Array = jax.random.rademacher(key, (size,), jnp.float32)
    return drawn
