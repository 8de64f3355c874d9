"""A small plan of shards whose rows are known, a session that commits it, and its oracle."""

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector

from sweep_engine.store import (
    Column,
    Files,
    ShardFiles,
    commit_shard,
    curves_schema,
    discard_leftovers,
    finish_publishing,
    params_schema,
    read_ledger,
    runs_schema,
    tallies_schema,
    verify,
    with_file_metadata,
)

PLACES = ["local", "localbucket"]
ROWS = 5
NUM_PARAMS = 3
RATE = "sources.sgd.optimizer.learning_rate"
RUNS = with_file_metadata(
    runs_schema(
        axes=[Column(RATE, "float64", "", "step size")],
        observables=[
            Column("l2_norm", "float32", "", "norm of theta"),
            Column("spectrum", "list<float32>", "", "eigenvalues"),
        ],
    ),
    {"precision": "exact", "lane_width": 64},
)
METADATA = {"layout": [["w", [3], 0]]}


def shard_files(index):
    return ShardFiles(f"s{index:05d}", ("box", "sgd")[index % 2], f"b{index % 2}")


@cache
def shard_tables(index):
    """The rows of shard `index`; every third shard recorded no curves."""
    return {
        "runs": _runs(index),
        "params": _params(index),
        "tallies": _tallies(index),
        "curves": _curves(index) if index % 3 else curves_schema().empty_table(),
    }


def expected_rows(num_shards):
    return {
        shard_files(index).shard: {
            name: table.num_rows for name, table in shard_tables(index).items()
        }
        for index in range(num_shards)
    }


def session(files: Files, num_shards: int) -> list[str]:
    """What a driver does: take up what is there, commit what is missing; the shards it won."""
    ledger = read_ledger(files)
    finish_publishing(files, ledger)
    discard_leftovers(files, ledger)
    todo = [i for i in range(num_shards) if shard_files(i).shard not in ledger.shards]
    return commit_all(files, todo)


def commit_all(files: Files, indices) -> list[str]:
    done = [commit_shard(files, shard_files(i), shard_tables(i), {"host": "a"}) for i in indices]
    return [committed.entry.shard for committed in done if committed.won]


def plain_rows(files, table):
    """What a reader that knows nothing of the ledger sees, file by file."""
    system = files.arrow()
    below = FileSelector(table, allow_not_found=True, recursive=True)
    paths = sorted(found.path for found in system.get_file_info(below) if found.is_file)
    return [pq.ParquetFile(path, filesystem=system).read() for path in paths]


def assert_whole(files, num_shards):
    """Every visible table holds shards of the plan, each whole and once."""
    for table in ("runs", "params", "curves", "tallies"):
        key = "setting" if table == "tallies" else "run_id"
        seen = [value for part in plain_rows(files, table) for value in part[key].to_pylist()]
        planned = [keys(index, table, key) for index in range(num_shards)]
        visible = [values for values in planned if not set(seen).isdisjoint(values)]
        assert sorted(seen) == sorted(value for values in visible for value in values)


def assert_complete(files, num_shards):
    assert_whole(files, num_shards)
    for table in ("runs", "params", "curves", "tallies"):
        rows = sum(part.num_rows for part in plain_rows(files, table))
        assert rows == sum(shard_tables(index)[table].num_rows for index in range(num_shards))


def check_then_resume(files, num_shards):
    """Nothing is half there; then a resume completes it and leaves nothing behind."""
    assert_whole(files, num_shards)
    for _ in range(2):  # the second clears what attempts left on shards the first committed
        session(files, num_shards)
    assert_complete(files, num_shards)
    found = verify(files, expected_rows(num_shards))
    assert (found.problems, found.notes) == ([], [])


@cache
def keys(index, table, key):
    return shard_tables(index)[table][key].to_pylist()


def _run_ids(index):
    return np.arange(index * ROWS, (index + 1) * ROWS)


def _runs(index):
    run_id = _run_ids(index)
    full = {
        "run_id": run_id,
        "setting": np.full(ROWS, index),
        RATE: np.full(ROWS, 0.1),
        "status": ["fit"] * ROWS,
        "steps": run_id * 10,
        "fit": np.full(ROWS, True),
        "log_weight": np.zeros(ROWS),
        "l2_norm": run_id.astype(np.float32),
        "spectrum": [[1.0, 2.0]] * ROWS,
    }
    missing = {name: [None] * ROWS for name in RUNS.names if name not in full}
    return pa.table(full | missing, schema=RUNS)


def _params(index):
    schema = with_file_metadata(params_schema(NUM_PARAMS), METADATA)
    theta = np.random.default_rng(index).standard_normal(ROWS * NUM_PARAMS).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(theta, type=schema.field("theta").type)
    columns = [pa.array(_run_ids(index)), pa.array(np.full(ROWS, 7)), vectors]
    return pa.Table.from_arrays(columns, schema=schema)


def _tallies(index):
    row = {
        "setting": index,
        "what": "function",
        "function_id": "ab",
        "function": b"\x01",
        "count": 9,
    }
    return pa.Table.from_pylist([row], schema=tallies_schema())


def _curves(index):
    rows = [
        {"run_id": int(i), "step": 1, "train_loss": 0.5, "train_error": 0.0}
        for i in _run_ids(index)
    ]
    return pa.Table.from_pylist(rows, schema=curves_schema())
