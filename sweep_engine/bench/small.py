"""Measure small sweeps: few networks beside plain JAX, and runs that stop at different steps."""

from dataclasses import replace
from typing import Any

import numpy as np

from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training.engine import Engine, Kernel, OnePiece, can_build_kernels
from sweep_engine.bench.training.experiment import WORKLOADS
from sweep_engine.bench.training.problem import Problem, Workload
from sweep_engine.sources import Control, SourcePrograms, open_source, work
from sweep_engine.sources.lane_widths import refilled_lanes
from sweep_engine.spec import Piece, Sweep, settings

NETWORKS, STEPS = (1, 8, 32), 2048
RUNS, MAX_STEPS = 256, 2000
TO_A_FIT: dict[str, dict[str, Any]] = {
    "Boolean 7-40-40-1, minibatch 16": {
        "task": {"kind": "boolean", "bits": 7, "target": "x1 ^ (x2 & x3)", "train": 64},
        "model": {"kind": "mlp", "widths": [40, 40]},
        "batch_size": 16,
    },
    "digits 64-32-10, minibatch 32": {
        "task": {"kind": "digits", "train": 256},
        "model": {"kind": "mlp", "widths": [32]},
        "batch_size": 32,
    },
}


def small_sweeps(*, quick: bool = False) -> dict[str, Any]:
    """Measure what few runs cost in blocks that follow their number, on all cores.

    Returns:
        For each workload and number of networks the processor's microseconds a network-step: by
        XLA in blocks of the usual width and of the runs' number, by the CPU kernel where it can
        be built, and in one piece of plain JAX, which is spared drawing, minibatch orders, checks
        and observing. For a bucket of runs to a fit, in both widths, how busy the lanes are and
        processor seconds.
    """
    problems = dict(list(TO_A_FIT.items())[: 1 if quick else None])
    return {
        "note": "by processor time, median of several in turn",
        "few_networks": {
            workload.name: [_few(workload, n, quick) for n in (NETWORKS[:1] if quick else NETWORKS)]
            for workload in WORKLOADS[: 1 if quick else 2]
        },
        f"a_bucket_of_{RUNS}_runs_to_a_fit": {
            name: _to_a_fit(name, parts, quick) for name, parts in problems.items()
        },
    }


def _few(workload: Workload, networks: int, quick: bool) -> dict[str, Any]:
    usual, steps = workload.problem(networks), 2 if quick else STEPS
    width = usual.programs.bucket.lanes
    narrow = min(width, refilled_lanes(networks))
    by_runs = replace(usual, programs=_with_lanes(usual.programs, narrow))
    ways: dict[str, tuple[Engine | OnePiece, Problem]] = {
        "usual": (Engine(), usual),
        "by_runs": (Engine(), by_runs),
        "jit(vmap(scan))": (OnePiece(), usual),
    }
    if can_build_kernels():
        ways["kernel"] = (Kernel(), by_runs)
    runs = {name: way.prepare(problem, steps) for name, (way, problem) in ways.items()}
    times = interleaved(runs, repeats=1 if quick else 3)
    plain = times["jit(vmap(scan))"].processor
    over = {
        name: round(times[name].processor / plain, 2) for name in ways if name != "jit(vmap(scan))"
    }
    print(f"{workload.name}: {networks} networks, times plain JAX: {over}", flush=True)
    return {
        "networks": networks,
        "lanes": {"usual": width, "by_runs": narrow},
        "processor_us_per_network_step": {
            name: round(1e6 * time.processor / networks / steps, 3) for name, time in times.items()
        },
        "over_plain": over,
    }


def _with_lanes(programs: Any, lanes: int) -> Any:
    """Give the same programs in blocks of another width, compiled anew."""
    return replace(programs, bucket=replace(programs.bucket, lanes=lanes))


def _to_a_fit(name: str, parts: dict[str, Any], quick: bool) -> dict[str, Any]:
    source = {
        "kind": "train",
        "batch_size": parts["batch_size"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "stop": {"max_steps": 2 if quick else MAX_STEPS},
        "runs": RUNS,
    }
    sweep = Sweep.model_validate(
        {
            "name": "small",
            "task": parts["task"],
            "model": parts["model"],
            "sources": {"sgd": source},
            "accept": {"train_error": 0.0},
            "execution": {"implementation": "xla"},
        }
    )
    (setting,) = settings(sweep)
    piece, found = Piece(setting, 0, 8 if quick else RUNS), {}
    for width, runs in (("usual", None), ("by_runs", RUNS)):
        programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution, runs)
        found[width] = _measured(programs, piece, quick)
    busy = ", ".join(f"{width} {one['lanes_busy']}" for width, one in found.items())
    print(f"{name}: share of lanes busy, {len(piece)} runs to a fit: {busy}", flush=True)
    return found


def _measured(programs: SourcePrograms, piece: Piece, quick: bool) -> dict[str, Any]:
    """Do the work of one shard, on one thread of the host."""
    finished = work(programs, [piece], Control())
    calls = {"shard": lambda: work(programs, [piece], Control())}
    timing = interleaved(calls, warm_ups=0, repeats=1 if quick else 3)["shard"]
    steps = finished.solutions.steps
    return {
        "lanes": programs.bucket.lanes,
        "lanes_busy": round(finished.lane_steps.busy / finished.lane_steps.all, 3),
        "processor_seconds": round(timing.processor, 3),
        "steps": {"median": float(np.median(steps)), "most": int(steps.max())},
    }
