"""Factors by which each kind of schedule multiplies the learning rate."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sweep_engine.spec.base import check_complete
from sweep_engine.spec.sources.optimizers import (
    Constant,
    Cosine,
    ScheduleSpec,
    StepDecay,
    WarmUp,
)

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
