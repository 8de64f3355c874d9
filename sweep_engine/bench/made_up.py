"""Make results of any size up, and write them through the store as a run does."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from sweep_engine import planning
from sweep_engine.execution.worker.worker import sweep_runs_schema
from sweep_engine.keys import run_ids
from sweep_engine.spec import Sweep
from sweep_engine.store import LocalFiles, OutputDirectory, ShardFiles, commit_shard
from sweep_engine.store.manifest import Frozen, Manifest, write_manifest
from sweep_engine.store.schema import tallies_schema

NUM_FUNCTIONS, EXPONENT = 2**30, 1.05
SHIFT = 0.3
"""Says by how much trained networks are larger, in standard deviations of the norm."""


def made_up_sweep(rows: int, draws: int) -> Sweep:
    """Give the sweep: half the rows are trained, half are fits of so many guesses; 7 questions."""
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
                "guess": {"kind": "guess_and_check", "law": law, "draws": draws},
            },
            "observables": ["norms", "path", "function"],
            "compare": [
                {**asked, "observable": o} | ({"estimator": e} if e else {}) for o, e in compared
            ],
        }
    )


def write_made_up(out: Path, rows: int, draws: int) -> None:
    """Write results of that sweep: functions of Zipf's law, norms of normal ones."""
    plan = planning.plan(made_up_sweep(rows, draws))
    directory = OutputDirectory(out)
    out.mkdir(parents=True)
    write_manifest(directory, Manifest(plan, Frozen("cpu", "made up", "exact", {}, {}, {})))
    schema = sweep_runs_schema(plan)
    for i, shard in enumerate(plan.shards):
        rng = np.random.default_rng([1, i])
        ((setting, start, stop),) = shard.pieces
        all_runs = rows // 2 if shard.source == "sgd" else draws
        ends = [rows // 2 * run // all_runs for run in (start, stop)]
        codes = rng.zipf(EXPONENT, ends[1] - ends[0]) % NUM_FUNCTIONS
        shift = SHIFT if shard.source == "sgd" else 0.0
        tables = {
            "runs": _runs(schema, setting, start, codes, shift, rng),
            "tallies": _tallies(setting, codes, shard.num_runs),
        }
        receipt = dict.fromkeys(("steps", "busy_lane_steps", "all_lane_steps"), 0)
        receipt |= {"runs": shard.num_runs, "fits": len(codes), "rows": len(codes)}
        placed = ShardFiles(shard.id, shard.source, shard.bucket)
        commit_shard(LocalFiles(out), placed, tables, receipt)


def _ids_of(codes: Int[np.ndarray, " F"]) -> pa.Array:
    """Hash codes to hexadecimal digits, as function ids are."""
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    both = np.stack([mixed, mixed ^ (mixed >> np.uint64(31))], axis=1).astype(">u8")
    return pa.array([row.tobytes().hex() for row in both])


def _runs(
    schema: pa.Schema, setting: int, start: int, codes: Int[np.ndarray, " R"], shift: float,
    rng: np.random.Generator,
) -> pa.Table:  # fmt: skip
    count = len(codes)
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
        "function_id": _ids_of(unique).take(pa.array(index)),
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


def _tallies(setting: int, codes: Int[np.ndarray, " R"], draws: int) -> pa.Table:
    unique, counts = np.unique(codes, return_counts=True)
    size = len(unique)
    packed = pa.array([int(code).to_bytes(16, "big") for code in unique], pa.binary())
    return pa.table(
        {
            "setting": np.full(size + 2, setting),
            "unit": pa.nulls(size + 2, pa.int64()),
            "what": pa.array(["draws", "fit", *["function_given_fit"] * size]),
            "function_id": pa.concat_arrays([pa.nulls(2, pa.string()), _ids_of(unique)]),
            "function": pa.concat_arrays([pa.nulls(2, pa.binary()), packed]),
            "count": np.concatenate([[draws, len(codes)], counts]),
            "value": pa.nulls(size + 2, pa.float64()),
            "stderr": pa.nulls(size + 2, pa.float64()),
        },
        schema=tallies_schema(),
    )
