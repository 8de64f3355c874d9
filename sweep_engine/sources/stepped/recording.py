"""Recording: networks of runs on their way, observed by the block.

In the training program a network is only copied aside, into one of a lane's slots, so training
has the same bits as without. The copies are taken at the end of a segment and wait until they
fill a block of their own: none is observed beside lanes that have nothing to record, and each
has the bits that `observe` would give it stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sweep_engine.observables import observables
from sweep_engine.solutions import Curves
from sweep_engine.sources.bucket import Bucket
from sweep_engine.sources.observe import Columns, observe
from sweep_engine.sources.work import Control, Runs
from sweep_engine.spec.observables import ObservableKind


def recording_bucket(bucket: Bucket, named: Sequence[ObservableKind]) -> Bucket:
    """Make the bucket that observes runs of another on their way.

    Raises:
        ValueError: an observable does not fit the task or the model.
    """
    observed = observables(named)
    for observable in observed:
        if problem := observable.problem(bucket.task, bucket.setting.model):
            raise ValueError(f"record: observable {observable.columns[0].name}: {problem}")
    return replace(bucket, observed=observed)


class Recorded(NamedTuple):
    """What was observed of W networks on their way.

    Attributes:
        run: The position of each one's run in the shard, shape (W,).
        step: Steps taken, shape (W,).
        columns: A value per network.
    """

    run: Int[np.ndarray, " W"]
    step: Int[np.ndarray, " W"]
    columns: Columns


NOTHING_RECORDED = Recorded(np.zeros(0, int), np.zeros(0, int), {})


class Checked(NamedTuple):
    """The checks of runs that their curves keep: the run's position in the shard, and values."""

    run: Int[np.ndarray, " C"]
    step: Int[np.ndarray, " C"]
    train_loss: Float[np.ndarray, " C"]
    train_error: Float[np.ndarray, " C"]
    time: Float[np.ndarray, " C"] | None


def curves_of(ids: Int[np.ndarray, " R"], checked: Checked, recorded: Recorded) -> Curves:
    """Join checks and records to one row a run and step, in this order.

    Where a step was both, loss and error are the check's, which decided what became of the run.
    """
    run = np.concatenate([checked.run, recorded.run]).astype(np.int64)
    step = np.concatenate([checked.step, recorded.step])
    first, row = _places(run, step)
    of_check, of_record = row[: len(checked.run)], row[len(checked.run) :]
    run, step = run[first], step[first]
    place = np.full(len(step), -1)
    place[of_record] = np.arange(len(of_record))

    def joined(name: str, of_checks: np.ndarray) -> np.ndarray:
        values = np.empty(len(step), np.float32)
        if len(of_record):
            values[of_record] = recorded.columns[name]
        values[of_check] = of_checks
        return values

    time = None
    if checked.time is not None:  # a network that is recorded at a time is checked there as well
        time = np.full(len(step), np.nan, np.float32)
        time[of_check] = checked.time
    return Curves(
        run_id=ids[run],
        step=step,
        train_loss=joined("train_loss", checked.train_loss),
        train_error=joined("train_error", checked.train_error),
        observed=recorded.columns,
        place=place,
        time=time,
    )


def _places(
    run: Int[np.ndarray, " W"], step: Int[np.ndarray, " W"]
) -> tuple[Int[np.ndarray, " V"], Int[np.ndarray, " W"]]:
    """Find the distinct (run, step) in order: the first place of each, and which each one is."""
    # One number a row, below 2^63 since runs and steps are below 2^31. They come in a few sorted
    # stretches, which a stable sort merges: 20 times as fast as `np.unique`.
    keys = run * (step.max(initial=0) + 1) + step
    if np.all(keys[1:] > keys[:-1]):  # one stretch: nothing was recorded beside the checks
        everyone = np.arange(len(keys))
        return everyone, everyone
    order = np.argsort(keys, kind="stable")
    is_new = np.diff(keys[order], prepend=-1) != 0
    row = np.empty(len(keys), int)
    row[order] = np.cumsum(is_new) - 1
    return order[is_new], row


@dataclass
class Recorder:
    """Observes networks that are set aside, as soon as they fill a block.

    Attributes:
        bucket: The programs that observe.
        runs: All runs of the shard.
        start: Where each started, if an observable asks for it.
        control: Asked before every block.
        run: The runs of all networks that were set aside, in parts.
        step: The steps of the same.
        parts: What was observed of them, in order.
        waiting: Networks that do not fill a block yet, and whose run each is.
    """

    bucket: Bucket
    runs: Runs
    start: Float[np.ndarray, "R P"] | None
    control: Control
    run: list[Int[np.ndarray, " W"]] = field(default_factory=list)
    step: list[Int[np.ndarray, " W"]] = field(default_factory=list)
    parts: list[Columns] = field(default_factory=list)
    waiting: tuple[Int[np.ndarray, " W"], Float[np.ndarray, "W P"]] | None = None

    def add(
        self,
        run: Int[np.ndarray, " W"],
        step: Int[np.ndarray, " W"],
        theta: Float[np.ndarray, "W P"],
    ) -> None:
        """Set networks aside, by the position of each one's run in the shard."""
        self.run.append(run)
        self.step.append(step)
        if self.waiting is not None:
            run, theta = (
                np.concatenate(pair) for pair in zip(self.waiting, (run, theta), strict=True)
            )
        full = len(run) - len(run) % self.bucket.lanes
        if full:
            self._observe(run[:full], theta[:full])
        self.waiting = run[full:], theta[full:]

    def _observe(self, run: Int[np.ndarray, " W"], theta: Float[np.ndarray, "W P"]) -> None:
        limits = self.bucket.curvature_limits(self.runs.take(run).hyper)
        start = None if self.start is None else self.start[run]
        columns, _ = observe(self.bucket, theta, self.control, start=start, limits=limits)
        self.parts.append(columns)

    def finish(self) -> Recorded:
        """Observe what still waits, and give all."""
        if self.waiting is not None and len(self.waiting[0]):
            self._observe(*self.waiting)
        if not self.parts:
            return NOTHING_RECORDED
        columns = {name: np.concatenate([p[name] for p in self.parts]) for name in self.parts[0]}
        return Recorded(np.concatenate(self.run), np.concatenate(self.step), columns)
