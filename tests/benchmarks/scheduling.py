"""What scheduling costs: empty shards through Ray, and the schedule alone for a large cluster.

    .venv/bin/python tests/benchmarks/scheduling.py tests/benchmarks/records/NAME.json

It records; it asserts nothing but that every shard was done once.
"""

import heapq
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sweep_engine.backends.ray.backend import RayBackend
from sweep_engine.bench.machine import describe
from sweep_engine.execution.driver.loop import Loop
from sweep_engine.execution.driver.progress import Quiet
from sweep_engine.execution.driver.schedule import Schedule
from sweep_engine.planning import Plan, Shard
from sweep_engine.spec import Sweep
from sweep_engine.store import LocalFiles

EMPTY_SHARDS = 10_000
DEVICES, SHARDS, BUCKETS = 1_000, 1_000_000, 200
LOST_IN_THOUSAND, RAISED_IN_THOUSAND, FROZEN_IN_MILLION = 1, 1, 20


def made_up_plan(shards: int, buckets: int) -> Plan:
    """A plan of so many shards of one source, whose runs nobody computes."""
    sweep = Sweep.model_validate(
        {
            "name": "scheduling",
            "task": {"kind": "boolean", "bits": 2, "target": "x1", "train": 2},
            "model": {"kind": "linear"},
            "sources": {"sgd": {"kind": "train", "runs": 1}},
        }
    )
    from sweep_engine.planning import plan

    (setting,) = plan(sweep).settings.values()
    made = tuple(
        Shard(f"s{i}", "sgd", f"b{i * buckets // shards}", ((setting.id, i, i + 1),))
        for i in range(shards)
    )
    names = dict.fromkeys(shard.bucket for shard in made)
    return Plan(sweep, {setting.id: setting}, dict.fromkeys(names, (setting.id,)), made)


def empty(job, report, should_stop):
    """The worker of the first measurement."""
    return {
        "fits": 0,
        "work_seconds": 0.0,
        "compile_seconds": 0.0,
        "busy_lane_steps": 0,
        "all_lane_steps": 0,
    }


def empty_workers():
    """As on a host with one device."""
    return [empty, empty]


def through_ray(shards: int) -> dict[str, object]:
    """Run empty shards through the driver's own loop and a Ray of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(made_up_plan(shards, 20), LocalFiles(folder), {}, (), Quiet(), False)
        backend = RayBackend()
        before = psutil.Process().memory_info().rss
        backend.open(empty_workers)
        while not backend.vacancies():
            backend.wait(0.1)
        began, used = time.perf_counter(), time.process_time()
        summary = loop.run(backend, lambda: False)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        assert summary.is_complete
    return {
        "shards": shards,
        "seconds_with_closing": round(seconds, 2),
        "shards_per_second": round(shards / seconds, 1),
        "driver_cpu_seconds": round(used, 2),
        "driver_memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "of_which_for_the_run_mb": round((psutil.Process().memory_info().rss - before) / 1e6, 1),
    }


def simulation(devices: int, shards: int, buckets: int) -> dict[str, object]:
    """Drive the schedule alone through a made-up cluster whose workers come, go, fail and freeze.

    Shards take 20 s or so each, and a worker's first of a bucket 30 s more. The clock is made up.
    """
    rng = random.Random(0)
    plan = made_up_plan(shards, buckets)
    began = time.perf_counter()
    schedule = Schedule.of(plan, {})
    opened = time.perf_counter() - began
    now, names, done = 0.0, iter(range(10**9)), 0
    ends: list[tuple[float, int, str, str]] = []
    alive = dict.fromkeys((f"w{next(names)}" for _ in range(devices)), 0.0)
    compiled: dict[str, set[str]] = {}
    buckets_of = {shard.id: shard.bucket for shard in plan.shards}
    counts = dict.fromkeys(("jobs", "lost", "raised", "frozen", "overdue", "compilations"), 0)
    longest = 0.0

    def give(worker: str) -> None:
        job = schedule.next_job(worker, now)
        if job is None:
            return
        counts["jobs"] += 1
        bucket, cold = buckets_of[job.shard], 0.0
        if bucket not in compiled.setdefault(worker, set()):
            compiled[worker].add(bucket)
            counts["compilations"] += 1
            cold = 30.0
        free = max(alive[worker], now)
        if rng.random() < FROZEN_IN_MILLION / 1e6:
            counts["frozen"] += 1
            free += 3600.0
        alive[worker] = free + cold + rng.uniform(10.0, 30.0)
        heapq.heappush(ends, (alive[worker], counts["jobs"], worker, job.shard))

    began = time.perf_counter()
    for worker in list(alive) * 2:
        give(worker)
    next_look = 0.0
    while not schedule.is_over:
        event = time.perf_counter()
        now, _, worker, shard = heapq.heappop(ends)
        if worker in alive:
            chance = rng.random()
            if chance < LOST_IN_THOUSAND / 1000:
                counts["lost"] += 1
                schedule.lost(worker)
                del alive[worker]
                worker = f"w{next(names)}"
                alive[worker] = now + 60.0
                give(worker)
            elif chance < (LOST_IN_THOUSAND + RAISED_IN_THOUSAND) / 1000:
                counts["raised"] += 1
                schedule.raised(shard, worker, now)
            else:
                done += schedule.finished(shard, 0, worker, now, seconds=20.0)
            give(worker)
        if now >= next_look:
            counts["overdue"] += len(schedule.overdue(now))
            next_look = now + 0.2
            if len(ends) < 2 * devices:  # places that stayed empty while nothing could start
                for idle in list(alive):
                    if not schedule.shards_of(idle):
                        give(idle)
        longest = max(longest, time.perf_counter() - event)
    seconds = time.perf_counter() - began
    assert len(schedule.done) + len(schedule.failed) == shards
    assert done == len(schedule.done)
    return {
        "devices": devices,
        "shards": shards,
        "buckets": buckets,
        "seconds_to_make_the_schedule": round(opened, 2),
        "seconds": round(seconds, 2),
        "microseconds_per_job": round(1e6 * seconds / counts["jobs"], 1),
        "longest_event_milliseconds": round(1000 * longest, 2),
        "given_up": len(schedule.failed),
        **counts,
        "made_up_hours": round(now / 3600, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


if __name__ == "__main__":
    record = {
        "machine": describe(),
        "empty_shards_through_ray": through_ray(EMPTY_SHARDS),
        "schedule_alone": simulation(DEVICES, SHARDS, BUCKETS),
        "schedule_alone_small": simulation(10, 10_000, 20),
    }
    text = json.dumps(record, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
