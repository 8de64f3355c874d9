"""A sweep of 8 buckets from an empty cache: who would wait compiles the next bucket, or waits.

python tests/benchmarks/startup.py [out.json]
"""

import json
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from sweep_engine.bench.machine import describe
from sweep_engine.bench.overheads import compilation_cache_in, measure_run
from sweep_engine.execution.programs.programs import num_workers
from sweep_engine.execution.worker.compiling import Ahead
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources.sizes import RUNS_PER_SHARD

WIDTHS = (8, 12, 16, 20, 24, 28, 32, 40)
REPEATS = 2


def sweep() -> Sweep:
    """Two shards a bucket: both workers meet a bucket at once."""
    source = {
        "kind": "train",
        "batch_size": 16,
        "stop": {"max_steps": 32, "fit": False},
        "runs": 2 * RUNS_PER_SHARD,
    }
    return Sweep.model_validate(
        {
            "name": "bench-startup",
            "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": 64},
            "model": {"kind": "mlp", "widths": [40, 40]},
            "sources": {"sgd": source},
            "axes": {"model.widths": [[width, width] for width in WIDTHS]},
            "observables": ["norms", "function"],
            "store": {"params": "none"},
        }
    )


def waiting() -> AbstractContextManager[Any]:
    """As it would be otherwise: every thread compiles what it calls, or waits for another."""
    return mock.patch.object(Ahead, "prepare")


def main() -> None:
    """Measure in turn, and write the record."""
    ways = {"the next bucket meanwhile": nullcontext, "waiting": waiting}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                compilation_cache_in(Path(folder, "cache")),
                way(),
            ):
                found[name].append(measure_run(sweep(), Path(folder, "out")))
            print(name, found[name][-1], flush=True)
    record = {"machine": describe(), "workers": num_workers(), "ways": found}
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
