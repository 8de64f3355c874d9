import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweep_engine.errors import OutputError
from sweep_engine.store import commit_shard, curves_schema, open_files, open_results
from tests.faults.workload import METADATA, NUM_PARAMS, RATE, ROWS, RUNS, shard_files, shard_tables


@pytest.fixture
def results(files):
    return open_results(files.location)


def test_rows_come_back_as_they_were_written(results):
    box = [shard_tables(index)["runs"] for index in (0, 2, 4)]
    sgd = [shard_tables(index)["runs"] for index in (1, 3, 5)]
    read = results.runs(columns=RUNS.names)
    assert read.equals(pa.concat_tables(box + sgd).replace_schema_metadata())


def test_source_and_bucket_come_from_the_path(results):
    columns = results.runs(columns=["source", "bucket"]).to_pydict()
    assert columns == {"source": ["box"] * 15 + ["sgd"] * 15, "bucket": ["b0"] * 15 + ["b1"] * 15}


def test_where(results):
    where = (pc.field("source") == "sgd") & (pc.field("run_id") > 20) & (pc.field(RATE) > 0)
    assert results.runs(["run_id"], where)["run_id"].to_pylist() == [25, 26, 27, 28, 29]
    assert results.runs(["run_id"], pc.field("source") == "none").num_rows == 0


def test_an_unknown_column_is_an_error(results):
    with pytest.raises(KeyError, match="no_such_column"):
        results.runs(["no_such_column"])


def test_stream(results):
    batches = list(results.iter_runs(["run_id"]))
    assert sum(batch.num_rows for batch in batches) == 6 * ROWS


def test_units_and_meanings_are_kept(results):
    field = results.table("runs").schema.field("log_weight")
    assert field.metadata == {b"unit": b"nats", b"meaning": b"log importance weight; 0: unweighted"}


def test_params(results):
    (params,) = results.params("sgd")
    written = [shard_tables(index)["params"]["theta"].to_pylist() for index in (1, 3, 5)]
    assert (params.source, params.bucket) == ("sgd", "b1")
    assert params.theta.dtype == np.float32
    np.testing.assert_array_equal(params.theta, np.concatenate(written).astype(np.float32))
    np.testing.assert_array_equal(params.step, 7)


def test_params_of_chosen_runs(results):
    (params,) = results.params("sgd", "b1", pc.field("run_id").isin([26, 6]))
    assert params.run_id.tolist() == [6, 26]
    assert params.theta.shape == (2, NUM_PARAMS)
    (none,) = results.params("sgd", where=pc.field("run_id") < 0)
    assert none.theta.shape == (0, NUM_PARAMS)


def test_params_in_a_stream(results):
    blocks = list(results.iter_params("sgd", batch_rows=2))
    assert max(len(block.run_id) for block in blocks) == 2
    (whole,) = results.params("sgd")
    np.testing.assert_array_equal(np.concatenate([b.theta for b in blocks]), whole.theta)


def test_file_metadata(results):
    assert results.file_metadata("params", "sgd", "b1") == METADATA
    with pytest.raises(KeyError):
        results.file_metadata("params", "sgd", "b9")


def test_tables_without_rows_have_their_columns(place):
    open_files(place).write("sweep.json", b"{}")
    results = open_results(place, {"runs": RUNS})
    assert results.runs().schema.names == [*RUNS.names, "source", "bucket"]
    assert results.curves(["run_id"]).num_rows == results.tallies().num_rows == 0
    assert results.params("sgd") == []


def test_tables_of_buckets_with_other_columns_are_joined(place):
    files = open_files(place)
    for index, name in enumerate(["grad_norm", "l2_norm"]):
        schema = curves_schema().append(pa.field(name, pa.float32()))
        rows = pa.Table.from_pylist([{"run_id": index, "step": 0, name: 1.0}], schema=schema)
        commit_shard(files, shard_files(index), {"curves": rows}, {})
    joined = open_results(place).curves(["run_id", "grad_norm", "l2_norm"]).to_pylist()
    assert joined == [
        {"run_id": 0, "grad_norm": 1.0, "l2_norm": None},
        {"run_id": 1, "grad_norm": None, "l2_norm": 1.0},
    ]


def test_a_directory_without_results(place):
    with pytest.raises(OutputError, match="no results here"):
        open_results(place)
