"""Rates of the main job on this machine: prior draws with tallies, and SGD to zero train error.

    .venv/bin/python tests/benchmarks/main_job.py tests/benchmarks/records/NAME.json

It records; it asserts nothing.
"""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from sweep_engine import Sweep, open_results, run

TASK = {"kind": "boolean", "bits": 7, "target": "x1", "train": 16}
MODEL = {"kind": "mlp", "widths": [40, 40]}
JOBS = {
    "prior_draws": {
        "kind": "prior",
        "law": {"kind": "box", "half_width": 1.0},
        "draws": 1_000_000,
        "keep": 4096,
    },
    "sgd_runs": {
        "kind": "train",
        "optimizer": {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "batch_size": "full",
        "stop": {"max_steps": 20_000},
        "runs": 4096,
    },
}


def measure(name: str, source: dict[str, object]) -> dict[str, object]:
    """Run one source on its own, compilation included, and read what it did off the tables."""
    sweep = Sweep(
        name=name.replace("_", "-"),
        task=TASK,
        model=MODEL,
        sources={"source": source},
        observables=("norms", "function", "complexity"),
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run(sweep, folder)
        seconds = time.perf_counter() - began
        results = open_results(folder)
        tallies = results.tallies(["what", "count"]).to_pandas().groupby("what")["count"].sum()
        steps = results.runs(["steps"])["steps"].to_numpy()
    return {
        "seconds": round(seconds, 2),
        "draws": int(tallies["draws"]),
        "fit": int(tallies["fit"]),
        "per_second": round(int(tallies["draws"]) / seconds, 1),
        "optimiser_steps": int(steps.sum()),
        "kept_rows": len(steps),
    }


def machine() -> dict[str, object]:
    """Say what was measured on."""
    import jax

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return {
        "device": str(jax.devices()[0].device_kind),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:  # nothing is compiled beforehand
        os.environ["XDG_CACHE_HOME"] = cache
        record = {"machine": machine()} | {name: measure(name, job) for name, job in JOBS.items()}
    text = json.dumps(record, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
