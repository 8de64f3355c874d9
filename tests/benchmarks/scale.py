"""Ten million rows of `runs` and tallies of 1e9 draws, compared and reported.

    .venv/bin/python tests/benchmarks/scale.py tests/benchmarks/records/scale.json [ROWS] [FOLDER]

The results are made up: two sources of Zipf functions and normal norms, written through the
store as a run writes them, but in larger shards. FOLDER keeps them, and is taken as it is where it
has them. Each step is a process of its own: wall and processor seconds, its own peak memory, disk.
It records; it asserts nothing.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc

from sweep_engine.bench.machine import describe
from sweep_engine.bench.made_up import write_made_up
from sweep_engine.densities import Study, compare_all, write_comparisons
from sweep_engine.report import write_report
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_results

ROWS, DRAWS = 10_000_000, 1_000_000_000
NUM_SHARDS = 40


def build(out: Path, rows: int) -> None:
    """Write results as a run would that has been compacted: with fewer and larger shards."""
    sizes.RUNS_PER_SHARD = rows // NUM_SHARDS
    sizes.DRAWS_PER_SHARD = 2 * DRAWS // NUM_SHARDS
    write_made_up(out, rows, DRAWS)


def compared(out: Path) -> None:
    study = Study.open(out)
    write_comparisons(OutputDirectory(out).files, compare_all(study)[0])


def reported(out: Path) -> None:
    write_report(out)


def counted(out: Path) -> dict[str, int]:
    table = open_results(out).tallies(["function_id"])
    return {"rows": len(table), "functions": pc.count_distinct(table["function_id"]).as_py()}


def measured(step: str, out: Path, rows: int) -> dict[str, float]:
    """Run a step in a process of its own, and say what it took."""
    print(f"{step} ...", end=" ", flush=True)
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, str(out), str(rows)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    print(last, flush=True)
    return json.loads(last)


def run_step(step: str, out: Path, rows: int) -> None:
    began, processor = time.perf_counter(), time.process_time()
    steps = {
        "build": lambda: build(out, rows),
        "tallies": lambda: counted(out),
        "compare": lambda: compared(out),
        "report": lambda: reported(out),
    }
    found = steps[step]() or {}
    taken = {
        "wall_seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(found | taken))


def peak_bytes() -> int:
    """Read the process's own peak: `ru_maxrss` of a child includes what its parent held."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        out = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(folder) / "out"
        record: dict[str, object] = {
            "machine": describe(),
            "rows_of_runs": rows,
            "draws_tallied": DRAWS,
        }
        for step in ("build", "tallies", "compare", "report"):
            if step != "build" or not out.exists():
                record[step] = measured(step, out, rows)
        record["bytes_runs"] = bytes_under(out / "runs")
        record["bytes_tallies"] = bytes_under(out / "tallies")
        record["bytes_report"] = bytes_under(out / "figures") + (out / "report.html").stat().st_size
    Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    if sys.argv[1] == "--step":
        run_step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
