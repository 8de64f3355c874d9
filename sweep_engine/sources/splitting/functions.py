"""What a unit climbs to: the training set, or a given function on the probe inputs."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from sweep_engine.sources.bucket import Bucket, Data
from sweep_engine.tasks import Loss, Task
from sweep_engine.tasks.losses import target_dtype


def read_functions(texts: Sequence[str], task: Task) -> Int[np.ndarray, "num_functions F"]:
    """Read functions given as one digit a probe input.

    Raises:
        ValueError: the task has no labels or more than 10, or a function has another length
            or other digits.
    """
    num_labels, size = check_discrete(task), len(task.probe_inputs)
    if num_labels > 10:
        raise ValueError("functions: a label is a digit, and this task has more than 10")
    allowed = "0123456789"[:num_labels]
    for text in texts:
        if len(text) != size or not set(text) <= set(allowed):
            raise ValueError(
                f"functions: expected {size} characters of {allowed[0]} to {allowed[-1]}, one a "
                f"probe input, got {len(text)}: {text[:40]!r}"
            )
    return np.array([[int(digit) for digit in text] for text in texts])


def check_discrete(task: Task) -> int:
    """Give the number of a task's labels; ValueError where its outputs are real numbers."""
    if task.loss.num_labels is None:
        raise ValueError("functions: this task's outputs are not discrete: none can be equalled")
    return task.loss.num_labels


def function_data(bucket: Bucket, labels: Int[np.ndarray, " F"]) -> Data:
    """Give the probe inputs, with a function's labels as targets."""
    x = bucket.data.inputs[bucket.data.probe_inputs]
    return Data(x, jnp.asarray(labels, target_dtype(bucket.task.loss)))


def pack_labels(labels: Int[np.ndarray, " F"], loss: Loss) -> UInt8[np.ndarray, " bytes"]:
    """Pack labels as `observables.pack` packs a network's."""
    values = labels.astype(np.uint8)
    return np.packbits(values) if loss.num_labels == 2 else values
