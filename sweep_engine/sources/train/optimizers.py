"""Optimisers: how a run steps. Those with gradients are optax transformations.

optax compiles a Python number into the program and then never finds the program in its
cache again; here every swept number reaches it as a tracer. It steps leaf by leaf: on a CPU the
same step of one flat vector takes 4 to 8 % longer, since the gradient's leaves must be put
together and cut again (`tests/benchmarks/records/flat_updates_busy_2_cores.json`).
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from sweep_engine.sources.train.search import (
    Objective,
    pattern_search,
    random_search,
    start_pattern_search,
    start_random_search,
)
from sweep_engine.sources.train.turn import Turn
from sweep_engine.spec.sources import (
    Adam,
    Cosine,
    GradientSpec,
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


def initial(spec: OptimizerSpec, params: Any) -> Any:
    """Make an optimiser's state before the first step."""
    match spec:
        case RandomSearch():
            return start_random_search(spec)
        case PatternSearch():
            return start_pattern_search(spec, params)
        case _:
            return transformation(spec, 0).init(params)


def update(
    spec: OptimizerSpec, objective: Objective, params: Any, state: Any, turn: Turn
) -> tuple[Any, Any]:
    """Compute what a step adds to the parameters, and the optimiser's next state.

    Args:
        spec: The optimiser.
        objective: Maps parameters to the mean loss over this step's examples.
        params: The parameters.
        state: The optimiser's state.
        turn: Which step, and the run's own key.
    """
    match spec:
        case RandomSearch():
            return random_search(spec, objective, params, state, turn)
        case PatternSearch():
            return pattern_search(spec, objective, params, state, turn)
        case _:
            gradient = jax.grad(objective)(params)
            step, state = transformation(spec, turn.step).update(gradient, state, params)
            if isinstance(spec, Langevin):
                step = jax.tree.map(jnp.add, step, _noise(spec, params, turn))
            return step, state


def _noise(spec: Langevin, params: Any, turn: Turn) -> Any:
    """Draw N(0, 2 lr T / n) for every parameter."""
    theta, unravel = ravel_pytree(params)
    rate = spec.learning_rate * schedule_factor(spec.schedule, turn.step)
    std = jnp.sqrt(2 * rate * spec.temperature / turn.num_examples)
    return unravel(std * jax.random.normal(jax.random.fold_in(turn.key, turn.step), theta.shape))


def transformation(spec: GradientSpec, step: Int[Array, ""] | int) -> optax.GradientTransformation:
    """Build an optimiser with gradients as it acts at one step.

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
        _direction(spec),
        optax.add_decayed_weights(spec.weight_decay),
        optax.scale(-rate),
    )


def _direction(spec: GradientSpec) -> optax.GradientTransformation:
    match spec:
        case Sgd():
            return optax.trace(decay=spec.momentum, nesterov=spec.nesterov)
        case Adam():
            return optax.scale_by_adam(b1=spec.b1, b2=spec.b2, eps=spec.eps)
        case RmsProp():
            return optax.chain(
                optax.scale_by_rms(decay=spec.decay, eps=spec.eps),
                optax.trace(decay=spec.momentum),
            )
        case Langevin():
            return optax.identity()


def schedule_factor(schedule: ScheduleSpec, step: Int[Array, ""] | int) -> Float[Array, ""] | float:
    """Compute what the learning rate is multiplied by at a step, counted from 0."""
    match schedule:
        case Cosine():
            progress = jnp.minimum(step / schedule.steps, 1.0)
            wave = 0.5 * (1 + jnp.cos(jnp.pi * progress))
            return schedule.final_fraction + (1 - schedule.final_fraction) * wave
        case WarmUp():
            return jnp.minimum((step + 1) / schedule.steps, 1.0)
        case StepDecay():
            return jnp.power(schedule.factor, jnp.floor_divide(step, schedule.every))
        case _:
            return 1.0
