"""What a sweep costs beside its steps: Parquet, the driver, compiling, the first result."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from sweep_engine.backends import Backend, Job, LocalBackend, Receipt, Worker
from sweep_engine.execution import run
from sweep_engine.execution.programs import num_workers
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep

RUNS, STEPS = 16_384, 1000


def overheads(*, quick: bool = False) -> dict[str, Any]:
    """Run a whole sweep from an empty compilation cache, and again from a full one.

    Returns:
        For `cold` and `warm`: wall seconds, seconds until the first shard is stored, the share
        of the workers' time that storing takes, and the share in which no shard was worked on
        between the first one's start and the last one's end, its idle tail included;
        compilations a bucket.
    """
    sweep = _sweep(64 if quick else RUNS, 20 if quick else STEPS)
    before = jax.config.values["jax_compilation_cache_dir"]
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", str(Path(folder, "cache")))
        try:
            cold = _measure(sweep, Path(folder, "cold"))
            warm = _measure(sweep, Path(folder, "warm"))
        finally:
            jax.config.update("jax_compilation_cache_dir", before)
    return {
        "workload": f"Boolean 7-40-40-1, minibatch 16, {STEPS:,} steps, 2 widths, parameters kept",
        "workers": num_workers(),
        "cold": cold,
        "warm": warm,
    }


def _sweep(runs: int, steps: int) -> Sweep:
    source = {
        "kind": "train",
        "batch_size": 16,
        "stop": {"max_steps": steps, "fit": False},
        "runs": runs // 4,
    }
    return Sweep.model_validate(
        {
            "name": "bench-overheads",
            "task": {"kind": "boolean", "bits": 7, "target": "x1", "train": 64},
            "model": {"kind": "mlp", "widths": [40, 40]},
            "sources": {"sgd": source},
            "axes": {
                "sources.sgd.optimizer.learning_rate": [0.01, 0.1],
                "model.widths": [[40, 40], [20, 20]],
            },
            "observables": ["norms", "function"],
        }
    )


@dataclass
class _Watched:
    """A worker whose shards' starts, ends and storing are noted."""

    worker: Worker
    spans: list[tuple[float, float, float]] = field(default_factory=list)

    def __call__(
        self, job: Job, report: Callable[[int], None], should_stop: Callable[[], bool]
    ) -> Receipt:
        began = time.monotonic()
        receipt = self.worker(job, report, should_stop)
        stored = receipt["commit_seconds"]
        self.spans.append((began, time.monotonic(), stored if isinstance(stored, float) else 0.0))
        return receipt


def _measure(sweep: Sweep, out: Path) -> dict[str, Any]:
    watched: list[_Watched] = []

    def backend(worker: Worker) -> Backend:
        watched.append(_Watched(worker))
        return LocalBackend(watched[0], num_workers())

    programs, began = Program.num_compilations, time.monotonic()
    run(sweep, out, make_backend=backend)
    seconds = time.monotonic() - began
    spans = watched[0].spans
    worked = sum(end - start for start, end, _ in spans)
    window = max(end for _, end, _ in spans) - min(start for start, _, _ in spans)
    return {
        "seconds": round(seconds, 2),
        "shards": len(spans),
        "seconds_to_first_result": round(min(end for _, end, _ in spans) - began, 2),
        "share_storing": round(sum(stored for _, _, stored in spans) / worked, 4),
        "share_between_shards": round(1 - worked / (window * num_workers()), 4),
        "seconds_before_first_shard": round(min(start for start, _, _ in spans) - began, 2),
        "programs_compiled": Program.num_compilations - programs,
        "buckets": len(plan(sweep).buckets),
    }
