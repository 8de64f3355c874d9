"""A worker: it does the work of a shard and commits its files."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from sweep_engine.backends import Job, Receipt
from sweep_engine.errors import StorageFailed
from sweep_engine.execution.programs.programs import Programs, recorded_columns
from sweep_engine.execution.worker.compiling import Ahead, compile_seconds
from sweep_engine.execution.worker.concurrency import Concurrency
from sweep_engine.execution.worker.idle import Idle
from sweep_engine.execution.worker.parents import inputs_of
from sweep_engine.observables import distinct, function_ids, observables
from sweep_engine.planning import Plan, Shard
from sweep_engine.solutions import RunStatus, UnitNumber
from sweep_engine.sources import Bucket, Control, Finished, work
from sweep_engine.spec import axis_paths
from sweep_engine.store import (
    Files,
    ShardFiles,
    commit_shard,
    curves_schema,
    runs_schema,
    with_file_metadata,
)
from sweep_engine.store.arrays import numbers, texts
from sweep_engine.store.manifest import Frozen
from sweep_engine.store.rows import (
    axis_columns,
    curves_table,
    params_table,
    runs_table,
    tallies_table,
)

WORTH_SHARDS = 16
"""A plan of more shards for each that is computed at once is long enough to measure how many."""


class ShardWorker:
    """Works on shards of one plan, one or more at a time, into one output directory.

    Args:
        plan: The plan.
        frozen: The choices that decide the bits.
        programs: The plan's programs, on the worker's device.
        files: The output directory.
        concurrency: How many shards are computed at once on the worker's device.
        ahead: Compiles the buckets to come.
    """

    def __init__(
        self,
        plan: Plan,
        frozen: Frozen,
        programs: Programs,
        files: Files,
        concurrency: Concurrency,
        ahead: Ahead,
    ) -> None:
        self._plan = plan
        self._frozen = frozen
        self._programs = programs
        self._files = files
        self._concurrency = concurrency
        self._ahead = ahead
        self._idle = Idle(programs.let_go)
        self._shards = {shard.id: shard for shard in plan.shards}
        self._schema = sweep_runs_schema(plan)
        self._curves_schema = curves_schema(
            recorded_columns(plan.sweep), has_time=plan.sweep.has_time
        )

    def __call__(
        self, job: Job, report: Callable[[int], None], should_stop: Callable[[], bool]
    ) -> Receipt:
        """Do the work of a shard and commit it; see `backends.Worker`."""
        shard = self._shards[job.shard]
        with self._idle.working_on(shard.bucket):
            return self._work(job, shard, Control(report, should_stop))

    def _work(self, job: Job, shard: Shard, control: Control) -> Receipt:
        compiled = compile_seconds()
        with self._programs.on_device():
            self._ahead.prepare(shard.bucket, control.should_stop)
        if len(self._shards) > WORTH_SHARDS * self._concurrency.at_once:
            self._concurrency.measure(partial(self._try, shard.bucket))
        compute = partial(self._compute, job, shard, control)
        bucket, finished, times = self._concurrency.take(compute)
        times["compile_seconds"] = compile_seconds() - compiled
        worked = time.monotonic()
        tables = self._tables(shard, bucket, finished)
        times["at_once"] = self._concurrency.at_once
        receipt = {**_summary(finished), **times, "host": socket.gethostname()}
        placed = ShardFiles(shard=shard.id, source=shard.source, bucket=shard.bucket)
        try:
            committed = commit_shard(self._files, placed, tables, receipt)
        except OSError as error:
            raise StorageFailed.of(error) from error
        return {**committed.entry.receipt, "commit_seconds": time.monotonic() - worked}

    def _try(self, name: str) -> None:
        """Work as a bucket's shards do, for a moment."""
        with self._programs.on_device(), _memory_errors():
            timed = self._programs.of(name).timed()
            jax.block_until_ready(timed.program(*timed.arguments))

    def _compute(
        self, job: Job, shard: Shard, control: Control
    ) -> tuple[Bucket, Finished, dict[str, float]]:
        """Do the work of a shard; also returns when it began, and its seconds but for compiling."""
        pieces = self._plan.pieces(shard)
        with self._programs.on_device(), _memory_errors():
            programs = self._programs.of(shard.bucket)
            bucket = programs.bucket
            inputs = inputs_of(self._plan, shard, job.accepted, self._files, bucket.task)
            compiled, began, started_at = compile_seconds(), time.monotonic(), time.time()
            finished = work(programs, pieces, control, inputs)
            compiling = compile_seconds() - compiled
            seconds = time.monotonic() - began - compiling
            times = {"started_at": started_at, "work_seconds": seconds}
        return bucket, finished, times

    def _tables(self, shard: Shard, bucket: Bucket, finished: Finished) -> dict[str, pa.Table]:
        unique, index = distinct(finished.functions)
        ids: list[str | None] = [*function_ids(unique)]
        row_ids = texts(ids or [None], pa.string()).take(numbers(index, pa.int64()))
        tables = {
            "runs": runs_table(
                self._schema, finished.solutions, finished.columns, row_ids, self._plan.settings
            ),
            "tallies": tallies_table(
                finished.tallies,
                [function_ids(tally.functions) for tally in finished.tallies],
                [(one, _function_id(one)) for one in finished.measured],
                finite=bucket.task.finite,
            ),
        }
        chosen = self._stores_params(finished)
        if chosen.any():
            tables["params"] = params_table(finished.solutions, chosen)
        if finished.curves is not None:
            tables["curves"] = curves_table(self._curves_schema, finished.curves)
        metadata = self._metadata(shard, bucket)
        return {
            name: table.replace_schema_metadata(with_file_metadata(table.schema, metadata).metadata)
            for name, table in tables.items()
        }

    def _stores_params(self, finished: Finished) -> np.ndarray:
        fit = finished.solutions.fit
        choice = self._plan.sweep.store.params
        return {"all": np.ones_like(fit), "fit": fit, "none": np.zeros_like(fit)}[choice]

    def _metadata(self, shard: Shard, bucket: Bucket) -> Mapping[str, Any]:
        frozen, choice = self._frozen, self._frozen.implementation[shard.bucket]
        return {
            "spec_id": self._plan.spec_id,
            "platform": frozen.platform,
            "device_kind": frozen.device_kind,
            "precision": frozen.precision,
            "implementation": choice.name,
            "implementation_reason": choice.reason,
            "lanes": frozen.lanes[shard.bucket],
            "versions": frozen.versions,
            "majority_error": bucket.task.majority_error,
            "layout": bucket.network.layout.describe(),
            **({"labels": bucket.task.labels} if bucket.task.labels else {}),
        }


def sweep_runs_schema(plan: Plan) -> pa.Schema:
    """The schema of `runs`, one for the whole sweep, as shards write it.

    What is observed late is added when all is there (`observing`).
    """
    axes = axis_columns(axis_paths(plan.sweep), list(plan.settings.values()))
    found = [c for o in observables(plan.sweep.observables)
             if not o.is_late for c in o.columns]  # fmt: skip
    # An axis may give a source what fills a column that its plain specification does not.
    own = {name for setting in plan.settings.values() for name in setting.spec.own_columns}
    return runs_schema(axes, found, own)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn a device's lack of memory into the `MemoryError` that `Concurrency` knows."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise MemoryError(str(error)) from error
        raise


def _function_id(measured: UnitNumber) -> str | None:
    return None if measured.function is None else function_ids(measured.function[None])[0]


def _summary(finished: Finished) -> dict[str, Any]:
    statuses, counts = np.unique(finished.solutions.status, return_counts=True)
    return {
        "runs": sum(tally.draws for tally in finished.tallies),
        "fits": sum(tally.fits for tally in finished.tallies),
        "rows": len(finished.solutions),
        **{f"status {RunStatus(s).label}": int(n) for s, n in zip(statuses, counts, strict=True)},
        "steps": int(finished.solutions.steps.sum()),
        "busy_lane_steps": finished.lane_steps.busy,
        "all_lane_steps": finished.lane_steps.all,
    }
