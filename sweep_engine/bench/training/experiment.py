"""The experiment `training`: gate, then interleaved times, over the number of networks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from sweep_engine.bench.machine import limits
from sweep_engine.bench.timing import REPEATS, WARM_UPS, interleaved
from sweep_engine.bench.training.contender import Contender
from sweep_engine.bench.training.engine import (
    Engine,
    Kernel,
    OnePiece,
    Tiles,
    can_build_kernels,
)
from sweep_engine.bench.training.networks import MNIST1D_CNN, PlainMlp, mnist1d_module
from sweep_engine.bench.training.problem import Problem, Workload
from sweep_engine.errors import SweepEngineError
from sweep_engine.tasks.mnist1d import Signals

YARDSTICK = Workload(
    "Boolean 7-40-40-1, full batch of 128",
    {"kind": "boolean", "bits": 7, "target": "x1 ^ (x2 & x3)", "train": 128},
    {"kind": "mlp", "widths": [40, 40]},
    PlainMlp((40, 40), 1),
    minibatch=None,
    steps=64,
    flops=128 * (4 * 7 * 40 + 6 * (40 * 40 + 40)),
)
WORKLOADS = (
    YARDSTICK,
    Workload(
        "digits 64-32-10, minibatch 32",
        {"kind": "digits"},
        {"kind": "mlp", "widths": [32]},
        PlainMlp((32,), 10),
        minibatch=32,
        steps=512,
        flops=32 * (4 * 64 * 32 + 6 * 32 * 10),
    ),
    replace(YARDSTICK, name=f"{YARDSTICK.name}, Adam", optimizer="adam"),
    Workload(
        "CNN of MNIST-1D on signals of its shape, minibatch 32",
        Signals(train=512),  # runs are short: checks on all of 4,000 would be half of the work
        MNIST1D_CNN,
        mnist1d_module(),
        minibatch=32,
        steps=256,
        flops=32 * (4 * 19 * 5 * 25 + 6 * ((10 + 5) * 3 * 25 * 25 + 125 * 10)),
    ),
)

CURVE = (1, 32, 256, 1024, 4096, 16_384)
NETWORKS = (CURVE, CURVE, (1024,), CURVE)
MOST_ON_A_CPU = (16_384, 16_384, 1024, 256)
"""By workload; on a CPU more networks of the last would take minutes a call."""

MAIN = 1024
"""The number of networks that claims are about: longer calls, and more of them."""

MAIN_SECONDS, SECONDS = 1.0, 0.4
"""About so long is a timed call, at `MAIN` networks and elsewhere."""

GATE_NETWORKS, GATE_STEPS, GATE_TOLERANCE = 8, 20, 1e-4
"""Losses of so many networks, after so many steps, agree to this share; float32 rounds to 1e-7 a
step."""

BUDGET_SECONDS = 1500.0
"""No further point is begun after so long, and none takes more than a few minutes on two cores;
the record lists what was left out."""

MAX_STEPS = 512
MAX_CALL_SECONDS = 8.0
"""A contender whose single step takes longer stops at that number of networks: the record says
so, and it is given no more."""


NO_MEMORY = ("RESOURCE_EXHAUSTED", "can't allocate memory", "out of memory")
"""What XLA and PyTorch say then."""


class TooMany(SweepEngineError):
    """A contender cannot train so many networks in reasonable time or memory."""


class Disagreement(SweepEngineError):
    """Contenders do not compute the same training."""


def training_rates(
    *, quick: bool = False, points: Sequence[tuple[Workload, int]] | None = None
) -> dict[str, Any]:
    """Train the same networks in every way, on this machine, in one go.

    Args:
        quick: To try it out: few networks, short calls.
        points: The workloads, and how many networks of each; all that claims are about where
            it is left out.

    Returns:
        By workload: `gate`, the greatest relative difference of losses from the engine's;
        and by number of networks, for each contender: network-steps a second with their
        range, percent of the measured product limit, seconds of the first call (compilation
        included), and the engine's rate over the contender's, None where the engine has
        stopped; and `stopped`: the contenders for which some number of networks was too
        many, and why.
    """
    found, skipped = contenders()
    began = time.perf_counter()
    workloads: dict[str, dict[str, Any]] = {}
    left_out = []
    for workload, networks in points or _points(quick=quick):
        if time.perf_counter() - began > BUDGET_SECONDS:
            left_out.append(f"{workload.name}, {networks:,} networks")
            continue
        if workload.name not in workloads:
            workloads[workload.name] = {
                "gate": gate(workload, found),
                "flops_per_network_step": workload.flops,
                "networks": {},
                "stopped": {},
            }
        one = workloads[workload.name]
        point = _point(workload.problem(networks), found, one["stopped"], quick=quick)
        one["networks"][str(networks)] = point
    for one in workloads.values():
        one["networks"] = dict(sorted(one["networks"].items(), key=lambda pair: int(pair[0])))
    return {
        "contenders": [c.name for c in found],
        "skipped": skipped,
        "left_out_for_time": left_out,
        "note": f"Median, least and most of {REPEATS} calls of {MAIN_SECONDS:g} s or more after "
        f"{WARM_UPS} to warm up at {MAIN:,} networks, elsewhere of 3 of {SECONDS:g} s after 1. "
        "The engine's time holds drawing, minibatch orders, checks and observables of its runs; "
        "the others are given initial parameters and indices. PyTorch one at a time is measured "
        "on up to "
        f"{min((c.most_networks for c in found if c.most_networks), default=0)} networks, in "
        "one process.",
        "workloads": workloads,
    }


def _points(*, quick: bool) -> list[tuple[Workload, int]]:
    """Workloads and numbers of networks: those that claims are about first."""
    if quick:
        return [(WORKLOADS[0], 4)]
    on_cpu = jax.default_backend() == "cpu"
    each = [
        (workload, n)
        for workload, numbers, most in zip(WORKLOADS, NETWORKS, MOST_ON_A_CPU, strict=True)
        for n in numbers
        if n <= most or not on_cpu
    ]
    return sorted(each, key=lambda point: point[1] != MAIN)


def contenders() -> tuple[list[Contender], list[str]]:
    """Those that can run here, and a line for those that cannot."""
    found: list[Contender] = [Engine()]
    skipped = []
    if not can_build_kernels():
        skipped.append("The CPU kernel needs a CPU and a C++ compiler: it is SKIPPED")
    else:
        found.append(Kernel())
    found += [OnePiece(), Tiles()]
    if find_spec("torch") is None:
        skipped.append(
            "PyTorch is not installed: its contenders are SKIPPED (pip install '.[bench]')"
        )
    else:
        from sweep_engine.bench.training.pytorch import FuncVmap, OneAtATime, Stacked

        found += [OneAtATime(), FuncVmap(), Stacked()]
    for line in skipped:
        print(line, flush=True)
    return found, skipped


def gate(
    workload: Workload, found: Sequence[Contender], steps: int = GATE_STEPS
) -> dict[str, float]:
    """Check that all contenders compute the same training.

    Returns:
        The greatest relative difference of a loss from the engine's, the first contender.

    Raises:
        Disagreement: it is larger than `GATE_TOLERANCE`.
    """
    problem = workload.problem(GATE_NETWORKS)
    found = [c for c in found if c.suits(problem)]
    truth, *others = [c.prepare(problem, steps)()() for c in found]
    gaps = {
        contender.name: float(np.max(np.abs(losses / truth[: len(losses)] - 1)))
        for contender, losses in zip(found[1:], others, strict=True)
    }
    for name, gap in gaps.items():
        if not gap <= GATE_TOLERANCE:
            raise Disagreement(
                f"{workload.name}: losses of {name} differ from the engine's by {gap:.2g} of "
                f"their value after {steps} steps, and at most {GATE_TOLERANCE:g} is rounding"
            )
    return gaps


@dataclass(frozen=True)
class _Entry:
    """A contender made ready for calls of about the wanted length."""

    contender: Contender
    run: Any
    networks: int
    steps: int
    cold: float


def _point(
    problem: Problem,
    found: Sequence[Contender],
    stopped: dict[str, dict[str, Any]],
    *,
    quick: bool,
) -> dict[str, Any]:
    is_main = problem.networks == MAIN
    seconds = 0.02 if quick else MAIN_SECONDS if is_main else SECONDS
    ready = _all_ready(problem, [c for c in found if c.suits(problem)], stopped, seconds)
    limit = limits()["product_gflops"]
    times = interleaved(
        {entry.contender.name: entry.run for entry in ready},
        warm_ups=WARM_UPS if is_main else 1,
        repeats=1 if quick else REPEATS if is_main else 3,
    )
    rates = {e.contender.name: times[e.contender.name].rate(e.networks * e.steps) for e in ready}
    engine = rates.get(found[0].name)
    print(_line(problem, rates), flush=True)
    return {"product_gflops": limit} | {
        e.contender.name: {
            "network_steps_per_second": rate,
            "gflops": round(gflops, 1),
            "percent_of_limit": round(100 * gflops / limit, 1),
            "engine_over_this": engine and round(engine["median"] / rate["median"], 2),
            "processor_us_per_network_step": round(
                1e6 * times[e.contender.name].processor / (e.networks * e.steps), 2
            ),
            "cold_seconds": round(e.cold, 2),
            "networks": e.networks,
            "steps": e.steps,
        }
        for e in ready
        for rate in [rates[e.contender.name]]
        for gflops in [rate["median"] * problem.workload.flops / 1e9]
    }


def _all_ready(
    problem: Problem,
    found: Sequence[Contender],
    stopped: dict[str, dict[str, Any]],
    seconds: float,
) -> list[_Entry]:
    """Make those ready that can train so many networks, and note which cannot and why."""
    ready = []
    for contender in found:
        before = stopped.get(contender.name)
        if before is not None and problem.networks >= before["networks"]:
            continue
        try:
            ready.append(_ready(problem, contender, seconds))
        except TooMany as error:
            why = {"networks": problem.networks, "why": str(error)}
            stopped[contender.name] = why
            print(f"{contender.name} stops at {problem.networks:,} networks: {error}", flush=True)
    return ready


def _ready(problem: Problem, contender: Contender, seconds: float) -> _Entry:
    """Find how many steps fill a call.

    Raises:
        TooMany: one step takes too long, or the memory does not suffice.
    """
    try:
        return _filled(problem, contender, seconds)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
            raise TooMany("the memory does not suffice") from error
        raise


def _filled(problem: Problem, contender: Contender, seconds: float) -> _Entry:
    networks = min(problem.networks, contender.most_networks or problem.networks)
    began = time.perf_counter()
    run = contender.prepare(problem, 1)
    run()
    cold = time.perf_counter() - began
    steps, each = 1, _seconds(run)
    if each > MAX_CALL_SECONDS:
        raise TooMany(f"one step takes {each:.1f} s, more than {MAX_CALL_SECONDS:g}")
    while each < seconds / 4 and steps < MAX_STEPS:
        steps = min(MAX_STEPS, 8 * steps)
        run = contender.prepare(problem, steps)
        each = _seconds(run)
    wanted = int(np.clip(2 ** round(np.log2(steps * seconds / each)), 1, MAX_STEPS))
    steps = max(wanted, contender.least_steps(problem.workload))
    return _Entry(contender, contender.prepare(problem, steps), networks, steps, cold)


def _seconds(run: Any) -> float:
    run()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _line(problem: Problem, rates: Mapping[str, Mapping[str, float]]) -> str:
    each = ", ".join(f"{name} {rate['median']:,.0f}" for name, rate in rates.items())
    return f"{problem.workload.name}, {problem.networks:,} networks: {each} network-steps/s"
