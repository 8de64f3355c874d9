"""Stopping times that are spread widely: what it is worth to refill lanes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sweep_engine.bench.shards import work_on_shards
from sweep_engine.bench.timing import interleaved
from sweep_engine.sources import Finished, SourcePrograms, open_source
from sweep_engine.spec import Piece, Setting, Sweep, settings

RATES = {"log_uniform": [0.01, 1.0], "points": 8}
RUNS = 256


def refill_gain(*, quick: bool = False) -> dict[str, Any]:
    """Train to zero train error over learning rates, with refill and without.

    Full speed is that of runs that all take as many steps, the mean. Without refill, blocks
    of K runs of all rates wait for their slowest.

    Returns:
        `spread`, the 99th over the first percentile of the stopping times; the useful steps;
        seconds at full speed, as it was, and without refill, and their ratios; busy lanes.
    """
    most = 50 if quick else 200_000
    programs, found = _open({"max_steps": most})
    runs = 2 if quick else RUNS
    pieces = [Piece(setting, 0, runs) for setting in found]
    lanes = programs.bucket.lanes
    mixed = [Piece(setting, i, i + 1) for i in range(runs) for setting in found]
    last: dict[str, list[Finished]] = {}

    def call(name: str, programs: SourcePrograms, chosen: Sequence[Piece], size: int) -> None:
        last[name] = work_on_shards(programs, chosen, size)

    work_on_shards(programs, pieces[:1])
    steps = _steps(work_on_shards(programs, pieces))
    mean = max(1, int(steps.mean()))
    endless, never_stop = _open({"fit": False, "max_steps": mean})
    full = [Piece(setting, 0, runs) for setting in never_stop]
    work_on_shards(endless, full[:1])
    times = interleaved(
        {
            "full_speed": lambda: call("full_speed", endless, full, len(steps)),
            "refill": lambda: call("refill", programs, pieces, len(steps)),
            "no_refill": lambda: call("no_refill", programs, mixed, lanes),
        },
        warm_ups=0,
        repeats=1 if quick else 2,
    )
    share = float(steps.sum() / _steps(last["full_speed"]).sum())
    useful, processor = times["full_speed"].median * share, times["full_speed"].processor * share
    low, high = np.quantile(steps, [0.01, 0.99])
    return {
        "workload": "Boolean 7-40-40-1, 64 training examples, minibatch 16, SGD to zero train "
        f"error, {len(steps):,} runs over 8 learning rates",
        "lanes": lanes,
        "spread": round(float(high / max(low, 1)), 1),
        "steps": {"least": int(steps.min()), "median": float(np.median(steps)),
                  "most": int(steps.max()), "sum": int(steps.sum())},
        "seconds_at_full_speed": round(useful, 3),
        "seconds_with_refill": round(times["refill"].median, 3),
        "over_full_speed": round(times["refill"].median / useful, 3),
        "processor_over_full_speed": round(times["refill"].processor / processor, 3),
        "busy_lanes": round(_busy(last["refill"]), 3),
        "no_refill": {
            "seconds": round(times["no_refill"].median, 3),
            "over_full_speed": round(times["no_refill"].median / useful, 2),
            "processor_over_full_speed": round(times["no_refill"].processor / processor, 2),
            "busy_lanes": round(_busy(last["no_refill"]), 3),
        },
        "one_vmap_of_all": {"over_full_speed": round(float(steps.max() / steps.mean()), 1)},
    }  # fmt: skip


def _open(stop: dict[str, Any]) -> tuple[SourcePrograms, list[Setting]]:
    source = {
        "kind": "train",
        "init": {"kind": "lecun_normal"},
        "optimizer": {"kind": "sgd"},
        "batch_size": 16,
        "stop": stop,
        "runs": RUNS,
    }
    sweep = Sweep.model_validate(
        {
            "name": "bench-refill",
            "task": {"kind": "boolean", "bits": 7, "target": "x1 ^ x2", "train": 64},
            "model": {"kind": "mlp", "widths": [40, 40]},
            "sources": {"sgd": source},
            "axes": {"sources.sgd.optimizer.learning_rate": RATES},
        }
    )
    found = settings(sweep)
    return open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution), list(found)


def _steps(done: Sequence[Finished]) -> np.ndarray:
    return np.concatenate([finished.solutions.steps for finished in done])


def _busy(done: Sequence[Finished]) -> float:
    busy, every = (sum(getattr(f.lane_steps, name) for f in done) for name in ("busy", "all"))
    return busy / every
