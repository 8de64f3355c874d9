"""Optimisers that know of the loss around a network: SAM, and steps that the sharpness limits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from sweep_engine.lanes import any_lane
from sweep_engine.sources.train.gradient_stepper import GradientStepper
from sweep_engine.sources.train.schedules import schedule_factor
from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import Constant, Sam, SharpnessLimited

FIRST_ITERATIONS = 32
"""Of power iteration before the first step, which has none to go on from."""

Product = Callable[[Float[Array, " P"]], Float[Array, " P"]]


def uphill_gradient(spec: Sam, objective: Objective, params: Any) -> Any:
    """Take the gradient `radius` up the slope."""
    gradient = jax.grad(objective)(params)
    norm = optax.tree.norm(gradient)
    climb = jnp.where(norm > 0, spec.radius / jnp.where(norm > 0, norm, 1.0), 0.0)
    return jax.grad(objective)(jax.tree.map(lambda p, g: p + climb * g, params, gradient))


class Tracked(NamedTuple):
    """Hold what steps that the sharpness limits carry on.

    Attributes:
        optimizer: State of the step itself.
        direction: Unit vector near the Hessian's top eigenvector.
    """

    optimizer: Any
    direction: Float[Array, " P"]


class SharpnessLimitedStepper:
    """Step down the gradient, no faster than a share of the edge of stability."""

    _plain = GradientStepper(lambda spec: optax.identity())

    def initial(self, spec: SharpnessLimited, params: Any) -> Tracked:
        """Make the state before the first step; the direction is drawn in it."""
        zeros = jnp.zeros_like(ravel_pytree(params)[0])
        return Tracked(self._plain.initial(spec, params), zeros)

    def update(
        self,
        spec: SharpnessLimited,
        objective: Objective,
        params: Any,
        state: Tracked,
        context: StepContext,
    ) -> tuple[Any, Tracked]:
        """Find the sharpness, then step at the rate that it allows."""
        theta, unravel = ravel_pytree(params)
        gradient, hessian_times = jax.linearize(jax.grad(lambda t: objective(unravel(t))), theta)
        direction = _start(hessian_times, state.direction, context)
        direction, sharpness = _iterate(hessian_times, direction, spec.iterations)
        curvature = sharpness + spec.l2 + spec.weight_decay
        rate = spec.learning_rate * schedule_factor(spec.schedule, context.step)
        limited = jnp.minimum(rate, 2 * spec.share / curvature)
        at_rate = spec.model_copy(update={"learning_rate": limited, "schedule": Constant()})
        params, carried = self._plain.step_along(
            at_rate, unravel(gradient), params, state.optimizer, context
        )
        return params, Tracked(carried, direction)


def _start(
    hessian_times: Product, direction: Float[Array, " P"], context: StepContext
) -> Float[Array, " P"]:
    """The direction of the last step; at the first one that is found from a random vector.

    A random vector alone would have next to no curvature, and the step no limit.
    """
    first = (context.step == 0) & context.running

    def find() -> Array:
        drawn = jax.random.normal(context.key, direction.shape)
        found, _ = _iterate(hessian_times, drawn / jnp.linalg.norm(drawn), FIRST_ITERATIONS)
        return jnp.where(first, found, direction)

    return jax.lax.cond(any_lane(first), find, lambda: direction)


def _iterate(
    hessian_times: Product, direction: Float[Array, " P"], times: int
) -> tuple[Float[Array, " P"], Float[Array, ""]]:
    """Apply the Hessian so often; the last product's length is the sharpness."""

    def once(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        image = hessian_times(carry[0])
        sharpness = jnp.linalg.norm(image)
        return jnp.where(sharpness > 0, image / sharpness, carry[0]), sharpness

    return jax.lax.fori_loop(0, times, once, (direction, jnp.zeros((), direction.dtype)))
