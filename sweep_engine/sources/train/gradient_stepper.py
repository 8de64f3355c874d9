"""GradientStepper: steps along what an optax transformation makes of a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from sweep_engine.lanes import platform
from sweep_engine.sources.train.schedules import schedule_factor
from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import GradientOptimizer


def _at_the_network(spec: Any, objective: Objective, params: Any) -> Any:
    return jax.grad(objective)(params)


def _no_noise(spec: Any, params: Any, context: StepContext) -> None:
    return None


@dataclass(frozen=True)
class GradientStepper:
    """Steps along what an optax transformation makes of the gradient, plus noise if there is any.

    Attributes:
        direction: From the optimiser to its transformation.
        gradient: From the optimiser, the objective and the parameters to a gradient.
        noise: What is added to a step of the parameters; None for nothing.
    """

    direction: Callable[[Any], optax.GradientTransformation]
    gradient: Callable[[Any, Objective, Any], Any] = _at_the_network
    noise: Callable[[Any, Any, StepContext], Any] = _no_noise

    def initial(self, spec: GradientOptimizer, params: Any) -> Any:
        return self.transformation(spec, 0).init(params)

    def update(
        self,
        spec: GradientOptimizer,
        objective: Objective,
        params: Any,
        state: Any,
        context: StepContext,
    ) -> tuple[Any, Any]:
        gradient = self.gradient(spec, objective, params)
        if platform() == "gpu":
            # XLA would add a product to the momentum inside the product, and write the momentum
            # once more for it: by its compiler 28 of 206 KB a network-step of the digits.
            gradient = jax.lax.optimization_barrier(gradient)
        return self.step_along(spec, gradient, params, state, context)

    def step_along(
        self,
        spec: GradientOptimizer,
        gradient: Any,
        params: Any,
        state: Any,
        context: StepContext,
    ) -> tuple[Any, Any]:
        """Step along a gradient that is known."""
        step, state = self.transformation(spec, context.step).update(gradient, state, params)
        noise = self.noise(spec, params, context)
        step = step if noise is None else jax.tree.map(jnp.add, step, noise)
        return jax.tree.map(jnp.add, params, step), state

    def transformation(
        self, spec: GradientOptimizer, step: Int[Array, ""] | int
    ) -> optax.GradientTransformation:
        """Build the optimiser as it acts at one step.

        g is clipped, g <- g + l2 theta, then the optimiser's direction u(g), then
        theta <- theta - lr(step) (u + weight_decay theta).

        The state's structure does not depend on the step.

        Source:
            Loshchilov & Hutter (2019) for the decoupled decay; under Adam an L2 penalty and
            weight decay are different algorithms.
        """
        rate = spec.learning_rate * schedule_factor(spec.schedule, step)
        clip = () if spec.clip_norm is None else (optax.clip_by_global_norm(spec.clip_norm),)
        return optax.chain(
            *clip,
            optax.add_decayed_weights(spec.l2),
            self.direction(spec),
            optax.add_decayed_weights(spec.weight_decay),
            optax.scale(-rate),
        )
