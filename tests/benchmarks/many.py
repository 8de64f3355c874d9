"""Put a sweep of very many shards, and one of very many programs, through the commands.

    .venv/bin/python -m tests.benchmarks.many tests/benchmarks/records/NAME.json [SHARDS [PROGRAMS]]

Each command is a process of its own: seconds by the clock, and the most memory that it held. Shards
are cut small for it, so that there are many of few rows; of many programs, each is another width
of the model, and memory is read as they go by. A count of 0 keeps what the record holds of that
part. It records; it asserts nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path

import yaml

from sweep_engine.bench.machine import describe
from sweep_engine.store import open_results

USUAL = (20_000, 1_000)
RUNS_PER_SHARD = 8
SMALL_SHARDS = (
    "from sweep_engine.spec.sources import sizes\n"
    f"sizes.RUNS_PER_SHARD = {RUNS_PER_SHARD}\n"
    "from sweep_engine.cli import main\n"
    "main()"
)
PRIOR = {"kind": "prior", "law": {"kind": "gaussian", "std": 1.0}, "keep": "all"}
SWEEP = {
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "store": {"params": "none"},
}
EVERY_SECONDS = 0.1


def started(*words: object) -> "subprocess.Popen[bytes]":
    """Start a command that cuts small shards."""
    command = [sys.executable, "-c", SMALL_SHARDS, *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )


def measured(*words: object) -> dict[str, object]:
    """Run a command to its end: its exit code, seconds, and memory as it went on."""
    began = time.perf_counter()
    with started(*words) as process:
        memory = list(_memory(process))
    seconds = time.perf_counter() - began
    return {"exit": process.returncode, "seconds": round(seconds, 1),
            "peak_mb": max(memory, default=0), "mb": memory}  # fmt: skip


def _memory(process: subprocess.Popen[bytes]):
    """Give the megabytes that a process holds, ten times a second; of Linux."""
    statm, page = Path("/proc", str(process.pid), "statm"), os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        yield round(int(statm.read_text().split()[1]) * page / 1e6)
        time.sleep(EVERY_SECONDS)


def without_course(found: dict[str, object]) -> dict[str, object]:
    """Leave out how the memory went."""
    return {name: value for name, value in found.items() if name != "mb"}


def stopped(spec: Path, out: Path, done: int) -> int:
    """Run a sweep until so many shards are done, and stop it by SIGTERM; how many were done."""
    ledger = out / "ledger"
    with started("run", spec, "--out", out) as process:
        while not ledger.exists() or _num_files(ledger) < done:
            time.sleep(EVERY_SECONDS)
        process.terminate()
    return _num_files(ledger)


def _num_files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def many_shards(folder: Path, count: int) -> dict[str, object]:
    """Go through all commands with so many shards of eight rows."""
    spec, out = folder / "shards.yaml", folder / "shards"
    source = PRIOR | {"draws": count * RUNS_PER_SHARD}
    model = {"kind": "mlp", "widths": [2]}
    sweep = SWEEP | {"name": "shards", "model": model, "sources": {"init": source}}
    spec.write_text(yaml.safe_dump(sweep))
    found: dict[str, object] = {"shards": count}
    for name, words in {
        "run": ("run", spec, "--out", out),
        "run_of_a_complete_sweep": ("run", spec, "--out", out),
        "status": ("status", out),
        "verify": ("verify", out),
        "compact": ("compact", out),
        "run_after_compact": ("run", spec, "--out", out),
    }.items():
        found[name] = without_course(measured(*words))
    begun = folder / "begun"
    found["shards_before_resume"] = stopped(spec, begun, count * 99 // 100)
    found["resume"] = without_course(measured("run", spec, "--out", begun))
    return found | {"rows": open_results(out).runs(["run_id"]).num_rows}


def many_programs(folder: Path, count: int) -> dict[str, object]:
    """Draw eight networks of each of so many widths: each is compiled, and let go."""
    spec, out = folder / "programs.yaml", folder / "programs"
    sweep = SWEEP | {
        "name": "programs",
        "model": {"kind": "mlp"},
        "sources": {"init": PRIOR | {"draws": RUNS_PER_SHARD}},
        "axes": {"model.widths": [[width] for width in range(1, count + 1)]},
    }
    spec.write_text(yaml.safe_dump(sweep))
    found = measured("run", spec, "--out", out)
    course = found["mb"]
    tenths = [course[len(course) * i // 10] for i in range(1, 10)]
    return without_course(found) | {"programs": count, "mb_at_every_tenth_of_the_time": tenths}


PARTS = {"many_shards": many_shards, "many_programs": many_programs}


if __name__ == "__main__":
    path, *counts = sys.argv[1:]
    kept = json.loads(Path(path).read_text()) if Path(path).exists() else {}
    record: dict[str, object] = kept | {"machine": describe()}
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = str(Path(name, "cache"))
        for (part, measure), given, usual in zip_longest(PARTS.items(), counts, USUAL):
            if count := int(given or usual):
                load = round(os.getloadavg()[0], 1)
                record[part] = {"load_average_before": load, **measure(Path(name), count)}
                Path(path).write_text(json.dumps(record, indent=1) + "\n")
