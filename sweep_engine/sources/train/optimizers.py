"""Optimisers as optax transformations whose hyperparameters are arrays of the program.

optax compiles a Python number into the program and then never finds the program in its
cache again; here every swept number reaches it as a tracer.
"""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from sweep_engine.spec.sources import (
    Adam,
    Cosine,
    OptimizerSpec,
    RmsProp,
    ScheduleSpec,
    Sgd,
    StepDecay,
    WarmUp,
)


def transformation(spec: OptimizerSpec, step: Int[Array, ""] | int) -> optax.GradientTransformation:
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
        _direction(spec),
        optax.add_decayed_weights(spec.weight_decay),
        optax.scale(-rate),
    )


def _direction(spec: OptimizerSpec) -> optax.GradientTransformation:
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
