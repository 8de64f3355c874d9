"""One particle of a splitting population: its level, and the move that leaves the law as it is."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from sweep_engine import laws
from sweep_engine.kernels.splitting_move.case import PROPOSALS
from sweep_engine.models import Network
from sweep_engine.sources.acceptance import accepts, error_level, level, output_scale
from sweep_engine.sources.bucket import Data, Hyper
from sweep_engine.spec.base import with_traced
from sweep_engine.spec.sources import Accept, Splitting
from sweep_engine.tasks import Loss

FULL_TURN = 2 * math.pi

EQUALS = Accept(train_error=0.0)
"""Being a given function: no label differs."""


class Particle(NamedTuple):
    """One particle, or with leading axes a population.

    Attributes:
        normals: z, of which the law makes theta, shape (M,).
        level: The acceptance level of theta; positive where it is accepted.
        ancestor: Index of the first particle that it descends from.
    """

    normals: Float[Array, " M"]
    level: Float[Array, ""]
    ancestor: Int[Array, ""]


class Bracket(NamedTuple):
    """Where a move looks for its angle, and what it has found."""

    low: Float[Array, ""]
    high: Float[Array, ""]
    particle: Particle
    found: Bool[Array, ""]


@dataclass(frozen=True)
class Climber:
    """The single-particle code of a `splitting` source with its static choices.

    Attributes:
        spec: The source; its traced fields are replaced by each unit's own.
        accept: The rule by which rows fit.
        network: The model.
        loss: The loss.
    """

    spec: Splitting
    accept: Accept
    network: Network
    loss: Loss

    @property
    def rule(self) -> Accept:
        """What is climbed to: the acceptance rule, or being a given function."""
        return self.accept if self.spec.functions is None else EQUALS

    @property
    def num_normals(self) -> int:
        """M."""
        return laws.num_normals(self.spec.law, self.network.layout)

    def theta(self, normals: Float[Array, " M"], hyper: Hyper) -> Float[Array, " P"]:
        """Map a particle to the network's parameters."""
        law = with_traced(self.spec, hyper).law
        return laws.from_normals(law, self.network.layout, normals)

    def level(self, normals: Float[Array, " M"], hyper: Hyper, data: Data) -> Float[Array, ""]:
        """Compute how near the network is to what is climbed to; positive once it is there."""
        params = self.network.layout.unflatten(self.theta(normals, hyper))
        scale = output_scale(self.rule, self.network, params, data.x)
        outputs = self.network.apply(params, data.x)
        if self.spec.climb == "error":
            return error_level(self.rule, self.loss, outputs, data.y)
        return level(self.rule, self.loss, outputs, data.y, scale)

    def fits(self, theta: Float[Array, " P"], train: Data) -> Bool[Array, ""]:
        """Whether a network passes the acceptance rule on the training set."""
        params = self.network.layout.unflatten(theta)
        scale = output_scale(self.accept, self.network, params, train.x)
        outputs = self.network.apply(params, train.x)
        return accepts(self.accept, self.loss, outputs, train.y, scale)

    def start(
        self, key: Key[Array, ""], index: Int[Array, ""], hyper: Hyper, data: Data
    ) -> Particle:
        """Draw a particle from the law; it is its own ancestor."""
        normals = jax.random.normal(key, (self.num_normals,))
        return Particle(normals, self.level(normals, hyper, data), index)

    def move(
        self,
        particle: Particle,
        key: Key[Array, ""],
        threshold: Float[Array, ""],
        width: Float[Array, ""],
        hyper: Hyper,
        data: Data,
    ) -> tuple[Particle, Bool[Array, ""]]:
        """Move a particle so that N(0, I) given {level > threshold} stays as it is.

        An elliptical slice in a window of the coordinates: with nu ~ N(0, I) and the angle phi
        uniform in a bracket of the given width about 0, z cos(phi) + nu sin(phi) replaces z in
        the window; where its level is not above the threshold the bracket shrinks to phi.
        The window, a run of coordinates of log-uniform length at a uniform place, does not
        depend on z. Small windows allow large angles, so scales are mixed by themselves.

        Returns:
            The particle, and whether one of the `PROPOSALS` angles was accepted. If none was
            it stays, which keeps the move reversible.

        Source:
            Murray, Adams & MacKay (2010), Elliptical slice sampling, AISTATS, with Neal's
            (2003) initial bracket; the proposal at one angle is the preconditioned
            Crank-Nicolson move of Cotter, Roberts, Stuart & White (2013), Statistical Science
            28(3), with sqrt(1 - b^2) = cos(phi).
        """
        for_nu, for_rest = jax.random.split(key)
        nu = jax.random.normal(for_nu, (self.num_normals,))
        uniform = jax.random.uniform(for_rest, (3 + PROPOSALS,))
        window = window_at(uniform[0], uniform[1], self.num_normals)
        low = -width * uniform[2]

        def propose(i: Int[Array, ""], bracket: Bracket) -> Bracket:
            phi = bracket.low + (bracket.high - bracket.low) * uniform[3 + i]
            turned = particle.normals * jnp.cos(phi) + nu * jnp.sin(phi)
            normals = jnp.where(window, turned, particle.normals)
            proposal = particle._replace(normals=normals, level=self.level(normals, hyper, data))
            found = ~bracket.found & (proposal.level > threshold)
            return Bracket(
                low=jnp.where(phi < 0, phi, bracket.low),
                high=jnp.where(phi < 0, bracket.high, phi),
                particle=_select(found, proposal, bracket.particle),
                found=bracket.found | found,
            )

        bracket = Bracket(low, low + width, particle, jnp.bool_(False))
        bracket = jax.lax.fori_loop(0, PROPOSALS, propose, bracket)
        return bracket.particle, bracket.found


def window_at(length: Float[Array, ""], place: Float[Array, ""], size: int) -> Bool[Array, " M"]:
    """Mark a cyclic run of coordinates: length log-uniform from 1 to all, at a uniform place.

    Args:
        length: Uniform on [0, 1).
        place: Uniform on [0, 1), independent of it.
        size: M.
    """
    first = window_first(place, size)
    return (jnp.arange(size) - first) % size < window_count(length, size)


def window_first(place: Float[Array, ""], size: int) -> Int[Array, ""]:
    """Find where a window begins."""
    return jnp.floor(size * place).astype(jnp.int32)


def window_count(length: Float[Array, ""], size: int) -> Float[Array, ""]:
    """Count the coordinates of a window."""
    return jnp.floor((size + 1) ** length)


def _select(condition: Bool[Array, ""], yes: Particle, no: Particle) -> Particle:
    return Particle(*(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))
