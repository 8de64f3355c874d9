"""One run that goes step by step from a start: its state and its check.

No batch axes; `lanes` maps it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from sweep_engine.lanes import any_lane
from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.acceptance import accepts, output_scale
from sweep_engine.sources.bucket import Data, Hyper, draw_params
from sweep_engine.sources.stepped.slots import RecordSlots
from sweep_engine.spec.base import with_traced
from sweep_engine.spec.sources import Accept
from sweep_engine.spec.starts import FromSource
from sweep_engine.tasks import Loss

GIVEN_START, GIVEN_MASK = "start", "mask"
"""Names, among a run's own values, of theta that it starts from and of what is not pruned."""

CHECKED = ("status", "fit_step", "fit", "loss", "error", "curve", "first_fit")
"""What a check writes of a run's state."""

NUM_RECORDS = 32
"""Checks that a curve records: check 0, then checks 1, 2, 4, ... 2^30."""


class RunState(NamedTuple):
    """Hold what one run carries from step to step.

    Attributes:
        params: The parameters.
        carried: What its kind of step carries: an optimiser's state, or a solver's.
        step: Steps taken.
        status: A `RunStatus`; anything but RUNNING freezes the run.
        fit_step: First checked step at which the rule held; -1 before.
        fit: Whether it held at the last check.
        loss: Training loss at the last check.
        error: Training error at the last check; NaN without labels.
        curve: (loss, error), and time where there is one, by slot.
        first_fit: Parameters at fit_step; empty unless the run goes on after it.
        snapshots: theta at each of the places that are kept; empty without them.
        recorded: theta at the last places that are recorded, by slot; empty without them.
    """

    params: Any
    carried: Any
    step: Int[Array, ""]
    status: Int[Array, ""]
    fit_step: Int[Array, ""]
    fit: Bool[Array, ""]
    loss: Float[Array, ""]
    error: Float[Array, ""]
    curve: Float[Array, "T 2"]
    first_fit: Any
    snapshots: Any
    recorded: Any


@dataclass(frozen=True)
class SteppedRun(ABC):
    """The single-run code of a source whose runs go step by step, with its static choices.

    Attributes:
        spec: The source; its traced fields are replaced by each run's own.
        accept: The acceptance rule.
        network: The model.
        loss: The loss.
        num_examples: N.
    """

    spec: Any
    accept: Accept
    network: Network
    loss: Loss
    num_examples: int

    @property
    @abstractmethod
    def check_every(self) -> int:
        """Steps between checks."""

    @property
    @abstractmethod
    def checks_with_steps(self) -> bool:
        """Say whether every step is checked, on the outputs that the step itself begins with."""

    @property
    @abstractmethod
    def holds_every_step(self) -> bool:
        """Say whether `step` leaves a run that has ended as it is; else its block puts it back."""

    @property
    @abstractmethod
    def alignment(self) -> int:
        """Lanes that start together at a multiple of this many steps share their checks."""

    @property
    @abstractmethod
    def extra_steps(self) -> int:
        """Steps that a run goes on after its first fit."""

    @property
    @abstractmethod
    def num_snapshots(self) -> int:
        """Places on the way at which theta is kept."""

    @property
    @abstractmethod
    def stores_snapshots(self) -> bool:
        """Say whether what is kept there becomes rows of `params`."""

    @property
    @abstractmethod
    def record_slots(self) -> RecordSlots | None:
        """Say where networks that are observed on the way are set aside; None without a record."""

    @abstractmethod
    def average(self, states: RunState) -> Any:
        """Give the average of the parameters that a block's runs have kept; None where none is."""

    @abstractmethod
    def carried_at_start(self, spec: Any, params: Any) -> Any:
        """Make what is carried, before the first step."""

    @abstractmethod
    def at_snapshots(self, state: RunState) -> Bool[Array, " S"]:
        """Say which of the places that are kept a run is at."""

    @abstractmethod
    def arrive(self, state: RunState, root: Key[Array, ""], run: UInt32[Array, "2"]) -> RunState:
        """Prepare a run, where something is due, for what comes next."""

    @abstractmethod
    def steps_to_own(self, state: RunState) -> list[Int[Array, ""]]:
        """Count the steps to the next where `arrive`, a snapshot or a record is due, one each."""

    @abstractmethod
    def ends(self, spec: Any, state: RunState) -> list[tuple[Bool[Array, ""], RunStatus]]:
        """List the ends that have nothing to do with fitting, the first that holds first."""

    @property
    @abstractmethod
    def curve_length(self) -> int:
        """Slots of a curve."""

    @abstractmethod
    def curve_slots(self, state: RunState) -> Bool[Array, " T"]:
        """Say in which slots of its curve a run is to be found as it is."""

    @abstractmethod
    def curve_steps(self, states: RunState) -> Int[np.ndarray, "K T"]:
        """The steps of the slots of a block's curves; not below a run's last if never."""

    @abstractmethod
    def clock(self, state: RunState) -> tuple[Array, ...]:
        """The time of a run, where it has one beside its steps."""

    @abstractmethod
    def step(
        self,
        spec: Any,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        data: Data,
        mask: Bool[Array, " P"] | None,
    ) -> RunState:
        """Take one step; of a run that has ended it is not used, or none where it is held."""

    @abstractmethod
    def snapshot_steps(self, states: RunState) -> Int[np.ndarray, "K S"]:
        """The steps after which a block's snapshots were; not below a run's last if never."""

    @abstractmethod
    def columns(self, states: RunState) -> dict[str, np.ndarray]:
        """Columns of `runs` that this kind fills alone, of a block that has ended."""

    def start(self, root: Key[Array, ""], run: UInt32[Array, "2"], hyper: Hyper) -> RunState:
        """Initialise one run: a draw from its law, or the start that is given."""
        spec = with_traced(self.spec, hyper)
        if isinstance(spec.init, FromSource):
            theta = hyper[GIVEN_START]
        else:
            theta = draw_params(spec.init, self.network, root, run)
        params = self.network.layout.unflatten(theta)
        slots = self.record_slots
        return RunState(
            params=params,
            carried=self.carried_at_start(spec, params),
            step=jnp.int32(0),
            status=jnp.int32(RunStatus.RUNNING),
            fit_step=jnp.int32(-1),
            fit=jnp.bool_(False),
            loss=jnp.float32(jnp.nan),
            error=jnp.float32(jnp.nan),
            curve=jnp.zeros((self.curve_length, 2 + self.spec.has_time), jnp.float32),
            first_fit=params if self.extra_steps else (),
            snapshots=jnp.zeros((self.num_snapshots, len(theta))) if self.num_snapshots else (),
            recorded=slots.empty(len(theta)) if slots else (),
        )

    def meet(
        self,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        hyper: Hyper,
        data: Data,
    ) -> RunState:
        """Do all that may be due before a step: prepare it, keep the run as it is, check it."""
        state = self._keep_snapshots(self.arrive(state, root, run))
        if self.record_slots is not None:
            state = self.record_slots.set_aside(state, self.network)
        return state._replace(**self._checked(with_traced(self.spec, hyper), state, data))

    def move(
        self,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        hyper: Hyper,
        data: Data,
    ) -> RunState:
        """Take one step, as `step` does."""
        spec = with_traced(self.spec, hyper)
        return self.step(spec, state, root, run, data, hyper.get(GIVEN_MASK))

    def steps_until_due(self, state: RunState, hyper: Hyper) -> Int[Array, ""]:
        """Count the steps of a running run, one at least, up to the next where something is due."""
        spec, step = with_traced(self.spec, hyper), state.step
        counts = [
            self.check_every - step % self.check_every,
            spec.stop.max_steps - step,
            *self.steps_to_own(state),
        ]
        if self.extra_steps:
            over = state.fit_step + self.extra_steps - step
            counts.append(jnp.where(state.fit_step < 0, self.check_every, over))
        return jnp.maximum(1, jnp.min(jnp.stack(counts)))

    def _checked(self, spec: Any, state: RunState, data: Data) -> dict[str, Any]:
        """Check the run where a check is due; give only what a check writes."""
        due = self._check_due(spec, state)
        # All else would go through the branch too, and be copied every step.
        untouched = {name: getattr(state, name) for name in CHECKED}

        def check() -> dict[str, Any]:
            checked: dict[str, Any] = select(due, self._check(spec, state, data), untouched)
            return checked

        if self.checks_with_steps:
            return check()  # in no branch, XLA sees that the step begins with the same outputs
        found: dict[str, Any] = jax.lax.cond(any_lane(due), check, lambda: untouched)
        return found

    def _keep_snapshots(self, state: RunState) -> RunState:
        if not self.num_snapshots:
            return state
        here = self.at_snapshots(state) & (state.status == RunStatus.RUNNING)

        def keep() -> Array:
            theta = self.network.layout.flatten(state.params)
            return jnp.where(here[:, None], theta, state.snapshots)

        kept = jax.lax.cond(any_lane(jnp.any(here)), keep, lambda: state.snapshots)
        return state._replace(snapshots=kept)

    def _check_due(self, spec: Any, state: RunState) -> Bool[Array, ""]:
        due = (state.step % self.check_every == 0) | (state.step >= spec.stop.max_steps)
        if self.extra_steps:
            due |= (state.fit_step >= 0) & (state.step >= state.fit_step + self.extra_steps)
        return due & (state.status == RunStatus.RUNNING)

    def _check(self, spec: Any, state: RunState, data: Data) -> dict[str, Any]:
        outputs = self.network.apply(state.params, data.x)
        loss, error = self.loss.mean(outputs, data.y), self.loss.error(outputs, data.y)
        scale = output_scale(self.accept, self.network, state.params, data.x)
        fit = accepts(self.accept, self.loss, outputs, data.y, scale) & jnp.isfinite(loss)
        first = fit & (state.fit_step < 0)
        state = state._replace(
            fit=fit,
            fit_step=jnp.where(first, state.step, state.fit_step),
            loss=loss.astype(state.loss.dtype),
            error=error.astype(state.error.dtype),
            curve=self._record(state, loss, error),
        )
        if self.extra_steps:
            kept = select(first, state.params, state.first_fit)
            state = state._replace(first_fit=kept)
        state = state._replace(status=self._status(spec, state))
        return {name: getattr(state, name) for name in CHECKED}

    def _status(self, spec: Any, state: RunState) -> Int[Array, ""]:
        """The first of these that holds: diverged, fit, loss reached, an end of its kind."""
        over = state.step >= state.fit_step + self.extra_steps
        ends = [
            (~jnp.isfinite(state.loss), RunStatus.DIVERGED),
            ((state.fit_step >= 0) & over & spec.stop.fit, RunStatus.FIT),
            *self.ends(spec, state),
        ]
        if spec.stop.train_loss is not None:
            ends.insert(2, (state.loss <= spec.stop.train_loss, RunStatus.LOSS_REACHED))
        status = jnp.select(
            [condition for condition, _ in ends],
            [jnp.int32(end) for _, end in ends],
            jnp.int32(RunStatus.RUNNING),
        )
        return status

    def _record(
        self, state: RunState, loss: Float[Array, ""], error: Float[Array, ""]
    ) -> Float[Array, "T 2"]:
        here = self.curve_slots(state)
        recorded = jnp.stack([loss, error, *self.clock(state)]).astype(state.curve.dtype)
        return jnp.where(here[:, None], recorded, state.curve)

    def pruned(self, params: Any, mask: Bool[Array, " P"] | None) -> Any:
        """Parameters with 0 where the mask prunes, and so a gradient of 0 there."""
        if mask is None:
            return params
        keep = self.network.layout.unflatten(mask)
        return jax.tree.map(lambda kept, value: jnp.where(kept, value, 0), keep, params)


def record_checks() -> list[int]:
    """Say which checks a curve records: 0, 1, 2, 4, ..."""
    return [0, *(2**k for k in range(NUM_RECORDS - 1))]


def select(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """Choose between two pytrees; never by multiplying, which would keep a NaN."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
