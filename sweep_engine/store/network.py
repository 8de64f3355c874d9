"""A stored network as a function again."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sweep_engine.models import build
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.manifest import read_manifest
from sweep_engine.tasks import load_task

CallableNetwork = Callable[[np.ndarray], np.ndarray]


def callable_network(
    directory: OutputDirectory, setting: int, theta: Float[np.ndarray, " P"]
) -> CallableNetwork:
    """Make the function from inputs (N, ...) to outputs (N, C) of one network.

    Raises:
        ValueError: the task's data are no longer where they were.
        SpecError: the model is a user's own class: build it in Python and apply it to theta.
    """
    sweep_plan = read_manifest(directory).plan
    chosen = sweep_plan.settings[setting]
    task = load_task(chosen.task, sweep_plan.sweep.seed, sweep_plan.sweep.folder)
    network = build(chosen.model, task.input_shape, task.loss.num_outputs())
    params = network.layout.unflatten(jnp.asarray(theta))
    return lambda x: np.asarray(network.apply(params, jnp.asarray(x, jnp.float32)))
