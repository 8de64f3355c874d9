"""`flow`: gradient flow, by an adaptive solver of differential equations."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from sweep_engine.spec.base import TRACED, Flag, NonNegative, Positive, Spec, TracedCount
from sweep_engine.spec.observables import ObservableKind, Observables
from sweep_engine.spec.sources.stepped import Stepped
from sweep_engine.spec.starts import ParentState

LEAST_RTOL = 1e-7
"""About float32's spacing relative to a number: no two neighbours are closer than 6e-8."""


class FlowStop(Spec):
    """When a flow ends; it also ends when it diverges, or when its steps become too small.

    The row's `status` says which it was: `max_time`; `fit` or `loss_reached`, at the first solver
    step after which that holds; `max_steps`, which means that the flow stopped short of its time;
    `stalled`, where no step that float32 can tell from none meets the tolerance; or `diverged`.
    """

    max_time: Annotated[Positive, TRACED] = Field(
        default=100.0, description="gradient descent has gone for learning rate x steps"
    )
    max_steps: TracedCount = Field(
        default=10_000, description="solver steps, those that it takes back among them"
    )
    fit: Flag = Field(default=True, description="end when the acceptance rule holds")
    train_loss: Annotated[Positive | None, TRACED] = Field(
        default=None, description="end at this mean training loss"
    )


class FlowRecord(Spec):
    """Observe a flow at `times`, in columns of `curves`; the flow is not changed."""

    observables: Annotated[Observables, Field(min_length=1)] = Field(
        description="what is computed of the network at each time"
    )

    @field_validator("observables")
    @classmethod
    def _needs_no_fit(cls, observables: Observables) -> Observables:
        for observable in observables:
            if observable.fit_source is not None:
                raise ValueError(f"{observable.kind} is fitted on stored networks, not on the way")
        return observables


class BackwardError(Spec):
    """Follow gradient descent of a learning rate to second order: the modified flow.

    d theta / dt = -grad (L + learning_rate / 4 |grad L|^2). After a fixed time gradient descent
    is off the flow by O(learning_rate), and off this one by O(learning_rate^2). A step has to
    differentiate the gradient, and takes about twice as long.

    *Central flow* (Cohen et al. 2025, arXiv 2410.24206) is not offered: it is the flow projected,
    by a semidefinite complementarity problem at every step, to where no curvature exceeds
    2 / learning rate, and no case is known in which it is exact, to which it could be held.

    Source:
        Barrett & Dherin (2021), Implicit gradient regularization, ICLR, theorem 3.1.
    """

    kind: Literal["backward_error"] = Field(
        default="backward_error", description="which correction: there is one"
    )
    learning_rate: Annotated[Positive, TRACED] = Field(
        description="that of the gradient descent that is followed"
    )


class Flow(Stepped):
    """Gradient flow d theta / dt = -grad L from a start, over the whole training set.

    An adaptive Runge-Kutta solver of order 5 keeps the error of each step, root mean square over
    the parameters, below atol + rtol |theta_i|. Parameters are float32, which a tolerance below
    about 1e-6 asks for more than they hold: it then takes more steps and is no nearer.

    Where the slope jumps, as at the kink of a relu, steps become tiny: ask for less there, such as
    rtol 1e-3 and atol 1e-4. A flow that ends with `max_steps` has not arrived.

    Rows: `steps` are solver steps, `rejected_steps` of them taken back; `time` is how far the flow
    came. `curves` has the time of each of its rows. Where the acceptance rule ends a flow, that is
    at the end of a solver step, and so a little behind the first point that it accepts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"runs": 100},
                {"runs": 100, "times": [1.0, 10.0], "snapshots": True},
                {"runs": 100, "times": [1.0, 10.0], "record": {"observables": ["norms"]}},
            ]
        }
    )

    later_keys: ClassVar[tuple[str, ...]] = ("record",)

    kind: Literal["flow"] = "flow"
    rtol: Annotated[Positive, Field(ge=LEAST_RTOL), TRACED] = Field(
        default=1e-5, description="error of a step, relative to each parameter"
    )
    atol: Annotated[Positive, TRACED] = Field(
        default=1e-7, description="error of a step that is allowed in any parameter"
    )
    l2: Annotated[NonNegative, TRACED] = Field(
        default=0.0, description="adds l2 / 2 |theta|^2 to the loss, as an optimiser's l2 does"
    )
    correction: BackwardError | None = Field(
        default=None,
        description="follow gradient descent of a finite learning rate, to second order",
    )
    stop: FlowStop = Field(default=FlowStop(), description="when a flow ends")
    times: Annotated[tuple[NonNegative, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="times, in increasing order, that the solver steps to exactly: `curves` has "
        "a row at each that a run reaches",
    )
    snapshots: Flag = Field(
        default=False, description="params keeps the parameters at each of `times` as well"
    )
    record: FlowRecord | None = Field(
        default=None, description="what is observed of a flow at `times`"
    )

    @field_validator("times")
    @classmethod
    def _in_order(cls, times: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if times is not None and not np.all(np.diff(np.array(times, np.float32)) > 0):
            raise ValueError("give times in increasing order that differ in float32")
        return times

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if self.times is None and (self.snapshots or self.record):
            raise ValueError("snapshots and record are of `times`: give a list of them")
        return self

    @property
    def sentence(self) -> str:
        modified = " with its correction for finite steps" if self.correction else ""
        return f"gradient flow{modified} from {self.start_words}"

    @property
    def deed(self) -> str:
        return "integrated"

    @property
    def has_time(self) -> bool:
        return True

    @property
    def own_columns(self) -> tuple[str, ...]:
        return ("time", "rejected_steps")

    @property
    def recorded(self) -> tuple[ObservableKind, ...]:
        return self.record.observables if self.record else ()

    @property
    def work_per_run(self) -> int:
        return self.stop.max_steps

    @property
    def records_per_run(self) -> int:
        return len(self.times or ()) if self.record else 0

    @property
    def states_per_run(self) -> int:
        return 1 + (len(self.times or ()) if self.snapshots else 0)

    @property
    def curvature_limit(self) -> None:
        return None

    def missing_state(self, at: ParentState, name: str) -> str | None:
        if at == "final" or (at == "first_fit" and self.stop.fit):
            return None
        if at == "first_fit":
            return f"{name} does not keep its first fit: give its stop `fit: true`"
        if at == "average":
            return f"{name} is a flow, of which no average is kept: give `at: final`"
        return f"{name} is a flow, whose solver steps differ from run to run: give `at: final`"
