"""Training one run: what a step of an optimiser is. No batch axes; `lanes` maps it."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from sweep_engine.keys import Purpose, permutation, run_key
from sweep_engine.lanes import replace_if_any
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.stepped.single_run import (
    NUM_RECORDS,
    RunState,
    SteppedRun,
    record_checks,
    select,
)
from sweep_engine.sources.stepped.slots import steps_to_any
from sweep_engine.sources.train.averages import averaged
from sweep_engine.sources.train.edge import first_rate
from sweep_engine.sources.train.label_noise import noisy
from sweep_engine.sources.train.optimizers import STEPPERS
from sweep_engine.sources.train.record_steps import RecordSteps
from sweep_engine.sources.train.search import Objective
from sweep_engine.sources.train.step_context import StepContext
from sweep_engine.spec.sources import Train
from sweep_engine.spec.sources.optimizers import EdgeOptimizer


class Carried(NamedTuple):
    """Hold what a step of training carries on.

    Attributes:
        optimizer: The optimiser's state.
        order: This epoch's order of the examples; empty where none is needed.
        average: The average of the parameters so far; None where none is kept.
        rate: The run's own learning rate, where it is a share of its edge; else None.
    """

    optimizer: Any
    order: Int[Array, " S"]
    average: Any = None
    rate: Float[Array, ""] | None = None


@dataclass(frozen=True)
class Training(SteppedRun):
    """The single-run code of a `train` source with its static choices.

    Attributes:
        held: Whether a run that has ended is held at every step, and checks stand in a branch,
            wherever they are: the programs of sweeps that were begun so.
    """

    spec: Train
    held: bool = False

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
    def checks_with_steps(self) -> bool:
        return self.check_every == 1 and self.spec.batch_size == "full" and not self.held

    @property
    def holds_every_step(self) -> bool:
        return self.held or self.check_every == 1

    @property
    def extra_steps(self) -> int:
        return self.spec.stop.extra_steps

    @property
    def num_snapshots(self) -> int:
        return len(self.spec.stop.snapshots or ())

    @property
    def stores_snapshots(self) -> bool:
        return True

    @property
    def record_slots(self) -> RecordSteps | None:
        return RecordSteps(self.spec.record, self.alignment) if self.spec.record else None

    @property
    def alignment(self) -> int:
        return math.lcm(self.check_every, self.steps_per_epoch if self.has_order else 1)

    def carried_at_start(self, spec: Train, params: Any) -> Carried:
        order_length = self.steps_per_epoch * self.minibatch if self.has_order else 0
        return Carried(
            optimizer=STEPPERS[type(spec.optimizer)].initial(spec.optimizer, params),
            order=jnp.zeros(order_length, jnp.int32),
            average=None if spec.average is None else params,
            rate=jnp.float32(jnp.nan) if spec.own_columns else None,
        )

    def average(self, states: RunState) -> Any:
        return states.carried.average

    def at_snapshots(self, state: RunState) -> Bool[Array, " S"]:
        return jnp.asarray(self.spec.stop.snapshots) == state.step

    def arrive(self, state: RunState, root: Key[Array, ""], run: UInt32[Array, "2"]) -> RunState:
        if not self.has_order:
            return state
        order = self._order(state, root, run)
        return state._replace(carried=state.carried._replace(order=order))

    def steps_to_own(self, state: RunState) -> list[Int[Array, ""]]:
        counts = []
        if self.has_order:
            counts.append(self.steps_per_epoch - state.step % self.steps_per_epoch)
        if self.spec.stop.snapshots:
            counts.append(steps_to_any(self.spec.stop.snapshots, state.step))
        if self.record_slots is not None:
            counts.append(self.record_slots.steps_to_next(state.step))
        return counts

    def ends(self, spec: Train, state: RunState) -> list[tuple[Bool[Array, ""], RunStatus]]:
        return [(state.step >= spec.stop.max_steps, RunStatus.MAX_STEPS)]

    @property
    def curve_length(self) -> int:
        return NUM_RECORDS

    def curve_slots(self, state: RunState) -> Bool[Array, " T"]:
        check = state.step // self.check_every
        regular = state.step % self.check_every == 0
        return (jnp.asarray(record_checks()) == check) & regular

    def curve_steps(self, states: RunState) -> Int[np.ndarray, "K T"]:
        at = np.array(record_checks()) * self.check_every
        return np.tile(at, (len(np.asarray(states.step)), 1))

    def clock(self, state: RunState) -> tuple[Array, ...]:
        return ()

    def snapshot_steps(self, states: RunState) -> Int[np.ndarray, "K S"]:
        return np.tile(self.spec.stop.snapshots or (), (len(np.asarray(states.step)), 1))

    def columns(self, states: RunState) -> dict[str, np.ndarray]:
        rate = states.carried.rate
        return {} if rate is None else {"learning_rate": np.asarray(rate)}

    def step(
        self,
        spec: Train,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        data: Data,
        mask: Bool[Array, " P"] | None,
    ) -> RunState:
        order = state.carried.order
        x, y = self._examples(state.step, order, root, run, data)
        if spec.label_noise is not None:
            drawn = run_key(root, run, Purpose.LABEL_NOISE)
            y = noisy(spec.label_noise, self.loss, y, jax.random.fold_in(drawn, state.step))
        context = StepContext(
            step=state.step,
            root=root,
            run=run,
            running=state.status == RunStatus.RUNNING,
            num_examples=self.num_examples,
        )

        def objective_on(examples: Data) -> Objective:
            def objective(params: Any) -> Array:
                outputs = self.network.apply(self.pruned(params, mask), examples.x)
                return self.loss.mean(outputs, examples.y)

            return objective

        optimizer, rate = spec.optimizer, state.carried.rate
        if rate is not None:
            assert isinstance(optimizer, EdgeOptimizer)
            rate = first_rate(optimizer, objective_on(data), state.params, rate, context)
            optimizer = optimizer.model_copy(update={"learning_rate": rate})
        moved, carried = STEPPERS[type(optimizer)].update(
            optimizer, objective_on(Data(x, y)), state.params, state.carried.optimizer, context
        )
        hold = partial(select, context.running) if self.holds_every_step else _moved_alone
        params = hold(self.pruned(moved, mask), state.params)
        step = state.step + hold(1, 0)
        average = state.carried.average
        if spec.average is not None:
            average = hold(averaged(spec.average, average, params, step), average)
        carried = Carried(hold(carried, state.carried.optimizer), order, average, rate)
        return state._replace(params=params, carried=carried, step=step)

    def _order(
        self, state: RunState, root: Key[Array, ""], run: UInt32[Array, "2"]
    ) -> Int[Array, " S"]:
        """The run's own order of the examples, drawn anew at the start of an epoch."""
        key = run_key(root, run, Purpose.MINIBATCH)
        epoch, position = jnp.divmod(state.step, self.steps_per_epoch)
        # A run that has ended stands still, often at an epoch's start: it draws nothing.
        starts = (position == 0) & (state.status == RunStatus.RUNNING)

        def draw(order: Int[Array, " S"]) -> Int[Array, " S"]:
            return jnp.where(starts, self.draw_order(key, epoch), order)

        return replace_if_any(starts, state.carried.order, draw)

    def draw_order(self, key: Key[Array, ""], epoch: Int[Array, ""]) -> Int[Array, " S"]:
        """Draw the order in which a run meets the examples in an epoch; the rest is skipped."""
        drawn = permutation(jax.random.fold_in(key, epoch), self.num_examples)
        return drawn[: self.steps_per_epoch * self.minibatch]

    def draw_examples(self, key: Key[Array, ""], step: Int[Array, ""]) -> Int[Array, " B"]:
        """Draw the minibatch of a step with replacement."""
        key = jax.random.fold_in(key, step)
        return jax.random.randint(key, (self.minibatch,), 0, self.num_examples)

    def _examples(
        self,
        step: Int[Array, ""],
        order: Int[Array, " S"],
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        data: Data,
    ) -> Data:
        if self.spec.batch_size == "full":
            return data
        if self.has_order:
            position = step % self.steps_per_epoch
            # One by one: lanes slice at places of their own, which a TPU does lane after lane.
            index = order[position * self.minibatch + jnp.arange(self.minibatch)]
        else:
            index = self.draw_examples(run_key(root, run, Purpose.MINIBATCH), step)
        return Data(data.x[index], data.y[index])


def _moved_alone(moved: Any, before: Any) -> Any:
    return moved
