"""Compute gradients, leapfrog steps and NUTS in plain JAX: the truth that the kernel is held to."""

from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep_engine.kernels.chain_moves.case import (
    Data,
    Density,
    Phase,
    Place,
    Stride,
    Transition,
    check_shapes,
)
from sweep_engine.kernels.fused_training.case import Case
from sweep_engine.kernels.fused_training.plain import losses, outputs

Found = tuple[Float[Array, " R"], Float[Array, "R P"]]
"""Holds mean losses over a network's examples, and their gradients."""

Moved = tuple[Phase, Float[Array, " R"]]
"""Holds where trajectories have come to, and the log-density there."""


def loss_gradient(case: Case, theta: Float[Array, "R P"], data: Data) -> Found:
    """Compute the mean loss of every network, and its gradient.

    Args:
        case: The network, the loss and N.
        theta: The parameters.
        data: The examples.

    Raises:
        ValueError: the arrays have other shapes.
    """
    check_shapes(case, theta, None, data)
    found: Found = jax.vmap(jax.value_and_grad(partial(mean_loss, case)))(
        theta, *_spread(data, len(theta))
    )
    return found


def leapfrog(case: Case, start: Phase, density: Density, data: Data, stride: Stride) -> Moved:
    """Take every trajectory's leapfrog steps; a mass is 1.

    A step is p += (h / 2) slope, z += h p, p += (h / 2) slope, with the slope where z is.

    Args:
        case: The network, the loss and N.
        start: Where trajectories are.
        density: Of which `start.slope` is the gradient.
        data: The examples.
        stride: How far they go: a step at least.

    Raises:
        ValueError: the arrays have other shapes.
    """
    check_shapes(case, start.z, density.scale, data)
    scale, *examples = _spread((density.scale, *data), len(start.z))
    moved: Moved = jax.vmap(partial(_leapfrog_one, case))(
        start, density._replace(scale=scale), Data(*examples), stride
    )
    return moved


def transition(
    case: Case,
    most_doublings: int,
    place: Place,
    density: Density,
    data: Data,
    step_size: Float[Array, " R"],
) -> Transition:
    """Make a transition of the no-U-turn sampler in every chain, by blackjax.

    Args:
        case: The network, the loss and N.
        most_doublings: Of a trajectory.
        place: Where chains are.
        density: Of which `place` has the value and the slope.
        data: The examples.
        step_size: Of each chain.

    Raises:
        ValueError: the arrays have other shapes.
    """
    check_shapes(case, place.phase.z, density.scale, data)
    scale, *examples = _spread((density.scale, *data), len(place.log_density))
    made: Transition = jax.vmap(partial(_transition_of_one, case, most_doublings))(
        place, density._replace(scale=scale), Data(*examples), step_size
    )
    return made


def _transition_of_one(
    case: Case,
    most_doublings: int,
    place: Place,
    density: Density,
    data: Data,
    step_size: Float[Array, ""],
) -> Transition:
    mcmc = import_module("blackjax").mcmc  # takes seconds, and is needed in tests alone
    metric = mcmc.metrics.default_metric(jnp.ones_like(place.phase.z))
    integrator = mcmc.integrators.velocity_verlet(
        partial(log_density_of, case, density, data), metric.kinetic_energy
    )
    propose = mcmc.nuts.iterative_nuts_proposal(
        integrator, metric.kinetic_energy, metric.check_turning, most_doublings
    )
    z, momentum, slope = place.phase
    start = mcmc.integrators.IntegratorState(z, momentum, place.log_density, slope)
    drawn, info = propose(jax.random.wrap_key_data(place.key), start, step_size)
    counts = (
        info.is_divergent,
        info.is_turning,
        info.num_trajectory_expansions,
        info.num_integration_steps,
    )
    return Transition(
        drawn.position,
        drawn.logdensity_grad,
        drawn.logdensity,
        info.acceptance_rate,
        jnp.stack([jnp.asarray(count, jnp.int32) for count in counts]),
    )


def _spread(arrays: Any, count: int) -> list[Array]:
    """Repeat what all networks share."""
    return [jnp.broadcast_to(array, (count, *array.shape[1:])) for array in arrays]


def log_density_of(
    case: Case, density: Density, data: Data, z: Float[Array, " P"]
) -> Float[Array, ""]:
    """Compute the log-density of one chain at z."""
    by_loss = density.by_loss * mean_loss(case, density.scale * z, *data)
    return -by_loss - 0.5 * density.by_square * jnp.sum(z**2)


def _leapfrog_one(
    case: Case, start: Phase, density: Density, data: Data, stride: Stride
) -> tuple[Phase, Float[Array, ""]]:
    half, log_density = 0.5 * stride.step_size, partial(log_density_of, case, density, data)

    def step(_: Int[Array, ""], phase: Phase) -> Phase:
        momentum = phase.momentum + half * phase.slope
        z = phase.z + stride.step_size * momentum
        slope = jax.grad(log_density)(z)
        return Phase(z, momentum + half * slope, slope)

    end: Phase = jax.lax.fori_loop(0, stride.num_steps, step, start)
    return end, log_density(end.z)


def mean_loss(case: Case, theta: Float[Array, " P"], x: Float[Array, "N D"], y: Array) -> Array:
    """Compute the mean loss of one network."""
    targets = y.astype(jnp.int32) if case.loss == "cross_entropy" else y
    return jnp.mean(losses(case, outputs(case, theta, x), targets))
