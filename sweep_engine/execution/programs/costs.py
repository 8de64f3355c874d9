"""Reckon what a plan will cost: memory a lane, disk, and time by a clock."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax

from sweep_engine.execution.programs.choosing import TRIAL_SHARE
from sweep_engine.execution.programs.clocks import Clock, Measured, Reckoned
from sweep_engine.execution.programs.observable_costs import (
    Blocks,
    ObservableCost,
    Stopwatch,
    Timing,
    observable_costs,
    rows_of,
)
from sweep_engine.execution.programs.programs import (
    Programs,
    compilation_cache,
    num_workers,
)
from sweep_engine.execution.programs.rates import rates
from sweep_engine.planning import Plan, Shard, num_runs
from sweep_engine.sources import Bucket, SourcePrograms
from sweep_engine.spec import Setting
from sweep_engine.spec.parents import parent_of

BYTES_PER_ROW = 250
BYTES_PER_TALLY = 120
"""Beside the function itself, packed."""

MAX_FUNCTIONS = 10_000_000
"""Distinct functions of a setting that are reckoned with."""

MAX_TIMED = 6
"""Buckets that are put to the clock; the others are scaled from them by their parameters."""

COMPILE_SECONDS = 2.0
"""Of one program on one core, as is usual: 1 to 3, of NUTS 12."""

KERNEL_SECONDS = 10.0
"""To build a kernel, to test it and to race it, as is usual; `auto` gives a trial no more than its
share."""


@dataclass(frozen=True)
class BucketCost:
    """What one bucket costs.

    Attributes:
        bucket: Its name.
        source: Its source.
        starts_from: The source whose stored results it needs first, if any.
        settings: How many settings share its program.
        runs: Runs or draws, at most.
        lanes: K.
        padding: The lanes of its blocks, over the runs that are in them.
        num_params: P.
        lane_bytes: Device memory of one lane.
        disk_bytes: Of its tables, before compression.
        rows_are_known: Whether that is a bound; else one draw in `DRAWS_PER_FIT` is reckoned
            to be kept.
        seconds: Of all workers together, to find the networks and to observe them, with the
            padding of their blocks; at most, since runs may end early.
        observing: What each observable takes of it.
        is_measured: Whether the program was timed, or scaled from one that was.
        implementation: What trains: `auto` where the first run will find out. The time is XLA's.
        reason: Why.
    """

    bucket: str
    source: str
    starts_from: str | None
    settings: int
    runs: int
    lanes: int
    padding: float
    num_params: int
    lane_bytes: int
    disk_bytes: int
    rows_are_known: bool
    seconds: float
    observing: tuple[ObservableCost, ...]
    is_measured: bool
    implementation: str
    reason: str


@dataclass(frozen=True)
class StartCost:
    """Hold what happens once before the work, or beside it.

    Attributes:
        programs: How many are compiled; those that a compilation cache has are read instead.
        compile_seconds: What that takes, of all workers together, where no cache has any.
        trials: Kernels that the first run builds, tests and races: one a bucket or group of them.
        trial_seconds: What that takes.
    """

    programs: int
    compile_seconds: float
    trials: int
    trial_seconds: float

    @property
    def seconds(self) -> float:
        """Add up both."""
        return self.compile_seconds + self.trial_seconds


def clock(*, measures: bool) -> Clock:
    """Make what says how long programs take.

    Args:
        measures: Whether to compile and time some. Else they are reckoned, if this is a CPU:
            what programs reach of another device's rates is not known.
    """
    if measures or jax.default_backend() != "cpu":
        compilation_cache()
        return Measured()
    return Reckoned(rates())


def costs(plan: Plan, programs: Programs, clock: Clock) -> list[BucketCost]:
    """Estimate what every bucket costs: a few are put to the clock, others scaled from those."""
    found: list[BucketCost] = []
    stopwatch = Stopwatch(clock)
    shards_of: dict[str, list[Shard]] = defaultdict(list)
    for shard in plan.shards:
        shards_of[shard.bucket].append(shard)
    timed: dict[str, _Timed] = {}
    for name in plan.buckets:
        opened = programs.of(name)
        kind = opened.bucket.setting.source
        is_new = kind not in timed and len(timed) < MAX_TIMED
        if is_new:
            timing = stopwatch.time(opened.bucket, plan.sweep.observables)
            timed[kind] = _Timed(*clock.unit(opened), _num_params(opened), timing)
        like = timed.get(kind) or next(iter(timed.values()))
        cost = _cost(plan, programs, name, shards_of[name], like)
        found.append(replace(cost, is_measured=is_new and clock.measures))
    return found


class _Timed(NamedTuple):
    """Hold what the clock said of a bucket, from which others are scaled."""

    unit_seconds: float
    lane_bytes: int
    num_params: int
    observing: Timing


def _cost(
    plan: Plan, programs: Programs, name: str, shards: Sequence[Shard], like: _Timed
) -> BucketCost:
    """Multiply what a unit of a bucket's work takes by how many there are."""
    opened, expected = programs.of(name), programs.expected(name)
    bucket, num_params = opened.bucket, _num_params(opened)
    settings = [plan.settings[i] for i in plan.buckets[name]]
    scale = num_params / like.num_params
    padding = _padding(opened, shards)
    units = padding * sum(num_runs(s) * s.spec.work_per_run for s in settings)
    scaled = {key: taken.scaled(scale) for key, taken in like.observing.items()}
    observing = tuple(observable_costs(settings, scaled, Blocks(bucket.lanes, len(shards))))
    to_observe = sum(cost.networks * cost.seconds for cost in observing)
    return BucketCost(
        bucket=name,
        source=bucket.setting.source,
        starts_from=parent_of(plan.sweep, bucket.setting.source),
        settings=len(settings),
        runs=sum(map(num_runs, settings)),
        lanes=bucket.lanes,
        padding=padding,
        num_params=num_params,
        lane_bytes=round(like.lane_bytes * scale),
        disk_bytes=sum(_disk(s, plan, bucket) for s in settings),
        rows_are_known=all(s.spec.num_rows is not None for s in settings),
        seconds=like.unit_seconds * scale * units / num_workers() + to_observe,
        observing=observing,
        is_measured=False,
        implementation=expected.name,
        reason=expected.reason,
    )


def start_cost(plan: Plan, programs: Programs, found: Sequence[BucketCost]) -> StartCost:
    """Reckon what compiling takes, and the trials of kernels, from what is usual."""
    of_kind: dict[str, int] = {}
    for name in plan.buckets:
        opened = programs.of(name)
        source = opened.bucket.setting.source
        if source not in of_kind:
            of_kind[source] = sum(1 for _ in opened.to_compile())
    num_programs = sum(of_kind[cost.source] for cost in found)
    at_once = max(1, min(num_workers(), len(found)))
    of_bucket = {cost.bucket: cost for cost in found}
    trials = [_trial_seconds([of_bucket[name] for name in names]) for names in programs.undecided()]
    return StartCost(
        programs=num_programs,
        compile_seconds=num_programs * COMPILE_SECONDS / at_once,
        trials=len(trials),
        trial_seconds=sum(trials),
    )


def _trial_seconds(group: Sequence[BucketCost]) -> float:
    if group[0].implementation != "auto":
        return KERNEL_SECONDS
    return min(KERNEL_SECONDS, TRIAL_SHARE * sum(cost.seconds for cost in group))


def _num_params(opened: SourcePrograms) -> int:
    return opened.bucket.network.layout.num_params


def _padding(programs: SourcePrograms, shards: Sequence[Shard]) -> float:
    """Divide the lanes that the shards' blocks have by the runs that are in them."""
    counts = [shard.num_runs for shard in shards]
    return sum(map(programs.with_padding, counts)) / sum(counts)


def disk_bytes(plan: Plan, programs: Programs) -> int:
    """Estimate the disk that all tables take, before compression: an upper bound."""
    return sum(
        _disk(plan.settings[i], plan, programs.of(name).bucket)
        for name, ids in plan.buckets.items()
        for i in ids
    )


def _disk(setting: Setting, plan: Plan, bucket: Bucket) -> int:
    spec, rows = setting.spec, rows_of(setting)
    stored = 0 if plan.sweep.store.params == "none" else spec.states_per_run
    theta = 4 * bucket.network.layout.num_params * stored
    tallies, bytes_of_one = 0, BYTES_PER_TALLY
    if bucket.task.label_rule is not None:
        # Among all draws and among the fits, or among the fits alone.
        drawn = 0 if spec.identifies_fits_only else min(num_runs(setting), MAX_FUNCTIONS)
        tallies = drawn + min(rows if drawn == 0 else drawn, MAX_FUNCTIONS)
        bytes_of_one += len(bucket.task.probe_inputs)
    return rows * (theta + BYTES_PER_ROW) + tallies * bytes_of_one
