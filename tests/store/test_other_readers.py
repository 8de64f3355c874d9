"""DuckDB, Polars, pandas and pyarrow read every table, with no help from the engine."""

import duckdb
import pandas
import polars
import pyarrow.dataset
import pytest

from sweep_engine.store import compact, open_results


@pytest.fixture
def place(tmp_path):
    return tmp_path / "out"


def with_duckdb(folder):
    query = f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    return duckdb.sql(query).to_arrow_table()


def with_polars(folder):
    return polars.scan_parquet(folder, hive_partitioning=True).collect().to_arrow()


def with_pandas(folder):
    return pyarrow.Table.from_pandas(pandas.read_parquet(folder))


def with_pyarrow(folder):
    return pyarrow.dataset.dataset(folder, partitioning="hive").to_table()


@pytest.mark.parametrize("compacted", [False, True], ids=["shards", "compacted"])
@pytest.mark.parametrize("table", ["runs", "params", "tallies", "curves"])
@pytest.mark.parametrize("read", [with_duckdb, with_polars, with_pandas, with_pyarrow])
def test_same_rows(files, read, table, compacted):
    if compacted:
        compact(files)
    ours = open_results(files.root).table(table).read()
    theirs = read(files.root / table)
    assert sorted(theirs.column_names) == sorted(ours.column_names)
    assert sorted_rows(theirs.select(ours.column_names)) == sorted_rows(ours)


def sorted_rows(table):
    return sorted((list(row.values()) for row in table.to_pylist()), key=repr)
