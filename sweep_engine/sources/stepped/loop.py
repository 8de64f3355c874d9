"""Runs that go step by step, on the host: lanes are filled, advanced a segment, harvested."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sweep_engine.solutions import RunStatus, Solutions
from sweep_engine.sources.bucket import Bucket, Hyper
from sweep_engine.sources.drawn import draw_rows
from sweep_engine.sources.observe import observe
from sweep_engine.sources.stepped.programs import IDLE, KEEP, START, SteppedPrograms
from sweep_engine.sources.stepped.pruning import kept_parameters
from sweep_engine.sources.stepped.recording import (
    NOTHING_RECORDED,
    Checked,
    Recorder,
    curves_of,
)
from sweep_engine.sources.stepped.single_run import GIVEN_MASK, GIVEN_START, RunState, SteppedRun
from sweep_engine.sources.tally import tally
from sweep_engine.sources.work import Control, Finished, Inputs, LaneSteps, Runs
from sweep_engine.spec.settings import Piece
from sweep_engine.spec.sources import Stepped
from sweep_engine.spec.starts import FromSource

SEGMENT_SECONDS = 1.0
"""A device call cannot be interrupted: about so long until a stop is noticed."""

MOST_TURNS = 2**30
"""Turns of a segment, which are counted in 32 bits."""

REFILL_SHARE = 16
"""A segment ends early once one lane in so many could take another run."""


def advance_runs(
    programs: SteppedPrograms, pieces: Sequence[Piece], control: Control, inputs: Inputs
) -> Finished:
    """Advance the runs of some pieces to their ends, and observe where they land.

    Lanes whose run has ended are given the next one, so a shard does not wait for its
    slowest run; which lane a run has, and when it starts, changes no bit of it.

    Raises:
        Interrupted: `control` asked to stop.
    """
    bucket = programs.bucket
    runs = Runs.of(bucket, pieces)
    if programs.starts_from_source:
        runs = runs.with_values(_given(bucket, pieces, inputs))
    start = draw_rows(bucket, runs) if programs.draws_start else runs.hyper.get(GIVEN_START)
    recorder = None
    if programs.recording is not None:
        recorder = Recorder(programs.recording, runs, start, control)
    harvest = _Harvest.empty(programs, runs)
    lanes = _Lanes(programs, runs)
    while lanes.fill():
        states = lanes.advance()
        ended = lanes.ended(states)
        if recorder is not None:
            lanes.set_aside(recorder, states, ended)
        harvest.gather(states, ended, lanes.occupant[ended])
        lanes.release(ended)
        control.proceed(int(ended.sum()))
    solutions = harvest.solutions()
    limits = bucket.curvature_limits(runs.hyper)
    columns, functions = observe(bucket, solutions.theta, control, start=start, limits=limits)
    # The check that ended the run also gave its loss and error: one truth for row and status.
    columns |= {"train_loss": harvest.loss, "train_error": harvest.error} | harvest.columns
    tallies = tally(runs.setting, solutions.fit, functions)
    recorded = recorder.finish() if recorder else NOTHING_RECORDED
    curves = curves_of(runs.ids, harvest.checked(), recorded)
    return Finished(solutions, columns, functions, tallies, curves, lanes.lane_steps)


def _given(bucket: Bucket, pieces: Sequence[Piece], inputs: Inputs) -> Hyper:
    """The starts of runs that start from those of another source, and what is not pruned."""
    stored = inputs.starts
    if stored is None:
        raise ValueError("these runs start from another source's, and none are given")
    if stored.final is None:
        return {GIVEN_START: stored.theta}
    ends = np.cumsum([0, *map(len, pieces)])
    masks = [_mask(bucket, piece, stored.final[a:b])
             for piece, a, b in zip(pieces, ends[:-1], ends[1:], strict=True)]  # fmt: skip
    kept = np.concatenate(masks)
    start = np.where(kept, stored.theta, np.float32(0))
    # Of a run that diverged nothing is left that could be pruned: its ticket diverges.
    start[~np.isfinite(stored.final).all(axis=1)] = np.nan
    return {GIVEN_START: start, GIVEN_MASK: kept}


def _mask(bucket: Bucket, piece: Piece, final: np.ndarray) -> np.ndarray:
    spec = piece.setting.spec
    assert isinstance(spec, Stepped)
    assert isinstance(spec.init, FromSource)
    assert spec.init.mask is not None
    return kept_parameters(bucket.network.layout, final, spec.init.mask)


@dataclass
class _Lanes:
    """The one block of a shard: which run each lane has, and the device's states."""

    programs: SteppedPrograms
    runs: Runs
    next_run: int = 0
    lane_steps: LaneSteps = field(default_factory=LaneSteps)
    steps: int = 0
    occupant: np.ndarray = field(init=False)
    orders: np.ndarray = field(init=False)
    states: RunState = field(init=False)
    before: np.ndarray = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        self.occupant = np.full(self.programs.width, -1)
        self.orders = np.full(self.programs.width, IDLE, np.int32)
        self.states = self.programs.empty_state
        self.before = np.zeros(self.programs.width, int)
        slots = self.programs.single.record_slots
        wanted = None if slots is None else slots.most_turns
        self.most = MOST_TURNS if wanted is None else min(wanted, MOST_TURNS)
        self.steps = min(self.programs.segments.steps, self.most)

    def fill(self) -> bool:
        """Give idle lanes the next runs; False when no lane has a run any more."""
        idle = np.flatnonzero(self.occupant < 0)[: len(self.runs) - self.next_run]
        self.orders = np.where(self.occupant < 0, IDLE, KEEP).astype(np.int32)
        self.occupant[idle] = np.arange(self.next_run, self.next_run + len(idle))
        self.orders[idle] = START
        self.next_run += len(idle)
        return bool(np.any(self.occupant >= 0))

    def advance(self) -> RunState:
        """Advance all lanes by one segment."""
        bucket, lanes = self.programs.bucket, self.programs.width
        waiting = self.next_run < len(self.runs)
        at_least = lanes - max(1, lanes // REFILL_SHARE) if waiting else 0
        limits = np.array([self.steps, at_least], np.int32)
        current = self.runs.take(np.maximum(self.occupant, 0))
        self.before = np.where(self.orders == START, 0, np.asarray(self.states.step))
        began = time.monotonic()
        self.states = self.programs.advance(
            self.states,
            self.orders,
            current.words,
            current.hyper,
            bucket.root,
            bucket.data.train,
            limits,
        )
        taken = np.where(self.occupant >= 0, np.asarray(self.states.step) - self.before, 0)
        self._count(taken, time.monotonic() - began)
        return self.states

    def _count(self, taken: np.ndarray, seconds: float) -> None:
        longest = int(taken.max())
        busy = int(taken.sum())
        there = longest * len(taken) if self.programs.block.waits else busy
        self.lane_steps = LaneSteps(self.lane_steps.busy + busy, self.lane_steps.all + there)
        if longest >= self.steps and seconds < SEGMENT_SECONDS / 2:
            self.steps = min(2 * self.steps, self.most)
        elif seconds > SEGMENT_SECONDS and self.steps > self.programs.block.alignment:
            self.steps //= 2
        self.programs.segments.steps = self.steps

    def ended(self, states: RunState) -> np.ndarray:
        """Say which lanes have a run that has ended, shape (K,)."""
        ended: np.ndarray = np.asarray(states.status) != RunStatus.RUNNING
        return (self.occupant >= 0) & ended

    def set_aside(self, recorder: Recorder, states: RunState, ended: np.ndarray) -> None:
        """Hand over the networks that the last segment set aside."""
        record = self.programs.single.record_slots
        assert record is not None
        lane, steps, slots = record.filled(self.before, states, ended)
        recorder.add(self.occupant[lane], steps, np.asarray(record.networks(states))[lane, slots])

    def release(self, ended: np.ndarray) -> None:
        """Make lanes free for other runs."""
        self.occupant[ended] = -1


@dataclass
class _Harvest:
    """The final states of all runs of a shard, filled in as they end."""

    runs: Runs
    single: SteppedRun
    theta: np.ndarray
    first_fit: np.ndarray | None
    average: np.ndarray | None
    snapshots: np.ndarray | None
    snapshot_steps: np.ndarray | None
    status: np.ndarray
    steps: np.ndarray
    fit: np.ndarray
    fit_step: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    curve: np.ndarray
    curve_steps: np.ndarray
    columns: dict[str, np.ndarray]

    @classmethod
    def empty(cls, programs: SteppedPrograms, runs: Runs) -> "_Harvest":
        count, single = len(runs), programs.single
        theta = np.full((count, single.network.layout.num_params), np.nan, np.float32)
        kept = single.num_snapshots if single.stores_snapshots else 0
        curve = programs.empty_state.curve.shape[1:]
        columns = single.columns(programs.empty_state)
        return cls(
            runs=runs,
            single=single,
            theta=theta,
            first_fit=theta.copy() if single.extra_steps else None,
            average=None if single.average(programs.empty_state) is None else theta.copy(),
            snapshots=np.repeat(theta[:, None], kept, axis=1) if kept else None,
            snapshot_steps=np.zeros((count, kept), np.int64) if kept else None,
            status=np.zeros(count, np.int32),
            steps=np.zeros(count, np.int64),
            fit=np.zeros(count, bool),
            fit_step=np.zeros(count, np.int64),
            loss=np.zeros(count, np.float32),
            error=np.zeros(count, np.float32),
            curve=np.zeros((count, *curve), np.float32),
            curve_steps=np.zeros((count, curve[0]), np.int64),
            columns={name: np.zeros(count, each.dtype) for name, each in columns.items()},
        )

    def gather(self, states: RunState, lanes: np.ndarray, runs: np.ndarray) -> None:
        """Copy the states of ended lanes to the rows of their runs."""
        if not len(runs):
            return
        layout = self.single.network.layout
        self.theta[runs] = layout.flatten_rows(states.params)[lanes]
        if self.first_fit is not None:
            self.first_fit[runs] = layout.flatten_rows(states.first_fit)[lanes]
        if self.average is not None:
            self.average[runs] = layout.flatten_rows(self.single.average(states))[lanes]
        if self.snapshots is not None and self.snapshot_steps is not None:
            self.snapshots[runs] = np.asarray(states.snapshots)[lanes]
            self.snapshot_steps[runs] = self.single.snapshot_steps(states)[lanes]
        self.status[runs] = np.asarray(states.status)[lanes]
        self.steps[runs] = np.asarray(states.step)[lanes]
        self.fit[runs] = np.asarray(states.fit)[lanes]
        self.fit_step[runs] = np.asarray(states.fit_step)[lanes]
        self.loss[runs] = np.asarray(states.loss)[lanes]
        self.error[runs] = np.asarray(states.error)[lanes]
        self.curve[runs] = np.asarray(states.curve)[lanes]
        self.curve_steps[runs] = self.single.curve_steps(states)[lanes]
        for name, column in self.single.columns(states).items():
            self.columns[name][runs] = column[lanes]

    def solutions(self) -> Solutions:
        return Solutions(
            run_id=self.runs.ids,
            setting=self.runs.setting,
            status=self.status,
            steps=self.steps,
            fit=self.fit,
            fit_step=self.fit_step,
            log_weight=np.zeros(len(self.runs)),
            theta=self.theta,
            first_fit=self.first_fit,
            average=self.average,
            snapshots=self.snapshots,
            snapshot_steps=self.snapshot_steps,
        )

    def checked(self) -> Checked:
        """List the checks of every run that its curve keeps, and behind them its last one."""
        steps = np.concatenate([self.curve_steps, self.steps[:, None]], axis=1)
        made = steps < self.steps[:, None]
        made[:, -1] = True

        def of_checks(part: int, last: np.ndarray) -> np.ndarray:
            found: np.ndarray = np.concatenate([self.curve[..., part], last[:, None]], axis=1)
            return found[made]

        end = self.columns.get("time")
        return Checked(
            run=np.repeat(np.arange(len(self.runs)), np.count_nonzero(made, axis=1)),
            step=steps[made],
            train_loss=of_checks(0, self.loss),
            train_error=of_checks(1, self.error),
            time=None if end is None else of_checks(2, end),
        )
