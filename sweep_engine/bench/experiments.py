"""The experiments of the benchmark, and the record that they leave."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sweep_engine.bench.lanes import width_curve
from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.overheads import overheads
from sweep_engine.bench.prior import draw_rates
from sweep_engine.bench.refill import refill_gain
from sweep_engine.bench.results import results_rates
from sweep_engine.bench.small import small_sweeps
from sweep_engine.bench.sources import source_rates
from sweep_engine.bench.tiny import tiny_rates
from sweep_engine.bench.training.experiment import training_rates
from sweep_engine.bench.training.show import plot, table


class Experiment(NamedTuple):
    """Say what an experiment measures, and how long that takes.

    Attributes:
        measure: Takes `quick`, which makes it small enough for a test, and gives plain JSON.
        what: In the words of `bench --help`.
        minutes: On two quiet cores, with PyTorch.
    """

    measure: Callable[..., dict[str, Any]]
    what: str
    minutes: float


EXPERIMENTS = {
    "training": Experiment(training_rates, "networks trained in every way one would think of", 22),
    "refill": Experiment(refill_gain, "lanes refilled as runs end", 1),
    "prior": Experiment(draw_rates, "prior draws", 0.5),
    "lanes": Experiment(width_curve, "widths of a block", 7),
    "overheads": Experiment(overheads, "what tables and the driver cost", 0.5),
    "sources": Experiment(source_rates, "every kind of source", 5.5),
    "tiny": Experiment(tiny_rates, "tiny networks by the hundred thousand", 1.5),
    "small": Experiment(small_sweeps, "few networks, and few runs to a fit", 2),
    "results": Experiment(results_rates, "a million rows compared and reported", 0.5),
}
"""Lists them by name, in their order."""


def bench(
    names: Sequence[str] = (), *, out: Path | None = None, quick: bool = False
) -> dict[str, Any]:
    """Run experiments, say what is under way and how long it takes, and write their record.

    Args:
        names: Which; all when empty.
        out: Where the JSON record goes, after each experiment.
        quick: Small enough for a test; its rates mean nothing.
    """
    record: dict[str, Any] = {"machine": describe() | limits(), "quick": quick}
    chosen = list(names or EXPERIMENTS)
    for i, name in enumerate(chosen):
        left = sum(EXPERIMENTS[later].minutes for later in chosen[i:])
        time_left = "" if quick else f"; {left:g} minutes are left, on two quiet cores"
        print(f"{name}: {EXPERIMENTS[name].what}{time_left}", flush=True)
        began = time.perf_counter()
        found = EXPERIMENTS[name].measure(quick=quick)
        record[name] = found | {"seconds": round(time.perf_counter() - began, 1)}
        if out is not None:
            out.write_text(json.dumps(record, indent=2) + "\n")
    if out is not None and "training" in record:
        print(table(record["training"]), flush=True)
        plot(record["training"], out.with_suffix(".png"))
    return record
