"""Observable: a pure function of one network, and the columns it fills."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Key

from sweep_engine.columns import Column
from sweep_engine.keys import key_of
from sweep_engine.models import Layout, Network
from sweep_engine.observables.function import Functions
from sweep_engine.observables.needs import NEEDS
from sweep_engine.observables.scales import weight_matrices
from sweep_engine.spec.models import ModelKind
from sweep_engine.spec.wording import nearest
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
        test_inputs: Shape (M, ...); None without a test set.
        test_outputs: Outputs on the test inputs; None without a test set.
        test_targets: None without a test set.
        loss: The task's loss.
        curvature_limit: The largest curvature at which the optimiser is stable; None without one.
        ood_inputs: Of the second set that the task names; None where it names none.
        ood_targets: None where it names none.
    """

    theta: Float[Array, " P"]
    params: Any
    start: Float[Array, " P"] | None
    network: Network
    train_inputs: Float[Array, "N ..."]
    train_outputs: Float[Array, "N C"]
    train_targets: Array
    test_inputs: Float[Array, "M ..."] | None
    test_outputs: Float[Array, "M C"] | None
    test_targets: Array | None
    loss: Loss
    curvature_limit: Float[Array, ""] | None
    ood_inputs: Float[Array, "S ..."] | None = None
    ood_targets: Array | None = None

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


@dataclass(frozen=True)
class Observable:
    """Columns computed of every kept network: from the network, or from its function alone.

    Attributes:
        columns: What it fills.
        compute: Maps one `Outcome` to a value per column, in JAX; mapped over lanes.
        describe: Maps F distinct functions to a value per column, in NumPy; computed once
            per function.
        needs: What it needs of task, model or source, by the names in `NEEDS`.
        is_late: Whether it needs other runs' results, so that it is computed when all are there.
    """

    columns: tuple[Column, ...]
    compute: Callable[[Outcome], dict[str, Array]] | None = None
    describe: Callable[[Functions], dict[str, np.ndarray]] | None = None
    needs: tuple[str, ...] = ()
    is_late: bool = False

    def __post_init__(self) -> None:
        for need in self.needs:
            if need not in NEEDS:
                raise ValueError(f"there is no need {need!r}{nearest(need, NEEDS)}")

    @property
    def asks_start(self) -> bool:
        """Say whether it is given where a run started."""
        return not {"start", "start_if_known"}.isdisjoint(self.needs)

    def problem(self, task: Task, model: ModelKind) -> str | None:
        """Say why it cannot be computed for a task and model; None if it can."""
        problems = (NEEDS[need](task, model) for need in self.needs)
        return next(filter(None, problems), None)


class Basis(NamedTuple):
    """What theta is projected on.

    Attributes:
        mean: The origin, shape (P,).
        components: Orthonormal rows, shape (k, P).
        variances: Of what it is fitted on along each, shape (k,); NaN for random directions.
    """

    mean: Float[np.ndarray, " P"]
    components: Float[np.ndarray, "k P"]
    variances: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class FittedObservable(Observable):
    """Projections on a basis that is fitted on stored networks.

    Attributes:
        components: How many directions the basis has.
        point: Maps a network and its theta to the point that is projected.
        on_basis: Makes the observable, once the basis has been fitted.
    """

    components: int = field(kw_only=True)
    point: Callable[[Network, Float[Array, " P"]], Float[Array, " P"]] = field(kw_only=True)
    on_basis: Callable[[Basis], Observable] = field(kw_only=True)
