"""Greedy random search and pattern search: descent that computes no gradients.

Controls for what is said of gradients: they reach the same losses and know of the loss
nothing but its value. A step is one evaluation of the loss on the whole training set.

Source:
    Chiang, Ni, Miller, Bansal, Geiping, Goldblum & Goldstein (2023), Loss landscapes are all
    you need, ICLR; and the code published with it. Where this departs from it: they evaluate
    as many candidates at once as they have copies of the network and keep the best, here
    every candidate stands alone; their pattern search starts a fresh order at every
    improvement, here an order is gone through to its end; and they compare the losses of
    outputs divided by the product of the layers' Frobenius norms, here those of the task.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.lanes import any_lane
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import PatternSearch, RandomSearch

Objective = Callable[[Any], Float[Array, ""]]


class Greedy(NamedTuple):
    """State of greedy random search.

    Attributes:
        loss: Of the parameters.
        std: Of the noise.
        failures: Candidates refused since the last improvement or shrinking.
    """

    loss: Float[Array, ""]
    std: Float[Array, ""]
    failures: Int[Array, ""]


class Pattern(NamedTuple):
    """State of pattern search.

    Attributes:
        loss: Of the parameters.
        size: Of a move.
        improved: Whether a move of this sweep was kept.
        order: This sweep's order of the moves; move 2i adds to parameter i, 2i + 1 subtracts.
    """

    loss: Float[Array, ""]
    size: Float[Array, ""]
    improved: Bool[Array, ""]
    order: Int[Array, " 2P"]


class RandomSearcher:
    """How greedy random search steps."""

    def initial(self, spec: RandomSearch, params: Any) -> Greedy:
        """Make the state before the first step; the loss is found in it."""
        return Greedy(jnp.float32(jnp.inf), jnp.float32(spec.std), jnp.int32(0))

    def update(
        self,
        spec: RandomSearch,
        objective: Objective,
        params: Any,
        state: Greedy,
        context: StepContext,
    ) -> tuple[Any, Greedy]:
        """Add Gaussian noise to all parameters; keep it where the loss falls.

        After `patience` refusals in a row the noise's deviation is multiplied by `shrink`.
        """
        theta, unravel = ravel_pytree(params)
        loss = _known_loss(objective, params, state.loss, context)
        draw = jax.random.normal(jax.random.fold_in(context.key, context.step), theta.shape)
        move, loss, better = _keep_if_better(objective, theta, state.std * draw, loss, unravel)
        failures = jnp.where(better, 0, state.failures + 1)
        tired = failures >= spec.patience
        return unravel(theta + move), Greedy(
            loss=loss,
            std=jnp.where(tired, state.std * spec.shrink, state.std),
            failures=jnp.where(tired, 0, failures),
        )


class PatternSearcher:
    """How pattern search steps."""

    def initial(self, spec: PatternSearch, params: Any) -> Pattern:
        """Make the state before the first step; loss and order are found in it."""
        moves = 2 * ravel_pytree(params)[0].size
        order = jnp.zeros(moves, jnp.int32)
        return Pattern(jnp.float32(jnp.inf), jnp.float32(spec.step_size), jnp.bool_(False), order)

    def update(
        self,
        spec: PatternSearch,
        objective: Objective,
        params: Any,
        state: Pattern,
        context: StepContext,
    ) -> tuple[Any, Pattern]:
        """Move one parameter up or down by the step size; keep it where the loss falls.

        A sweep tries both moves of every parameter, 2P steps, in an order of its own. The step
        size is multiplied by `shrink` after a sweep without improvement.
        """
        theta, unravel = ravel_pytree(params)
        loss = _known_loss(objective, params, state.loss, context)
        sweep, position = jnp.divmod(context.step, len(state.order))
        starts = position == 0
        stuck = starts & (context.step > 0) & ~state.improved
        size = jnp.where(stuck, state.size * spec.shrink, state.size)
        order = _order(
            state.order, starts & context.running, jax.random.fold_in(context.key, sweep)
        )
        chosen = order[position]
        step = jnp.where(chosen % 2 == 0, size, -size)
        step = jnp.where(jnp.arange(theta.size) == chosen // 2, step, 0.0)
        move, loss, better = _keep_if_better(objective, theta, step, loss, unravel)
        improved = better | (state.improved & ~starts)
        return unravel(theta + move), Pattern(loss, size, improved, order)


def _order(order: Int[Array, " 2P"], starts: Bool[Array, ""], key: Array) -> Int[Array, " 2P"]:
    """The order of the moves, drawn anew where a sweep starts."""

    def draw() -> Array:
        drawn = jax.random.permutation(key, len(order)).astype(order.dtype)
        return jnp.where(starts, drawn, order)

    return jax.lax.cond(any_lane(starts), draw, lambda: order)


def _known_loss(
    objective: Objective, params: Any, loss: Float[Array, ""], context: StepContext
) -> Float[Array, ""]:
    """The loss of the parameters: carried from step to step, evaluated at the first."""
    first = (context.step == 0) & context.running
    return jax.lax.cond(
        any_lane(first), lambda: jnp.where(first, objective(params), loss), lambda: loss
    )


def _keep_if_better(
    objective: Objective,
    theta: Float[Array, " P"],
    move: Float[Array, " P"],
    loss: Float[Array, ""],
    unravel: Callable[[Array], Any],
) -> tuple[Float[Array, " P"], Float[Array, ""], Bool[Array, ""]]:
    """The move, or none; the loss that follows; whether it fell. A NaN has not fallen."""
    found = objective(unravel(theta + move))
    better = found < loss
    return jnp.where(better, move, 0.0), jnp.where(better, found, loss), better
