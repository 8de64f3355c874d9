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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine import planning
from sweep_engine.bench.machine import describe
from sweep_engine.densities import Study, compare_all, write_comparisons
from sweep_engine.execution.worker.worker import sweep_runs_schema
from sweep_engine.keys import run_ids
from sweep_engine.report import write_report
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import (
    LocalFiles,
    OutputDirectory,
    ShardFiles,
    commit_shard,
    open_results,
)
from sweep_engine.store.manifest import Frozen, Manifest, write_manifest
from sweep_engine.store.schema import tallies_schema

ROWS, DRAWS = 10_000_000, 1_000_000_000
NUM_SHARDS = 40
NUM_FUNCTIONS, EXPONENT = 2**30, 1.05


def sweep_of(rows: int) -> Sweep:
    law = {"kind": "lecun_normal"}
    compared = (
        ("function", None), ("l2_norm", None), ("l2_norm", "wasserstein"), ("l2_norm", "mean"),
        ("l2_norm, test_error", None), ("l2_norm, test_error, path_norm", "c2st"),
        ("l2_norm, test_error, path_norm", "mmd"),
    )  # fmt: skip
    asked = {"source": "sgd", "reference": "guess", "given": "fit"}
    return Sweep.model_validate(
        {
            "name": "scale",
            "task": {"kind": "boolean", "bits": 7, "train": 16},
            "model": {"kind": "mlp", "widths": [40, 40]},
            "sources": {
                "sgd": {"kind": "train", "init": law, "runs": rows // 2},
                "guess": {"kind": "guess_and_check", "law": law, "draws": DRAWS},
            },
            "observables": ["norms", "path", "function"],
            "compare": [
                {**asked, "observable": o} | ({"estimator": e} if e else {}) for o, e in compared
            ],
        }
    )


def build(out: Path, rows: int) -> None:
    """Write results as a run would, with fewer and larger shards."""
    sizes.RUNS_PER_SHARD = rows // NUM_SHARDS
    sizes.DRAWS_PER_SHARD = 2 * DRAWS // NUM_SHARDS
    plan = planning.plan(sweep_of(rows))
    directory = OutputDirectory(out)
    out.mkdir(parents=True)
    frozen = Frozen("cpu", "made up", "exact", {}, {}, {})
    write_manifest(directory, Manifest(plan, frozen))
    schema = sweep_runs_schema(plan)
    for i, shard in enumerate(plan.shards):
        rng = np.random.default_rng([1, i])
        (setting, start, _) = shard.pieces[0]
        kept = rows // NUM_SHARDS
        codes = rng.zipf(EXPONENT, kept) % NUM_FUNCTIONS
        tables = {
            "runs": runs(schema, setting, start, codes, shard.source, rng),
            "tallies": tallies(setting, codes, shard.num_runs),
        }
        receipt = dict.fromkeys(("steps", "busy_lane_steps", "all_lane_steps"), 0)
        receipt |= {"runs": shard.num_runs, "fits": kept, "rows": kept}
        placed = ShardFiles(shard.id, shard.source, shard.bucket)
        commit_shard(LocalFiles(out), placed, tables, receipt)


def ids_of(codes: np.ndarray) -> pa.Array:
    """A hash in hex, as function ids are."""
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    both = np.stack([mixed, mixed ^ (mixed >> np.uint64(31))], axis=1).astype(">u8")
    return pa.array([row.tobytes().hex() for row in both])


def runs(
    schema: pa.Schema, setting: int, start: int, codes: np.ndarray, source: str,
    rng: np.random.Generator,
) -> pa.Table:  # fmt: skip
    count, shift = len(codes), 0.3 if source == "sgd" else 0.0
    unique, index = np.unique(codes, return_inverse=True)
    filled = {
        "run_id": run_ids(setting, start, start + count),
        "setting": np.full(count, setting),
        "seed": np.arange(start, start + count),
        "status": pa.repeat(pa.scalar("fit"), count),
        "steps": rng.integers(1, 5000, count),
        "fit": np.ones(count, bool),
        "log_weight": np.zeros(count),
        "train_error": np.zeros(count),
        "test_error": rng.integers(0, 113, count) / 112,
        "function_id": ids_of(unique).take(pa.array(index)),
        "l2_norm": rng.normal(8 + shift, 1, count),
        "path_norm": rng.normal(20 + shift, 3, count),
    }
    columns = [
        pa.array(filled[field.name]).cast(field.type)
        if field.name in filled
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def tallies(setting: int, codes: np.ndarray, draws: int) -> pa.Table:
    unique, counts = np.unique(codes, return_counts=True)
    size = len(unique)
    what = ["draws", "fit", *["function_given_fit"] * size]
    packed = pa.array([int(code).to_bytes(16, "big") for code in unique])
    empty = pa.nulls(2, pa.string())
    return pa.table(
        {
            "setting": np.full(size + 2, setting),
            "unit": pa.nulls(size + 2, pa.int64()),
            "what": pa.array(what),
            "function_id": pa.concat_arrays([empty, ids_of(unique)]),
            "function": pa.concat_arrays([pa.nulls(2, pa.binary()), packed.cast(pa.binary())]),
            "count": np.concatenate([[draws, len(codes)], counts]),
            "value": pa.nulls(size + 2, pa.float64()),
            "stderr": pa.nulls(size + 2, pa.float64()),
        },
        schema=tallies_schema(),
    )


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
    """The process's own peak: `ru_maxrss` of a child includes what its parent held."""
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
