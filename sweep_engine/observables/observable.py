"""Observable: a pure function of one network, and the columns it fills."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Array, Float, UInt8

from sweep_engine.columns import Column
from sweep_engine.models import Layout
from sweep_engine.observables.scales import weight_matrices
from sweep_engine.spec.models import DENSE_MODELS
from sweep_engine.tasks import Loss, Task


@dataclass(frozen=True)
class Outcome:
    """One network as observables see it, on the device.

    Attributes:
        theta: Parameters, shape (P,).
        params: The same as a pytree.
        start: theta at initialisation; None for a draw that was not trained.
        train_outputs: Outputs on the training inputs, shape (N, C).
        train_targets: Shape (N,).
        test_outputs: Outputs on the test inputs; None without a test set.
        test_targets: None without a test set.
        loss: The task's loss.
        layout: How theta is made of the parameters.
    """

    theta: Float[Array, " P"]
    params: Any
    start: Float[Array, " P"] | None
    train_outputs: Float[Array, "N C"]
    train_targets: Array
    test_outputs: Float[Array, "M C"] | None
    test_targets: Array | None
    loss: Loss
    layout: Layout

    def weights(self) -> list[Array]:
        """The weight matrices, input side first, shape (fan_in, fan_out) each."""
        return weight_matrices(self.layout, self.theta)


Need = Literal["labels", "binary", "test", "start", "dense", "scalar_factorisation"]


@dataclass(frozen=True)
class Observable:
    """Columns computed of every kept network: from the network, or from its function alone.

    Attributes:
        columns: What it fills.
        compute: Maps one `Outcome` to a value per column, in JAX; mapped over lanes.
        describe: Maps distinct functions, packed (F, bytes), and the number of reference
            inputs to a value per column, in NumPy; computed once per function.
        needs: What task, source or model it needs; elsewhere its columns are null
            (`start`) or the sweep is refused.
    """

    columns: tuple[Column, ...]
    compute: Callable[[Outcome], dict[str, Array]] | None = None
    describe: Callable[[UInt8[np.ndarray, "F bytes"], int], dict[str, np.ndarray]] | None = None
    needs: tuple[Need, ...] = ()

    def problem(self, task: Task, model_kind: str) -> str | None:
        """Say why it cannot be computed for a task and model; None if it can."""
        if "labels" in self.needs and task.loss.labels is None:
            return "needs a task with labels"
        if "binary" in self.needs and task.loss.num_labels != 2:
            return "needs a task with two labels"
        if "test" in self.needs and task.test is None:
            return "needs a test set"
        if "dense" in self.needs and model_kind not in DENSE_MODELS:
            return f"needs a model of dense layers ({', '.join(DENSE_MODELS)})"
        if "scalar_factorisation" in self.needs and model_kind != "scalar_factorisation":
            return "needs the model scalar_factorisation"
        return None
