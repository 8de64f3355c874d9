"""What the width K of a block is worth: processor time over widths, models and sources."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax

from sweep_engine.bench.timing import interleaved
from sweep_engine.bench.training.networks import MNIST1D_CNN
from sweep_engine.execution.programs.programs import num_workers
from sweep_engine.sources import open_source
from sweep_engine.spec import Sweep, settings
from sweep_engine.tasks.mnist1d import Signals

WIDTHS = (4, 8, 16, 32, 64, 128, 256)

TRAIN: dict[str, Any] = {
    "kind": "train",
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "stop": {"fit": False, "check_every": 10},
    "runs": 1,
}
MINIBATCH = TRAIN | {"batch_size": 32, "stop": {"fit": False}}
PRIOR: dict[str, Any] = {"kind": "prior", "law": {"kind": "fan_in"}, "draws": 1}
BOOLEAN: dict[str, Any] = {"kind": "boolean", "bits": 7, "target": "x1", "train": 128}
DIGITS: dict[str, Any] = {"kind": "digits"}


def _mlp(*widths: int) -> dict[str, Any]:
    return {"kind": "mlp", "widths": list(widths)}


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "train 7-10-10-1 full batch": (BOOLEAN, _mlp(10, 10), TRAIN),
    "train 7-40-40-1 full batch": (BOOLEAN, _mlp(40, 40), TRAIN),
    "train 7-100-100-1 full batch": (BOOLEAN, _mlp(100, 100), TRAIN),
    "train 64-32-10 minibatch 32": (DIGITS, _mlp(32), MINIBATCH),
    "train 64-128-10 minibatch 32": (DIGITS, _mlp(128), MINIBATCH),
    "train CNN of MNIST-1D minibatch 32": (Signals(train=512), MNIST1D_CNN, MINIBATCH),
    "prior 7-40-40-1": (BOOLEAN, _mlp(40, 40), PRIOR),
    "prior 7-100-100-1": (BOOLEAN, _mlp(100, 100), PRIOR),
}
"""Task, model and source."""


def width_curve(*, quick: bool = False) -> dict[str, Any]:
    """Measure what a unit of work costs over the width of a block.

    Returns:
        By case: processor microseconds a step of a run (or a draw) by K, the K that the rule
        picks, and what that costs over the best.
    """
    cases = dict(list(CASES.items())[: 1 if quick else None])
    found = {}
    for name, case in cases.items():
        found[name] = _curve(*case, quick=quick)
        print(f"{name}: {found[name]['processor_us_per_unit']} processor us by width", flush=True)
    return found


def _curve(task: Any, model: Any, source: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    calls, units = {}, {}
    for lanes in (None, *(WIDTHS[:2] if quick else WIDTHS)):
        sweep = Sweep.model_validate(
            {
                "name": "bench-lanes",
                "task": task,
                "model": model,
                "sources": {"source": source},
                "execution": {"lanes": lanes},
            }
        )
        (setting,) = settings(sweep)
        programs = open_source(setting, 0, sweep.folder, (), sweep.execution)
        if lanes is None:
            chosen = programs.bucket.lanes
            continue
        timed = programs.timed()
        executable = timed.program.compiled(*timed.arguments)
        calls[str(lanes)] = partial(_call, executable, timed.arguments)
        units[str(lanes)] = timed.units * num_workers()
    times = interleaved(calls, warm_ups=1, repeats=1 if quick else 3)
    cost = {name: round(1e6 * times[name].processor / units[name], 2) for name in calls}
    best = min(cost.values())
    return {
        "processor_us_per_unit": cost,
        "rule": chosen,
        "rule_over_best": round(cost[str(chosen)] / best, 2) if str(chosen) in cost else None,
    }


def _call(executable: Any, arguments: tuple[Any, ...]) -> None:
    """As many at once as in a sweep: what one leaves in the cache, another may push out."""
    with ThreadPoolExecutor(num_workers()) as pool:
        begun = [pool.submit(executable, *arguments) for _ in range(num_workers())]
        jax.block_until_ready([one.result() for one in begun])
