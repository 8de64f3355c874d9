"""The experiments of the benchmark, and the record that they leave."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep_engine.bench.lanes import width_curve
from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.overheads import overheads
from sweep_engine.bench.prior import draw_rates
from sweep_engine.bench.refill import refill_gain
from sweep_engine.bench.sources import source_rates
from sweep_engine.bench.tiny import tiny_rates
from sweep_engine.bench.training.experiment import training_rates
from sweep_engine.bench.training.show import plot, table

EXPERIMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "training": training_rates,
    "refill": refill_gain,
    "prior": draw_rates,
    "lanes": width_curve,
    "overheads": overheads,
    "sources": source_rates,
    "tiny": tiny_rates,
}
"""By name; each takes `quick`, which makes it small enough for a test, and gives plain JSON."""


def bench(
    names: Sequence[str] = (), *, out: Path | None = None, quick: bool = False
) -> dict[str, Any]:
    """Run experiments and write their record.

    Args:
        names: Which; all when empty.
        out: Where the JSON record goes.
        quick: Small enough for a test; its rates mean nothing.
    """
    record: dict[str, Any] = {"machine": describe() | limits(), "quick": quick}
    for name in names or EXPERIMENTS:
        began = time.perf_counter()
        found = EXPERIMENTS[name](quick=quick)
        record[name] = found | {"seconds": round(time.perf_counter() - began, 1)}
        if out is not None:
            out.write_text(json.dumps(record, indent=2) + "\n")
    if out is not None and "training" in record:
        print(table(record["training"]), flush=True)
        plot(record["training"], out.with_suffix(".png"))
    return record
