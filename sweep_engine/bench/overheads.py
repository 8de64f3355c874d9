"""What a sweep costs beside its steps: Parquet, the driver, compiling, the first result."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from sweep_engine.backends import Job, LocalBackend, Receipt, Worker
from sweep_engine.backends.backend import OpenWorkers
from sweep_engine.execution import run
from sweep_engine.execution.programs.programs import num_workers
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep

RUNS, STEPS = 16_384, 250


def overheads(*, quick: bool = False) -> dict[str, Any]:
    """Run a whole sweep from an empty compilation cache, and again from a full one.

    Returns:
        For `cold` and `warm`: wall seconds, seconds until the first shard is stored, the share
        of the workers' time that storing takes, and the share in which no shard was worked on
        between the first one's start and the last one's end, its idle tail included;
        compilations a bucket.
    """
    sweep = _sweep(64 if quick else RUNS, 20 if quick else STEPS)
    with tempfile.TemporaryDirectory() as folder, compilation_cache_in(Path(folder, "cache")):
        cold = measure_run(sweep, Path(folder, "cold"))
        warm = measure_run(sweep, Path(folder, "warm"))
    return {
        "workload": f"Boolean 7-40-40-1, minibatch 16, {STEPS:,} steps, 2 widths, parameters kept",
        "workers": num_workers(),
        "cold": cold,
        "warm": warm,
    }


@contextmanager
def compilation_cache_in(folder: Path) -> Iterator[None]:
    """Keep compiled programs in a folder for a while."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # JAX looks at the setting once
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()


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


@dataclass(eq=False)  # each is one worker's
class _Watched:
    """A worker whose shards' starts, ends and storing are noted."""

    worker: Worker
    spans: list[tuple[float, float, float]]

    def __call__(
        self, job: Job, report: Callable[[int], None], should_stop: Callable[[], bool]
    ) -> Receipt:
        began = time.monotonic()
        receipt = self.worker(job, report, should_stop)
        stored = receipt["commit_seconds"]
        self.spans.append((began, time.monotonic(), stored if isinstance(stored, float) else 0.0))
        return receipt


class _Watching(LocalBackend):
    """The local backend, its workers watched."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[tuple[float, float, float]] = []

    def open(self, open_workers: OpenWorkers, *arguments: Any) -> None:
        def watched(*given: Any) -> Sequence[Worker]:
            opened = open_workers(*given)
            one = {id(worker): _Watched(worker, self.spans) for worker in opened}
            return [one[id(worker)] for worker in opened]

        super().open(watched, *arguments)


def measure_run(sweep: Sweep, out: Path) -> dict[str, Any]:
    """Run a sweep, and say what it cost beside its steps."""
    backend = _Watching()
    programs, began = Program.num_compilations, time.monotonic()
    run(sweep, out, make_backend=lambda: backend)
    seconds = time.monotonic() - began
    spans = backend.spans
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
