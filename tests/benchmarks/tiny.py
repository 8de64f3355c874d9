"""Tiny networks end to end: `sweep-engine run`, Parquet included, beside a plain script.

    python -m tests.benchmarks.tiny tests/benchmarks/records/NAME.json

Each is a process of its own, start to end, in turn; caches of compiled programs are warm for
the engine, as they are from the second sweep on, and are said cold once. Processor seconds are
those of all its threads; by the clock whatever else the machine does counts too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sweep_engine.bench.machine import describe, limits
from sweep_engine.bench.tiny import document

RUNS = (262_144, 1_000_000)
SCRIPT = Path(__file__).with_name("plain_script.py")
ENGINE = [sys.executable, "-m", "sweep_engine.cli"]


def measured(command: list[str], cache: Path) -> dict[str, float]:
    """Run a command to its end; returns its seconds by the clock and of processors."""
    before, began = os.times(), time.perf_counter()
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = os.times()
    processor = sum(after[2:4]) - sum(before[2:4])
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "processor_seconds": round(processor, 2),
    }


def engine(folder: Path, cache: Path, runs: int, implementation: str) -> dict[str, float]:
    """Run a sweep from its file to its tables."""
    out = folder / f"{implementation}-{runs}-{time.monotonic_ns()}"
    path = out.with_suffix(".yaml")
    path.write_text(json.dumps(document(runs, implementation)))
    found = measured([*ENGINE, "run", str(path), "--out", str(out)], cache)
    (choice,) = json.loads((out / "sweep.json").read_text())["frozen"]["implementation"].values()
    return found | {"implementation": choice["name"], "reason": choice["reason"]}


def compare(folder: Path, cache: Path) -> dict[str, dict[str, object]]:
    """Time the script and the engine in turn, and the largest sweep by what `auto` takes."""
    ways = [(RUNS[0], "auto"), (RUNS[0], "xla"), (RUNS[0], "cpu"), (RUNS[1], "auto")]
    found = {"plain script": measured([sys.executable, str(SCRIPT), str(RUNS[0])], cache)}
    sizes = {"plain script": RUNS[0]}
    for runs, implementation in ways:
        name = f"{implementation}, {runs:,} runs"
        sizes[name] = runs
        found[name] = engine(folder, cache, runs, implementation)
    of_script = RUNS[0] / found["plain script"]["processor_seconds"]
    return {
        name: each
        | {
            "runs_per_processor_second": round(sizes[name] / each["processor_seconds"]),
            "over_script": round(sizes[name] / each["processor_seconds"] / of_script, 2),
        }
        for name, each in found.items()
    }


def main(out: Path) -> None:
    record = {
        "machine": describe() | limits(),
        "note": "ratios are those of processor seconds; start-up, and the trial of kernels where "
        "`auto` stands, are part of them",
    }
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place), Path(place, "cache")
        record["cold"] = engine(folder, cache, RUNS[0], "auto")
        record["end_to_end"] = compare(folder, cache)
    out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
