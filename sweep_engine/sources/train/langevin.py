"""The noise of Langevin dynamics."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from sweep_engine.sources.train.gradient_stepper import GradientStepper
from sweep_engine.sources.train.schedules import schedule_factor
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources.optimizers import Langevin


def _as_it_is(spec: Langevin) -> optax.GradientTransformation:
    return optax.identity()


def _noise(spec: Langevin, params: Any, context: StepContext) -> Any:
    """Draw N(0, 2 lr T / n) for every parameter."""
    theta, unravel = ravel_pytree(params)
    rate = spec.learning_rate * schedule_factor(spec.schedule, context.step)
    std = jnp.sqrt(2 * rate * spec.temperature / context.num_examples)
    key = jax.random.fold_in(context.key, context.step)
    return unravel(std * jax.random.normal(key, theta.shape))


LANGEVIN = GradientStepper(_as_it_is, noise=_noise)
"""How Langevin dynamics steps."""
