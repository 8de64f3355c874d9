"""Optimisers leaf by leaf, as the engine has them, beside the same of one flat vector.

python tests/benchmarks/flat_updates.py [out.json]
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import jax

from sweep_engine.bench.lanes import BOOLEAN, DIGITS, MINIBATCH, TRAIN
from sweep_engine.bench.machine import describe
from sweep_engine.bench.timing import interleaved
from sweep_engine.models import Layout, build
from sweep_engine.sources import open_source
from sweep_engine.sources.train.optimizers import STEPPERS, GradientStepper
from sweep_engine.spec import Setting, Sweep, settings
from sweep_engine.tasks import load_task

OPTIMIZERS = {
    "momentum": {"kind": "sgd", "momentum": 0.9},
    "adam": {"kind": "adam"},
    "rmsprop": {"kind": "rmsprop"},
}
WORKLOADS = {
    "Boolean 7-40-40-1, full batch": (BOOLEAN, [40, 40], TRAIN),
    "digits 64-32-10, minibatch 32": (DIGITS, [32], MINIBATCH),
}


@contextmanager
def flat(layout: Layout) -> Iterator[None]:
    """Let optimisers step one vector a network: state and update are flat."""

    class Flat(GradientStepper):
        def initial(self, spec: Any, params: Any) -> Any:
            return self.transformation(spec, 0).init(layout.flatten(params))

        def update(self, spec: Any, objective: Any, params: Any, state: Any, context: Any) -> Any:
            gradient = layout.flatten(jax.grad(objective)(params))
            theta = layout.flatten(params)
            step, state = self.transformation(spec, context.step).update(gradient, state, theta)
            return layout.unflatten(theta + step), state

    steppers = {
        kind: Flat(each.direction, each.gradient, each.noise)
        if isinstance(each, GradientStepper)
        else each
        for kind, each in STEPPERS.items()
    }
    with mock.patch.dict(STEPPERS, steppers):
        yield


def _prepared(setting: Setting, sweep: Sweep) -> tuple[Callable[[], object], int]:
    timed = open_source(setting, 0, sweep.folder, (), sweep.execution).timed()
    program = timed.program.compiled(*timed.arguments)
    return partial(_call, program, timed.arguments), timed.units


def _call(program: Any, arguments: tuple[Any, ...]) -> None:
    jax.block_until_ready(program(*arguments))


def measure(workload: str, optimizer: str) -> dict[str, float]:
    """Time both, in processor microseconds a step of a run."""
    task, widths, source = WORKLOADS[workload]
    sweep = Sweep.model_validate(
        {
            "name": "flat-updates",
            "task": task,
            "model": {"kind": "mlp", "widths": widths},
            "sources": {"source": source | {"optimizer": OPTIMIZERS[optimizer]}},
        }
    )
    (setting,) = settings(sweep)
    data = load_task(setting.task, 0, sweep.folder)
    layout = build(setting.model, data.input_shape, data.loss.num_outputs()).layout
    by_leaf, units = _prepared(setting, sweep)
    with flat(layout):
        in_one, _ = _prepared(setting, sweep)
    times = interleaved({"leaf by leaf": by_leaf, "flat": in_one}, repeats=9)
    return {name: round(1e6 * time.processor / units, 2) for name, time in times.items()}


def main() -> None:
    """Measure, and write the record."""
    found = {w: {o: measure(w, o) for o in OPTIMIZERS} for w in WORKLOADS}
    text = json.dumps({"machine": describe(), "processor_us_per_step": found}, indent=2) + "\n"
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
