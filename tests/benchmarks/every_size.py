"""Measure the engine at every size in one go, beside what one would use instead.

    .venv/bin/python -m tests.benchmarks.every_size tests/benchmarks/records/NAME.json

Tiny networks by the hundred thousand, a thousand networks and a CNN in every way of training, few
networks, runs to a fit, a dear observable of one run, the race of draws, trials of kernels, a
million rows. It takes some fourteen minutes; the ways of PyTorch need the extra `bench`. Ratios are
within the run; the load of the machine stands beside each part.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.results import results_rates
from sweep_engine.bench.small import small_sweeps
from sweep_engine.bench.training.experiment import MAIN, WORKLOADS, training_rates
from tests.benchmarks import prior_scan, tiny

CNN_NETWORKS = 256
ENGINE = [sys.executable, "-m", "sweep_engine.cli"]
DIGITS = {"task": {"kind": "digits"}, "model": {"kind": "mlp", "widths": [32]}}
ONE_RUN = DIGITS | {
    "name": "one-run",
    "sources": {"sgd": {"kind": "train", "batch_size": 32, "stop": {"max_steps": 200}, "runs": 1}},
    "observables": ["learning_coefficient"],
}
SIX_BUCKETS = DIGITS | {
    "name": "six-buckets",
    "sources": {
        "sgd": {"kind": "train", "stop": {"fit": False, "max_steps": 4000}, "runs": 256},
    },
    "axes": {
        "sources.sgd.batch_size": [16, 32, 64],
        "sources.sgd.optimizer": [
            {"kind": "sgd", "learning_rate": 0.05},
            {"kind": "adam", "learning_rate": 0.001},
        ],
    },
}
"""Ask for six kernels: a minibatch and an optimiser are built into one."""

STOPPED_AFTER = 6.0
"""Wait so many seconds: the kernels are being built, tested or raced then."""


def trained() -> dict[str, Any]:
    """Train a thousand networks, and of the CNN fewer, in every way."""
    points = [(workload, MAIN) for workload in WORKLOADS[:3]] + [(WORKLOADS[3], CNN_NETWORKS)]
    return training_rates(points=points)


def observed() -> dict[str, Any]:
    """Observe the learning coefficient of one run, with the engine's block and with one lane."""
    usual = run(ONE_RUN)
    one_lane = run(ONE_RUN | {"execution": {"lanes": 1}})
    return {"usual": usual, "lanes: 1": one_lane}


def draws() -> dict[str, Any]:
    """Draw by XLA and by the kernel, timed on shards; and as the race of a sweep says it."""
    measured = prior_scan.measure(
        *prior_scan.WORKLOADS["prior, normal"], limits()["product_gflops"]
    )
    law = prior_scan.LAWS[prior_scan.NORMAL]
    source = {"kind": "prior", "law": law, "draws": 2**22, "keep": "none"}
    sweep = prior_scan.BOOLEAN | {"name": "raced", "sources": {"prior": source}}
    return {"measured": measured, "a sweep": run(sweep)}


def trials() -> dict[str, Any]:
    """Run six buckets by `auto`, again with its kernels built, by XLA; and end one by a signal."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = run(SIX_BUCKETS, cache), run(SIX_BUCKETS, cache)
        by_xla = run(SIX_BUCKETS | {"execution": {"implementation": "xla"}}, cache)
    return {"auto": cold, "auto, kernels built": warm, "xla": by_xla, "SIGTERM": stopped()}


def run(sweep: dict[str, Any], cache: str | None = None) -> dict[str, Any]:
    """Run a sweep by the command, from nothing or with what a cache holds."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "sweep.yaml"), Path(folder, "out")
        path.write_text(json.dumps(sweep))
        command = [*ENGINE, "run", str(path), "--out", str(out)]
        found = tiny.measured(command, Path(cache or folder))
        frozen = json.loads((out / "sweep.json").read_text())["frozen"]
    choices = [f"{one['name']}: {one['reason']}" for one in frozen["implementation"].values()]
    return found | {"implementation": choices, "lanes": list(frozen["lanes"].values())}


def stopped() -> dict[str, Any]:
    """Say how long a sweep takes to heed SIGTERM while its kernels are tried."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sweep.yaml")
        path.write_text(json.dumps(SIX_BUCKETS))
        command = [*ENGINE, "run", str(path), "--out", str(Path(folder, "out"))]
        told = os.environ | {"XDG_CACHE_HOME": folder}
        process = subprocess.Popen(
            command, env=told, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(STOPPED_AFTER)
        process.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        _, said = process.communicate()
        seconds = round(time.perf_counter() - began, 2)
    done = re.findall(r"(\d+)/(\d+) shards", said)
    return {
        "after_seconds": STOPPED_AFTER,
        "seconds": seconds,
        "exit_code": process.returncode,
        "shards_done": "/".join(done[-1]) if done else None,
    }


def tiny_networks() -> dict[str, Any]:
    """Time tiny sweeps end to end beside a script."""
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place), Path(place, "cache")
        tiny.engine(folder, cache, tiny.RUNS[0], "auto")  # as from the second sweep on
        return tiny.compare(folder, cache)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "tiny networks, end to end": tiny_networks,
    "networks trained in every way": trained,
    "few networks, and runs to a fit": small_sweeps,
    "learning coefficient of one run": observed,
    "draws": draws,
    "kernels' trials, six buckets": trials,
    "a million rows": results_rates,
}


def main(out: Path) -> None:
    """Measure each part, and write the record as it grows."""
    record: dict[str, Any] = {"machine": describe() | limits()}
    for name, part in PARTS.items():
        before, began = os.getloadavg()[0], time.perf_counter()
        found = part()
        taken = {"seconds": round(time.perf_counter() - began), "load_average_before": before}
        record[name] = taken | found
        out.write_text(json.dumps(record, indent=2) + "\n")
        print(f"{name}: {taken['seconds']} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
