"""The learning rate of a run as a share of the edge along its first step."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from sweep_engine.lanes import any_lane
from sweep_engine.sources.train.gradient_stepper import GradientStepper
from sweep_engine.sources.train.optimizers import STEPPERS
from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import Constant, EdgeOptimizer


def first_rate(
    optimizer: EdgeOptimizer,
    objective: Objective,
    params: Any,
    rate: Float[Array, ""],
    context: StepContext,
) -> Float[Array, ""]:
    """Measure the rate before the first step; behind it, it stays.

    Args:
        optimizer: Its `of_edge` is a number.
        objective: Maps parameters to the mean loss over the whole training set.
        params: The parameters.
        rate: The rate so far.
        context: Which step.
    """
    assert optimizer.of_edge is not None
    share = optimizer.of_edge
    is_first = (context.step == 0) & context.running

    def measure() -> Array:
        found = share * edge(optimizer, objective, params)
        return jnp.where(is_first, found, rate)

    return jax.lax.cond(any_lane(is_first), measure, lambda: rate)


def edge(optimizer: EdgeOptimizer, objective: Objective, params: Any) -> Float[Array, ""]:
    """Compute 2 g.u / |u.Hu|, of the first step u at rate 1 and the loss with its penalty.

    It is 0 where the loss does not fall along u, as at a minimum, and inf where it falls without
    curvature.

    Source:
        Roulet et al. (2024), Stepping on the edge, NeurIPS, section 3: eta* with sigma = 2.
    """
    at_rate_1 = optimizer.model_copy(update={"learning_rate": 1.0, "schedule": Constant()})
    stepper = STEPPERS[type(optimizer)]
    assert isinstance(stepper, GradientStepper)  # what knows its edge is one
    gradient = stepper.gradient(at_rate_1, objective, params)
    transformation = stepper.transformation(at_rate_1, 0)
    step, _ = transformation.update(gradient, transformation.init(params), params)

    def along(t: Array) -> Array:
        moved = jax.tree.map(lambda p, s: p + t * s, params, step)
        return objective(moved) + 0.5 * optimizer.l2 * optax.tree.norm(moved, squared=True)

    def slope(t: Array) -> Array:
        return jax.jvp(along, (t,), (jnp.ones_like(t),))[1]

    zero = jnp.zeros(())
    falls, curvature = jax.jvp(slope, (zero,), (jnp.ones_like(zero),))
    descent = jnp.maximum(-falls, 0.0)
    return jnp.where(descent > 0, 2 * descent / jnp.abs(curvature), 0.0)
