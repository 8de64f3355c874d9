"""What a plan will cost: memory a lane, disk, and time as measured on a few blocks."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import jax

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
from sweep_engine.planning import Plan, Shard, num_runs
from sweep_engine.sources import XLA, Bucket, KernelPrograms, SourcePrograms
from sweep_engine.spec import Setting
from sweep_engine.spec.parents import parent_of

BYTES_PER_ROW = 250
BYTES_PER_TALLY = 120
"""Beside the function itself, packed."""

MAX_FUNCTIONS = 10_000_000
"""Distinct functions of a setting that are reckoned with."""

MAX_MEASURED = 6
"""Buckets that are compiled and timed; the others are scaled from them by their parameters."""


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


def costs(plan: Plan, programs: Programs) -> list[BucketCost]:
    """Estimate what every bucket costs; compiles and times a few of them, which a run finds."""
    compilation_cache()
    found: list[BucketCost] = []
    stopwatch = Stopwatch()
    shards_of: dict[str, list[Shard]] = defaultdict(list)
    for shard in plan.shards:
        shards_of[shard.bucket].append(shard)
    measured: dict[str, tuple[float, int, int, Timing]] = {}
    for name, ids in plan.buckets.items():
        opened = programs.of(name)
        bucket, expected = opened.bucket, programs.expected(name)
        settings = [plan.settings[i] for i in ids]
        num_params = bucket.network.layout.num_params
        kind = settings[0].source
        is_new = kind not in measured and len(measured) < MAX_MEASURED
        if is_new:
            timing = stopwatch.time(bucket, plan.sweep.observables)
            measured[kind] = (*_measure(opened), num_params, timing)
        per_unit, lane_bytes, of_params, timing = measured.get(kind) or next(
            iter(measured.values())
        )
        scale = num_params / of_params
        shards = shards_of[name]
        padding = _padding(opened, shards)
        units = padding * sum(num_runs(s) * s.spec.work_per_run for s in settings)
        scaled = {key: taken.scaled(scale) for key, taken in timing.items()}
        blocks = Blocks(bucket.lanes, len(shards))
        observing = tuple(observable_costs(settings, scaled, blocks))
        to_observe = sum(cost.networks * cost.seconds for cost in observing)
        found.append(
            BucketCost(
                bucket=name,
                source=kind,
                starts_from=parent_of(plan.sweep, kind),
                settings=len(settings),
                runs=sum(num_runs(s) for s in settings),
                lanes=bucket.lanes,
                padding=padding,
                num_params=num_params,
                lane_bytes=round(lane_bytes * scale),
                disk_bytes=sum(_disk(s, plan, bucket) for s in settings),
                rows_are_known=all(s.spec.num_rows is not None for s in settings),
                seconds=per_unit * scale * units / num_workers() + to_observe,
                observing=observing,
                is_measured=is_new,
                implementation=expected.name,
                reason=expected.reason,
            )
        )
    return found


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


def _measure(programs: SourcePrograms) -> tuple[float, int]:
    """Time a unit of work, in seconds, and read a lane's memory off the program."""
    timed = (programs.by(XLA) if isinstance(programs, KernelPrograms) else programs).timed()
    compiled = timed.program.compiled(*timed.arguments)
    memory = compiled.memory_analysis()
    total = memory.temp_size_in_bytes + memory.output_size_in_bytes
    jax.block_until_ready(compiled(*timed.arguments))
    began = time.perf_counter()
    jax.block_until_ready(compiled(*timed.arguments))
    seconds = (time.perf_counter() - began) / timed.units
    return seconds, total // programs.bucket.lanes
