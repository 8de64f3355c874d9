"""Training one run: its state, its step, its check. No batch axes; `lanes` maps it."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from sweep_engine.keys import Purpose, permutation, run_key
from sweep_engine.lanes import any_lane
from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.acceptance import accepts, output_scale
from sweep_engine.sources.bucket import Data, Hyper, draw_params
from sweep_engine.sources.train.optimizers import STEPPERS
from sweep_engine.sources.train.record_steps import RecordSteps
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.base import with_traced
from sweep_engine.spec.sources import Accept, Train
from sweep_engine.spec.starts import FromSource
from sweep_engine.tasks import Loss

GIVEN_START, GIVEN_MASK = "start", "mask"
"""Names, among a run's own values, of theta that it starts from and of what is not pruned."""

CHECKED = ("status", "fit_step", "fit", "loss", "error", "curve", "first_fit")
"""What a check writes of a run's state."""

NUM_RECORDS = 32
"""Slots of a training curve: check 0, then checks 1, 2, 4, ... 2^30."""


class RunState(NamedTuple):
    """What is carried from step to step of one run.

    Attributes:
        params: The parameters.
        optimizer: The optimiser's state.
        step: Steps taken.
        status: A `RunStatus`; anything but RUNNING freezes the run.
        fit_step: First checked step at which the rule held; -1 before.
        fit: Whether it held at the last check.
        loss: Training loss at the last check.
        error: Training error at the last check; NaN without labels.
        order: This epoch's order of the examples; empty where none is needed.
        curve: (loss, error) at check 0, 1, 2, 4, ...
        first_fit: Parameters at fit_step; empty unless the run goes on after it.
        snapshots: theta after each of the steps that are kept; empty without them.
        recorded: theta after the last steps that are recorded, by slot; empty without them.
    """

    params: Any
    optimizer: Any
    step: Int[Array, ""]
    status: Int[Array, ""]
    fit_step: Int[Array, ""]
    fit: Bool[Array, ""]
    loss: Float[Array, ""]
    error: Float[Array, ""]
    order: Int[Array, " S"]
    curve: Float[Array, "T 2"]
    first_fit: Any
    snapshots: Any
    recorded: Any


@dataclass(frozen=True)
class Training:
    """The single-run code of a `train` source with its static choices.

    Attributes:
        spec: The source; its traced fields are replaced by each run's own.
        accept: The acceptance rule.
        network: The model.
        loss: The loss.
        num_examples: N.
    """

    spec: Train
    accept: Accept
    network: Network
    loss: Loss
    num_examples: int

    @property
    def minibatch(self) -> int:
        """B, the examples of one step."""
        size = self.spec.batch_size
        return self.num_examples if size == "full" else size

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each example is met at most once; what is left over is skipped."""
        return self.num_examples // self.minibatch

    @property
    def has_order(self) -> bool:
        """Whether the examples are met in a drawn order, each once an epoch."""
        return self.spec.batch_size != "full" and self.spec.sampling == "without_replacement"

    @property
    def check_every(self) -> int:
        """Steps between checks: as given, else one epoch."""
        return self.spec.stop.check_every or self.steps_per_epoch

    @property
    def record_steps(self) -> RecordSteps | None:
        """The steps whose networks are set aside; None without a record."""
        return RecordSteps(self.spec.record, self.alignment) if self.spec.record else None

    @property
    def alignment(self) -> int:
        """Lanes that start together at a multiple of this many steps share their checks."""
        return math.lcm(self.check_every, self.steps_per_epoch if self.has_order else 1)

    def start(self, root: Key[Array, ""], run: UInt32[Array, "2"], hyper: Hyper) -> RunState:
        """Initialise one run: a draw from its law, or the start that is given."""
        spec = with_traced(self.spec, hyper)
        if isinstance(spec.init, FromSource):
            theta = hyper[GIVEN_START]
        else:
            theta = draw_params(spec.init, self.network, root, run)
        params = self.network.layout.unflatten(theta)
        order_length = self.steps_per_epoch * self.minibatch if self.has_order else 0
        return RunState(
            params=params,
            optimizer=STEPPERS[type(spec.optimizer)].initial(spec.optimizer, params),
            step=jnp.int32(0),
            status=jnp.int32(RunStatus.RUNNING),
            fit_step=jnp.int32(-1),
            fit=jnp.bool_(False),
            loss=jnp.float32(jnp.nan),
            error=jnp.float32(jnp.nan),
            order=jnp.zeros(order_length, jnp.int32),
            curve=jnp.zeros((NUM_RECORDS, 2), jnp.float32),
            first_fit=params if spec.stop.extra_steps else (),
            snapshots=jnp.zeros((len(spec.stop.snapshots), len(theta)))
            if spec.stop.snapshots
            else (),
            recorded=jnp.zeros((self.record_steps.num_slots, len(theta)))
            if self.record_steps
            else (),
        )

    def advance(
        self,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        hyper: Hyper,
        data: Data,
    ) -> RunState:
        """Check the run where a check is due, then take one step if it is still running."""
        spec = with_traced(self.spec, hyper)
        state = self._set_aside(self._keep_snapshots(state))
        due = self._check_due(spec, state)
        # Only what a check writes goes through the branch: all else would be copied every step.
        untouched = {name: getattr(state, name) for name in CHECKED}
        found = jax.lax.cond(
            any_lane(due),
            lambda: _select(due, self._check(spec, state, data), untouched),
            lambda: untouched,
        )
        state = state._replace(**found)
        return self._step(spec, state, root, run, data, hyper.get(GIVEN_MASK))

    def _keep_snapshots(self, state: RunState) -> RunState:
        steps = self.spec.stop.snapshots
        if not steps:
            return state
        here = (jnp.asarray(steps) == state.step) & (state.status == RunStatus.RUNNING)

        def keep() -> Array:
            theta = self.network.layout.flatten(state.params)
            return jnp.where(here[:, None], theta, state.snapshots)

        kept = jax.lax.cond(any_lane(jnp.any(here)), keep, lambda: state.snapshots)
        return state._replace(snapshots=kept)

    def _set_aside(self, state: RunState) -> RunState:
        """Copy a network that is recorded into its slot, before the step that changes it.

        A scatter, which writes P numbers a lane; where nothing is due it writes past the end.
        """
        if self.record_steps is None:
            return state
        is_due, slot = self.record_steps.slot(state.step)
        is_due &= state.status == RunStatus.RUNNING
        place = jnp.where(is_due, slot, self.record_steps.num_slots)
        theta = self.network.layout.flatten(state.params)
        return state._replace(recorded=state.recorded.at[place].set(theta, mode="drop"))

    def _check_due(self, spec: Train, state: RunState) -> Bool[Array, ""]:
        due = (state.step % self.check_every == 0) | (state.step >= spec.stop.max_steps)
        if spec.stop.extra_steps:
            due |= (state.fit_step >= 0) & (state.step >= state.fit_step + spec.stop.extra_steps)
        return due & (state.status == RunStatus.RUNNING)

    def _check(self, spec: Train, state: RunState, data: Data) -> dict[str, Any]:
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
        if spec.stop.extra_steps:
            kept = _select(first, state.params, state.first_fit)
            state = state._replace(first_fit=kept)
        state = state._replace(status=self._status(spec, state))
        return {name: getattr(state, name) for name in CHECKED}

    def _status(self, spec: Train, state: RunState) -> Int[Array, ""]:
        """The first of these that holds: diverged, fit, loss reached, out of steps."""
        over = state.step >= state.fit_step + spec.stop.extra_steps
        ends = [
            (~jnp.isfinite(state.loss), RunStatus.DIVERGED),
            ((state.fit_step >= 0) & over & spec.stop.fit, RunStatus.FIT),
            (state.step >= spec.stop.max_steps, RunStatus.MAX_STEPS),
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
        check = state.step // self.check_every
        regular = state.step % self.check_every == 0
        slots = jnp.asarray(record_checks())
        here = (slots == check) & regular
        recorded = jnp.stack([loss, error]).astype(state.curve.dtype)
        return jnp.where(here[:, None], recorded, state.curve)

    def _step(
        self,
        spec: Train,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        data: Data,
        mask: Bool[Array, " P"] | None,
    ) -> RunState:
        running = state.status == RunStatus.RUNNING
        key = run_key(root, run, Purpose.MINIBATCH)
        order = self._order(state, key)
        x, y = self._examples(state.step, order, key, data)
        context = StepContext(
            step=state.step,
            key=run_key(root, run, Purpose.OPTIMIZER),
            running=running,
            num_examples=self.num_examples,
        )

        def objective(params: Any) -> Array:
            return self.loss.mean(self.network.apply(self._pruned(params, mask), x), y)

        stepper = STEPPERS[type(spec.optimizer)]
        added, carried = stepper.update(
            spec.optimizer, objective, state.params, state.optimizer, context
        )
        params = self._pruned(jax.tree.map(jnp.add, state.params, added), mask)
        return state._replace(
            params=_select(running, params, state.params),
            optimizer=_select(running, carried, state.optimizer),
            step=state.step + running,
            order=order,
        )

    def _pruned(self, params: Any, mask: Bool[Array, " P"] | None) -> Any:
        """Parameters with 0 where the mask prunes, and so a gradient of 0 there."""
        if mask is None:
            return params
        keep = self.network.layout.unflatten(mask)
        return jax.tree.map(lambda kept, value: jnp.where(kept, value, 0), keep, params)

    def _order(self, state: RunState, key: Key[Array, ""]) -> Int[Array, " S"]:
        """The run's own order of the examples, drawn anew at the start of an epoch."""
        if not self.has_order:
            return state.order
        epoch, position = jnp.divmod(state.step, self.steps_per_epoch)
        # A run that has ended stands still, often at an epoch's start: it draws nothing.
        starts = (position == 0) & (state.status == RunStatus.RUNNING)

        def draw() -> Array:
            return jnp.where(starts, self.draw_order(key, epoch), state.order)

        return jax.lax.cond(any_lane(starts), draw, lambda: state.order)

    def draw_order(self, key: Key[Array, ""], epoch: Int[Array, ""]) -> Int[Array, " S"]:
        """Draw the order in which a run meets the examples in an epoch; the rest is skipped."""
        drawn = permutation(jax.random.fold_in(key, epoch), self.num_examples)
        return drawn[: self.steps_per_epoch * self.minibatch]

    def draw_examples(self, key: Key[Array, ""], step: Int[Array, ""]) -> Int[Array, " B"]:
        """Draw the minibatch of a step with replacement."""
        key = jax.random.fold_in(key, step)
        return jax.random.randint(key, (self.minibatch,), 0, self.num_examples)

    def _examples(
        self, step: Int[Array, ""], order: Int[Array, " S"], key: Key[Array, ""], data: Data
    ) -> Data:
        if self.spec.batch_size == "full":
            return data
        if self.has_order:
            position = step % self.steps_per_epoch
            index = jax.lax.dynamic_slice(order, (position * self.minibatch,), (self.minibatch,))
        else:
            index = self.draw_examples(key, step)
        return Data(data.x[index], data.y[index])


def record_checks() -> list[int]:
    """Which checks a training curve records: 0, 1, 2, 4, ..."""
    return [0, *(2**k for k in range(NUM_RECORDS - 1))]


def _select(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """Choose between two pytrees; never by multiplying, which would keep a NaN."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
