"""What gradient flow costs beside gradient descent: 4,096 runs in one block, to the same time.

    python -m tests.benchmarks.flow     writes records/flow_2_cores.json

The scalar factorisation ab = 1 and a deep linear network of three layers, from the same starts:
the flow at its usual tolerance, and full-batch gradient descent of learning rate 0.05. A step of
the flow's solver takes six gradients. The median of five rounds; all that a run costs but Parquet.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from sweep_engine.bench.machine import describe
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.spec import Piece, Sweep, settings

RECORD = Path(__file__).parent / "records" / "flow_2_cores.json"
RUNS, ROUNDS, TIME, RATE = 4096, 5, 5.0, 0.05
PROBLEMS = {
    "scalar": {
        "task": {"kind": "factorisation"},
        "model": {"kind": "scalar_factorisation"},
        "accept": {"max_residual": 1e-4},
    },
    "linear_3_layers": {
        "task": {"kind": "regression", "examples": 20, "inputs": 5},
        "model": {"kind": "mlp", "widths": [10, 10], "activation": "linear", "bias": False},
        "accept": {"train_loss": 1e-6},
    },
}
INIT = {"kind": "fan_in", "weight_std": 0.8}
SOURCES = {
    "flow": {"kind": "flow", "stop": {"max_time": TIME, "fit": False}},
    "gradient_descent": {
        "kind": "train",
        "optimizer": {"kind": "sgd", "learning_rate": RATE},
        "stop": {"max_steps": round(TIME / RATE), "fit": False},
    },
}


def measure(problem, source, lanes):
    """Rates of runs and of steps, all lanes of a block together."""
    law = INIT if problem["model"]["kind"] == "mlp" else {"kind": "gaussian", "std": 0.8}
    sweep = Sweep(
        name="flow",
        sources={"source": source | {"init": law, "runs": RUNS}},
        execution={"lanes": lanes, "implementation": "xla"},
        **problem,
    )
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    for program, arguments in programs.to_compile():
        program.compiled(*arguments)
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        finished = work(programs, [Piece(setting, 0, RUNS)], Control())
        seconds.append(time.perf_counter() - began)
    steps, each = finished.solutions.steps, statistics.median(seconds[1:])  # the first warms up
    ends, counts = np.unique(finished.solutions.status, return_counts=True)
    return {
        "lanes": lanes,
        "seconds": round(each, 3),
        "runs_per_second": round(RUNS / each),
        "steps_per_run": round(float(steps.mean()), 1),
        "steps_per_second": round(float(steps.sum()) / each),
        "busy_share_of_lanes": round(finished.lane_steps.busy / finished.lane_steps.all, 3),
        "statuses": {RunStatus(end).label: int(n) for end, n in zip(ends, counts, strict=True)},
    }


if __name__ == "__main__":
    found = {
        name: {
            f"{kind}, {lanes} lanes": measure(problem, source, lanes)
            for kind, source in SOURCES.items()
            for lanes in (RUNS, 256)
        }
        for name, problem in PROBLEMS.items()
    }
    record = {
        "machine": describe(),
        "note": "two cores, shared with other work",
        "time": TIME,
        "learning_rate": RATE,
    }
    RECORD.write_text(json.dumps(record | found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
