"""Optimisers: how a run steps. Those with gradients are optax transformations.

optax compiles a Python number into the program and then never finds the program in its
cache again; here every swept number reaches it as a tracer. It steps leaf by leaf: on a CPU the
same step of one flat vector takes 4 to 8 % longer, since the gradient's leaves must be put
together and cut again (`tests/benchmarks/records/flat_updates_busy_2_cores.json`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from sweep_engine.sources.train.search import Objective, PatternSearcher, RandomSearcher
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.base import check_complete
from sweep_engine.spec.sources.optimizers import (
    Adam,
    Constant,
    Cosine,
    GradientOptimizer,
    Langevin,
    OptimizerSpec,
    PatternSearch,
    RandomSearch,
    RmsProp,
    ScheduleSpec,
    Sgd,
    StepDecay,
    WarmUp,
)


class Stepper(Protocol):
    """How the optimisers of one kind step: code of a single run."""

    def initial(self, spec: Any, params: Any) -> Any:
        """Make the optimiser's state before the first step."""

    def update(
        self, spec: Any, objective: Objective, params: Any, state: Any, context: StepContext
    ) -> tuple[Any, Any]:
        """Compute what a step adds to the parameters, and the optimiser's next state.

        Args:
            spec: The optimiser.
            objective: Maps parameters to the mean loss over this step's examples.
            params: The parameters.
            state: The optimiser's state.
            context: Which step, and the run's own key.
        """


def _no_noise(spec: Any, params: Any, context: StepContext) -> None:
    return None


@dataclass(frozen=True)
class GradientStepper:
    """Steps along what an optax transformation makes of the gradient, plus noise if there is any.

    Attributes:
        direction: From the optimiser to its transformation.
        noise: What is added to a step of the parameters; None for nothing.
    """

    direction: Callable[[Any], optax.GradientTransformation]
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
        gradient = jax.grad(objective)(params)
        step, state = self.transformation(spec, context.step).update(gradient, state, params)
        noise = self.noise(spec, params, context)
        return step if noise is None else jax.tree.map(jnp.add, step, noise), state

    def transformation(
        self, spec: GradientOptimizer, step: Int[Array, ""] | int
    ) -> optax.GradientTransformation:
        """Build the optimiser as it acts at one step.

        g <- g + l2 theta, then the optimiser's direction u(g), then
        theta <- theta - lr(step) (u + weight_decay theta).

        The state's structure does not depend on the step.

        Source:
            Loshchilov & Hutter (2019) for the decoupled decay; under Adam an L2 penalty and
            weight decay are different algorithms.
        """
        rate = spec.learning_rate * schedule_factor(spec.schedule, step)
        return optax.chain(
            optax.add_decayed_weights(spec.l2),
            self.direction(spec),
            optax.add_decayed_weights(spec.weight_decay),
            optax.scale(-rate),
        )


def _momentum(spec: Sgd) -> optax.GradientTransformation:
    return optax.trace(decay=spec.momentum, nesterov=spec.nesterov)


def _adam(spec: Adam) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=spec.b1, b2=spec.b2, eps=spec.eps)


def _rms_prop(spec: RmsProp) -> optax.GradientTransformation:
    return optax.chain(
        optax.scale_by_rms(decay=spec.decay, eps=spec.eps), optax.trace(decay=spec.momentum)
    )


def _as_it_is(spec: Langevin) -> optax.GradientTransformation:
    return optax.identity()


def _langevin_noise(spec: Langevin, params: Any, context: StepContext) -> Any:
    """Draw N(0, 2 lr T / n) for every parameter."""
    theta, unravel = ravel_pytree(params)
    rate = spec.learning_rate * schedule_factor(spec.schedule, context.step)
    std = jnp.sqrt(2 * rate * spec.temperature / context.num_examples)
    key = jax.random.fold_in(context.key, context.step)
    return unravel(std * jax.random.normal(key, theta.shape))


STEPPERS: dict[type, Stepper] = {
    Sgd: GradientStepper(_momentum),
    Adam: GradientStepper(_adam),
    RmsProp: GradientStepper(_rms_prop),
    Langevin: GradientStepper(_as_it_is, _langevin_noise),
    RandomSearch: RandomSearcher(),
    PatternSearch: PatternSearcher(),
}
"""How each kind of optimiser steps."""

check_complete(OptimizerSpec, STEPPERS, f"{__name__}.STEPPERS")

Step = Int[Array, ""] | int


def _cosine(schedule: Cosine, step: Step) -> Float[Array, ""]:
    progress = jnp.minimum(step / schedule.steps, 1.0)
    wave = 0.5 * (1 + jnp.cos(jnp.pi * progress))
    return schedule.final_fraction + (1 - schedule.final_fraction) * wave


def _warm_up(schedule: WarmUp, step: Step) -> Float[Array, ""]:
    return jnp.minimum((step + 1) / schedule.steps, 1.0)


def _step_decay(schedule: StepDecay, step: Step) -> Float[Array, ""]:
    return jnp.power(schedule.factor, jnp.floor_divide(step, schedule.every))


def _constant(schedule: Constant, step: Step) -> float:
    return 1.0


SCHEDULES: Mapping[type, Callable[[Any, Step], Float[Array, ""] | float]] = {
    Constant: _constant,
    Cosine: _cosine,
    WarmUp: _warm_up,
    StepDecay: _step_decay,
}
"""What each kind of schedule multiplies the learning rate by at a step, counted from 0."""

check_complete(ScheduleSpec, SCHEDULES, f"{__name__}.SCHEDULES")


def schedule_factor(schedule: ScheduleSpec, step: Step) -> Float[Array, ""] | float:
    """Compute what the learning rate is multiplied by at a step, counted from 0."""
    return SCHEDULES[type(schedule)](schedule, step)
