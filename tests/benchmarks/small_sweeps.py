"""Small sweeps: the usual width of a block against one that follows the runs, and starting up.

    .venv/bin/python tests/benchmarks/small_sweeps.py tests/benchmarks/records/NAME.json

Each part compares within one process, in turn. Seconds are the processor's, in all threads.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.bench.machine import describe
from sweep_engine.bench.training.engine import Engine, OnePiece
from sweep_engine.bench.training.experiment import WORKLOADS
from sweep_engine.bench.training.problem import Problem, Workload
from sweep_engine.sources import Control, SourcePrograms, open_source, work
from sweep_engine.sources.lane_widths import refilled_lanes
from sweep_engine.spec import Piece, Sweep, settings
from tests.benchmarks.clocks import timed

NETWORKS = (1, 8, 32)
STEPS = 2048
REPEATS = 3
RUNS = 256
FIT = {
    "Boolean 7-40-40-1, minibatch 16, to a fit": {
        "task": {"kind": "boolean", "bits": 7, "target": "x1 ^ (x2 & x3)", "train": 64},
        "model": {"kind": "mlp", "widths": [40, 40]},
        "batch_size": 16,
    },
    "digits 64-32-10, minibatch 32, to a fit": {
        "task": {"kind": "digits", "train": 256},
        "model": {"kind": "mlp", "widths": [32]},
        "batch_size": 32,
    },
}
COMPLETE = """\
name: complete
task: {kind: boolean, bits: 3, target: x1, train: 4}
model: {kind: mlp, widths: [4]}
sources: {sgd: {kind: train, stop: {max_steps: 50}, runs: 8}}
observables: [norms]
"""
ANOTHER_QUESTION = "compare: [{source: sgd, reference: sgd, observable: l2_norm}]\n"


def with_lanes(programs: Any, lanes: int) -> Any:
    """The same programs in blocks of another width, compiled anew."""
    return replace(programs, bucket=replace(programs.bucket, lanes=lanes))


def few_networks(workload: Workload, networks: int) -> dict[str, Any]:
    """Train a few networks in the usual block, in one of their width, and in plain JAX."""
    usual = workload.problem(networks)
    width = usual.programs.bucket.lanes
    narrow = min(width, refilled_lanes(networks))
    ways: dict[str, tuple[Any, Problem]] = {
        "usual": (Engine(), usual),
        "by_runs": (Engine(), replace(usual, programs=with_lanes(usual.programs, narrow))),
        "jit(vmap(scan))": (OnePiece(), usual),
    }
    times = timed(
        {name: way.prepare(problem, STEPS) for name, (way, problem) in ways.items()},
        repeats=REPEATS,
    )
    least = {name: min(each.processor) for name, each in times.items()}
    plain = least["jit(vmap(scan))"]
    return {
        "networks": networks,
        "lanes": {"usual": width, "by_runs": narrow},
        "processor_us_per_network_step": {
            name: round(1e6 * seconds / networks / STEPS, 3) for name, seconds in least.items()
        },
        "over_plain": {name: round(least[name] / plain, 2) for name in ("usual", "by_runs")},
    }


def to_a_fit(parts: dict[str, Any]) -> dict[str, Any]:
    """Train a bucket of runs that stop at very different steps."""
    source = {
        "kind": "train",
        "batch_size": parts["batch_size"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "stop": {"max_steps": 2000},
        "runs": RUNS,
    }
    names = {"task": parts["task"], "model": parts["model"], "sources": {"sgd": source}}
    sweep = Sweep.model_validate({"name": "small", "accept": {"train_error": 0.0}, **names})
    (setting,) = settings(sweep)
    found: dict[str, Any] = {}
    execution = sweep.execution.model_copy(update={"implementation": "xla"})
    for name, runs in (("usual", None), ("by_runs", RUNS)):
        programs = open_source(setting, 0, sweep.folder, (), execution, runs)
        found[name] = measured(programs, Piece(setting, 0, RUNS))
    return found


def measured(programs: SourcePrograms, piece: Piece) -> dict[str, Any]:
    """Do the work of one shard some times, of which the least counts."""
    work(programs, [piece], Control())
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        finished = work(programs, [piece], Control())
        seconds.append(time.process_time() - began)
    steps = finished.solutions.steps
    return {
        "lanes": programs.bucket.lanes,
        "lanes_busy": round(finished.lane_steps.busy / finished.lane_steps.all, 3),
        "processor_seconds": round(min(seconds), 3),
        "steps": {"median": float(np.median(steps)), "most": int(steps.max())},
    }


def starting_up() -> dict[str, float]:
    """Find a sweep complete: told from its ledger, or opened whole for another question."""
    with tempfile.TemporaryDirectory() as folder:
        spec, out = Path(folder, "sweep.yaml"), Path(folder, "out")
        spec.write_text(COMPLETE)
        command("run", spec, "--out", out)
        found = {"complete": least_of("run", spec, "--out", out)}
        found["status"] = least_of("status", out)
        texts = [COMPLETE, COMPLETE + ANOTHER_QUESTION]
        opened = []
        for i in range(REPEATS):
            spec.write_text(texts[(i + 1) % 2])
            opened.append(command("run", spec, "--out", out))
        found["complete, with another question: all is imported and opened"] = min(opened)
    return {name: round(seconds, 2) for name, seconds in found.items()}


def least_of(*words: Any) -> float:
    """The least processor seconds of some calls of a command."""
    return min(command(*words) for _ in range(REPEATS))


def command(*words: Any) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "sweep_engine.cli", *map(str, words)]
    subprocess.run(program, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write(record: dict[str, Any]) -> None:
    """Print what is known so far, and keep it."""
    text = json.dumps(record, indent=2)
    print(text, flush=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")


def main() -> None:
    """Measure, and write the record after each part."""
    note = "by processor time, least of several in turn"
    record: dict[str, Any] = {"machine": describe(), "note": note}
    bucket = record[f"a_bucket_of_{RUNS}_runs"] = {}
    for name, parts in FIT.items():
        bucket[name] = to_a_fit(parts)
        write(record)
    record["start_up_processor_seconds"] = starting_up()
    write(record)
    few = record["few_networks"] = {}
    for workload in WORKLOADS[:2]:
        few[workload.name] = []
        for networks in NETWORKS:
            few[workload.name].append(few_networks(workload, networks))
            write(record)
    record["machine"]["load_average_at_the_end"] = round(os.getloadavg()[0], 2)
    write(record)


if __name__ == "__main__":
    main()
