"""Averages of the parameters along a run, step by step."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from sweep_engine.spec.sources.train import Average


def averaged(spec: Average, so_far: Any, params: Any, step: Int[Array, ""]) -> Any:
    """Take the parameters after a step into the average so far.

    Before `from_step` the average is the newest parameters, so that a run that ends there has its
    last ones.
    """
    if spec.decay is not None:
        return optax.incremental_update(params, so_far, 1 - spec.decay)
    assert spec.from_step is not None
    counted = jnp.maximum(step - spec.from_step + 1, 1)
    return jax.tree.map(lambda mean, new: mean + (new - mean) / counted, so_far, params)
