import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep_engine.errors import OutputError
from sweep_engine.store import (
    LocalFiles,
    ShardFiles,
    commit_shard,
    open_files,
    open_results,
    params_schema,
    read_ledger,
    verify,
)
from sweep_engine.store.encoding import ROW_GROUP_BYTES, to_parquet
from tests.faults.workload import NUM_PARAMS, shard_files, shard_tables


def test_the_first_commit_wins(place):
    files = open_files(place)
    first = commit_shard(files, shard_files(1), shard_tables(1), {"seconds": 1.5})
    second = commit_shard(files, shard_files(1), shard_tables(3), {})
    assert (first.won, second.won) == (True, False)
    assert second.entry == first.entry == read_ledger(files).shards["s00001"]
    assert first.entry.receipt == {"seconds": 1.5}
    assert open_results(place).runs(["run_id"])["run_id"].to_pylist() == [5, 6, 7, 8, 9]
    assert files.sizes("staging") == {}


def test_a_table_without_rows_has_no_file(place):
    files = open_files(place)
    committed = commit_shard(files, shard_files(0), shard_tables(0), {})
    assert "curves" not in files.folders()
    assert committed.entry.num_rows("curves") == 0
    assert committed.entry.num_rows("runs") == 5


def test_a_shard_may_have_no_rows_at_all(place):
    files = open_files(place)
    commit_shard(files, shard_files(0), {}, {})
    assert list(read_ledger(files).shards) == ["s00000"]
    assert verify(files, {"s00000": {"runs": 0}}).problems == []


@pytest.mark.parametrize(
    "names",
    [
        ("../x", "sgd", "b0"),
        ("s0", "../../x", "b0"),
        ("s0", "sgd", "../b0"),
        ("s0", "sgd/x", "b0"),
        ("..", "sgd", "b0"),
        ("s0", "", "b0"),
        ("s0", "sgd", "0b"),
        ("s0\n", "sgd", "b0"),
        ("S0", "sgd", "b0"),
        ("s" * 65, "sgd", "b0"),
        ("compact-0", "sgd", "b0"),
    ],
)
def test_names_that_are_refused(names):
    with pytest.raises(OutputError):
        ShardFiles(*names)


@pytest.mark.parametrize("table", ["../runs", "ledger", "staging", "", "runs/x", "Runs"])
def test_tables_that_are_refused(tmp_path, table):
    with pytest.raises(OutputError):
        commit_shard(LocalFiles(tmp_path), shard_files(0), {table: shard_tables(0)["runs"]}, {})
    assert list(tmp_path.iterdir()) == []


def test_path_columns_are_refused(tmp_path):
    table = shard_tables(0)["runs"].append_column("source", pa.array(["sgd"] * 5))
    with pytest.raises(ValueError, match="source"):
        commit_shard(LocalFiles(tmp_path), shard_files(0), {"runs": table}, {})


def test_a_null_where_none_may_be_is_refused(tmp_path):
    table = shard_tables(0)["runs"]
    nothing = pa.nulls(5, pa.int64())
    table = table.set_column(0, table.schema.field("run_id"), nothing)
    with pytest.raises(pa.ArrowInvalid, match="run_id"):
        commit_shard(LocalFiles(tmp_path), shard_files(0), {"runs": table}, {})


def test_how_theta_is_stored(tmp_path):
    data = pa.BufferReader(to_parquet(shard_tables(0)["params"]))
    theta = pq.ParquetFile(data).metadata.row_group(0).column(2)
    assert (theta.compression, theta.has_dictionary_page) == ("ZSTD", False)
    assert "BYTE_STREAM_SPLIT" in theta.encodings
    assert pq.ParquetFile(data).schema_arrow.equals(params_schema(NUM_PARAMS))


def test_row_groups_are_near_their_size():
    rows = 3 * ROW_GROUP_BYTES // 400
    theta = pa.FixedSizeListArray.from_arrays(
        pa.nulls(100 * rows, pa.float32()).fill_null(0.0), type=params_schema(100).field(2).type
    )
    ids = pa.array(range(rows))
    table = pa.Table.from_arrays([ids, ids, theta], schema=params_schema(100))
    metadata = pq.ParquetFile(pa.BufferReader(to_parquet(table))).metadata
    assert metadata.num_row_groups == 4
    assert metadata.row_group(0).num_rows * 416 <= ROW_GROUP_BYTES
