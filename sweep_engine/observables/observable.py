"""Observable: a pure function of one network, and the columns it fills."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from sweep_engine.columns import Column
from sweep_engine.keys import key_of
from sweep_engine.models import Layout, Network
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
        network: The model.
        train_inputs: Shape (N, ...).
        train_outputs: Outputs on the training inputs, shape (N, C).
        train_targets: Shape (N,).
        test_outputs: Outputs on the test inputs; None without a test set.
        test_targets: None without a test set.
        loss: The task's loss.
    """

    theta: Float[Array, " P"]
    params: Any
    start: Float[Array, " P"] | None
    network: Network
    train_inputs: Float[Array, "N ..."]
    train_outputs: Float[Array, "N C"]
    train_targets: Array
    test_outputs: Float[Array, "M C"] | None
    test_targets: Array | None
    loss: Loss

    @property
    def layout(self) -> Layout:
        """How theta is made of the parameters."""
        return self.network.layout

    @property
    def key(self) -> Key[Array, ""]:
        """A random stream of this network's own.

        It is folded from the bits of theta, so that a Monte Carlo observable too is a pure
        function of the network: whenever it is observed again, it has the same value.
        """
        return key_of(self.theta)

    def outputs(self, theta: Float[Array, " P"]) -> Float[Array, "N C"]:
        """Compute what a network with other parameters gives on the training inputs."""
        return self.network.apply(self.layout.unflatten(theta), self.train_inputs)

    def train_loss(self, theta: Float[Array, " P"]) -> Float[Array, ""]:
        """Compute the mean training loss of a network with other parameters."""
        return self.loss.mean(self.outputs(theta), self.train_targets)

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
        is_late: Whether it needs other runs' results, so that it is computed when all are there.
    """

    columns: tuple[Column, ...]
    compute: Callable[[Outcome], dict[str, Array]] | None = None
    describe: Callable[[UInt8[np.ndarray, "F bytes"], int], dict[str, np.ndarray]] | None = None
    needs: tuple[Need, ...] = ()
    is_late: bool = False

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
