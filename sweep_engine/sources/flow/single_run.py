"""One run along gradient flow: what a step of its solver is. No batch axes; `lanes` maps it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Key, UInt32

from sweep_engine.lanes import any_lane
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.bucket import Data
from sweep_engine.sources.flow.solver import attempt, error_ratio, first_size, next_size
from sweep_engine.sources.flow.times import RecordTimes
from sweep_engine.sources.stepped.single_run import (
    NUM_RECORDS,
    RunState,
    SteppedRun,
    record_checks,
    select,
)
from sweep_engine.spec.sources import Flow

NEVER = np.int64(2**62)
"""The step of what a run did not reach: behind every step."""

STRETCH = 1.01
"""What is left to a time that must be met is one step if so much of a step is enough."""


class SolverState(NamedTuple):
    """Hold what a step of the solver carries on.

    Attributes:
        time: How far the flow has come.
        size: What the solver would like the next step to be.
        slope: d theta / dt where the flow is; the last stage of one step is the next one's first.
        margin: By how much the last step that was kept met the tolerance, 1 / error ratio.
        rejected: Steps taken back.
        stalled: Whether a step was taken back, and the time has room for no smaller one.
        time_steps: The steps after which each of the source's `times` was met; -1 before.
    """

    time: Float[Array, ""]
    size: Float[Array, ""]
    slope: Any
    margin: Float[Array, ""]
    rejected: Int[Array, ""]
    stalled: Bool[Array, ""]
    time_steps: Int[Array, " M"]


@dataclass(frozen=True)
class Flowing(SteppedRun):
    """The single-run code of a `flow` source with its static choices.

    One turn of a lane is one step that the solver tries, kept or not: lanes whose flow is easy
    are not held up by the others, and those that have ended are given another.
    """

    spec: Flow

    check_every = alignment = 1
    checks_with_steps = False
    holds_every_step = True
    extra_steps = 0

    @property
    def times(self) -> Float32[np.ndarray, " M"]:
        """The times that are met exactly."""
        return np.array(self.spec.times or (), np.float32)

    @property
    def num_snapshots(self) -> int:
        return len(self.times)

    @property
    def stores_snapshots(self) -> bool:
        return self.spec.snapshots

    @property
    def record_slots(self) -> RecordTimes | None:
        return RecordTimes() if self.spec.record else None

    @property
    def curve_length(self) -> int:
        return NUM_RECORDS + len(self.times)

    def average(self, states: RunState) -> None:
        return None

    def carried_at_start(self, spec: Flow, params: Any) -> SolverState:
        return SolverState(
            time=jnp.float32(0),
            size=jnp.float32(0),
            slope=jax.tree.map(jnp.zeros_like, params),
            margin=jnp.float32(1),
            rejected=jnp.int32(0),
            stalled=jnp.bool_(False),
            time_steps=jnp.full(len(self.times), -1, jnp.int32),
        )

    def arrive(self, state: RunState, root: Key[Array, ""], run: UInt32[Array, "2"]) -> RunState:
        is_new = self._at_times(state) & (state.carried.time_steps < 0)
        is_new &= state.status == RunStatus.RUNNING
        steps = jnp.where(is_new, state.step, state.carried.time_steps)
        return state._replace(carried=state.carried._replace(time_steps=steps))

    def _at_times(self, state: RunState) -> Bool[Array, " M"]:
        return jnp.asarray(self.times) == state.carried.time

    def at_snapshots(self, state: RunState) -> Bool[Array, " S"]:
        return self._at_times(state)

    def ends(self, spec: Flow, state: RunState) -> list[tuple[Bool[Array, ""], RunStatus]]:
        return [
            (state.carried.time >= spec.stop.max_time, RunStatus.MAX_TIME),
            (state.carried.stalled, RunStatus.STALLED),
            (state.step >= spec.stop.max_steps, RunStatus.MAX_STEPS),
        ]

    def steps_to_own(self, state: RunState) -> list[Int[Array, ""]]:
        return []  # something is due at every step

    def clock(self, state: RunState) -> tuple[Array, ...]:
        return (state.carried.time,)

    def curve_slots(self, state: RunState) -> Bool[Array, " T"]:
        return jnp.concatenate([jnp.asarray(record_checks()) == state.step, self._at_times(state)])

    def curve_steps(self, states: RunState) -> Int[np.ndarray, "K T"]:
        at_times = self._time_steps(states)
        checks = np.tile(record_checks(), (len(at_times), 1))
        return np.concatenate([checks, at_times], axis=1)

    def snapshot_steps(self, states: RunState) -> Int[np.ndarray, "K S"]:
        return self._time_steps(states)

    def _time_steps(self, states: RunState) -> Int[np.ndarray, "K M"]:
        steps = np.asarray(states.carried.time_steps)
        return np.where(steps < 0, NEVER, steps)

    def columns(self, states: RunState) -> dict[str, np.ndarray]:
        carried = states.carried
        return {"time": np.asarray(carried.time), "rejected_steps": np.asarray(carried.rejected)}

    def step(
        self,
        spec: Flow,
        state: RunState,
        root: Key[Array, ""],
        run: UInt32[Array, "2"],
        data: Data,
        mask: Bool[Array, " P"] | None,
    ) -> RunState:
        running = state.status == RunStatus.RUNNING
        field = self._field(spec, data, mask)
        params, carried = state.params, self._begun(spec, state, field, running)
        end = self._next_time(spec, carried.time)
        is_last = carried.size * STRETCH >= end - carried.time
        time = jnp.where(is_last, end, carried.time + carried.size)
        size = time - carried.time  # what the time has room for, so that the two never part
        found, slope, error = attempt(field, params, carried.slope, size)
        ratio = error_ratio(error, params, found, spec.rtol, spec.atol)
        kept = (ratio < 1) & (size > 0)
        wanted, margin = next_size(size, ratio, carried.margin)
        stalled = ~kept & (carried.time + wanted >= time)
        # A step that was cut short to meet a time tells nothing against the size before it.
        wanted = jnp.where(kept & is_last, jnp.maximum(wanted, carried.size), wanted)
        moved = kept & running
        after = carried._replace(
            time=jnp.where(moved, time, carried.time),
            size=jnp.where(running, wanted, carried.size),
            slope=select(moved, slope, carried.slope),
            margin=jnp.where(moved, margin, carried.margin),
            rejected=carried.rejected + (running & ~kept),
            stalled=carried.stalled | (running & stalled),
        )
        return state._replace(
            params=select(moved, found, params),
            carried=after,
            step=state.step + running,
        )

    def _field(
        self, spec: Flow, data: Data, mask: Bool[Array, " P"] | None
    ) -> Callable[[Any], Any]:
        """Minus the gradient of what the flow descends."""

        def objective(params: Any) -> Array:
            params = self.pruned(params, mask)
            loss = self.loss.mean(self.network.apply(params, data.x), data.y)
            return loss + spec.l2 / 2 * _square(params)

        def descended(params: Any) -> Array:
            if spec.correction is None:
                return objective(params)
            value, gradient = jax.value_and_grad(objective)(params)
            return value + spec.correction.learning_rate / 4 * _square(gradient)

        gradient = jax.grad(descended)
        return lambda params: jax.tree.map(jnp.negative, gradient(params))

    def _begun(
        self,
        spec: Flow,
        state: RunState,
        field: Callable[[Any], Any],
        running: Bool[Array, ""],
    ) -> SolverState:
        """Return what is carried, with the slope and size of a first step."""
        is_first = running & (state.step == 0)
        carried: SolverState = state.carried

        def begin() -> tuple[Any, Array]:
            slope = field(state.params)
            size = first_size(state.params, slope, spec.rtol, spec.atol)
            return select(is_first, (slope, size), (carried.slope, carried.size))

        slope, size = jax.lax.cond(any_lane(is_first), begin, lambda: (carried.slope, carried.size))
        return carried._replace(slope=slope, size=size)

    def _next_time(self, spec: Flow, time: Float[Array, ""]) -> Float[Array, ""]:
        """The next time that must be met exactly."""
        times = jnp.asarray(self.times)
        ahead = jnp.where(times > time, times, jnp.inf)
        return jnp.min(ahead, initial=spec.stop.max_time)


def _square(params: Any) -> Float[Array, ""]:
    leaves = jax.tree.leaves(params)
    return sum((jnp.sum(leaf**2) for leaf in leaves), start=jnp.float32(0))
