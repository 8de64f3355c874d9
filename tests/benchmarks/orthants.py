"""ln P(fit) of orthants by splitting, against -N ln 2.

    .venv/bin/python tests/benchmarks/orthants.py tests/benchmarks/records/NAME.json

N orthogonal inputs, all labels 1, a Gaussian and a box: every repetition's ln P and the
combined estimate. It records; it asserts nothing.
"""

import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep_engine import Sweep, make_task, open_results, run
from sweep_engine.bench.machine import describe
from sweep_engine.densities.probabilities.log_probability import log_mean_probability
from sweep_engine.tasks import Task
from sweep_engine.tasks.losses import LOGISTIC

SIZES = (32, 100)
LAWS = {"gaussian": {"kind": "gaussian", "std": 1.0}, "box": {"kind": "box", "half_width": 1.0}}
PARTICLES, REPETITIONS = 2048, 4


@dataclass(frozen=True)
class Orthant:
    """One input along each axis, all labelled 1: w fits where all its coordinates are positive."""

    size: int

    def load(self, seed: int) -> Task:
        return make_task((np.eye(self.size), np.ones(self.size)), None, LOGISTIC)


def measure(size: int, law: dict[str, object]) -> dict[str, object]:
    """Estimate ln P(fit) of one orthant."""
    with tempfile.TemporaryDirectory() as folder:
        source = {
            "kind": "splitting",
            "law": law,
            "particles": PARTICLES,
            "repetitions": REPETITIONS,
        }
        sweep = Sweep(
            name=f"orthant-{size}",
            task=Orthant(size),
            model={"kind": "linear", "bias": False},
            sources={"rare": source},
            store={"params": "none"},
        )
        began = time.perf_counter()
        run(sweep, Path(folder, "out"))
        seconds = time.perf_counter() - began
        table = open_results(Path(folder, "out")).tallies().to_pandas()
    rows = table[table.what == "log_p_fit"]
    found = log_mean_probability(rows.value.to_numpy())
    return {
        "truth": round(-size * math.log(2), 4),
        "estimate": round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "repetitions": [round(value, 3) for value in rows.value],
        "stderr_within": [round(value, 3) for value in rows.stderr],
        "particles": PARTICLES,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    record: dict[str, object] = {"machine": describe()}
    for size in SIZES:
        for law, spec in LAWS.items():
            record[f"{law}_{size}"] = measure(size, spec)
            Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
