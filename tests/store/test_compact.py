import pytest

from sweep_engine.errors import CorruptResults
from sweep_engine.store import compact, open_results, read_ledger, verify
from tests.faults.workload import assert_complete, session

TABLES = ("runs", "params", "tallies", "curves")


def read_all(files):
    results = open_results(files.root)
    return {name: results.table(name).read() for name in TABLES}


def test_rows_and_their_order_are_kept(files, plan):
    before = read_all(files)
    assert compact(files) == 6 + 6 + 6 + 4
    assert read_all(files) == before
    assert len(read_ledger(files).files) == 8
    assert_complete(files.root, len(plan))
    assert verify(files, plan).problems == []


def test_nothing_is_done_twice(files):
    compact(files)
    after = files.sizes("runs") | files.sizes("ledger")
    assert compact(files) == 0
    assert files.sizes("runs") | files.sizes("ledger") == after


def test_a_resume_knows_what_is_done(files, plan):
    compact(files)
    assert session(files, len(plan)) == []
    assert session(files, len(plan) + 4) == ["s00006", "s00007", "s00008", "s00009"]
    compact(files)
    assert compact(files) == 0
    assert_complete(files.root, len(plan) + 4)


def test_files_grow_no_larger_than_asked(files):
    size = max(files.sizes("runs").values())
    compact(files, target_bytes=size)
    assert len(files.sizes("runs")) == 6
    compact(files, target_bytes=2 * size)
    assert len(files.sizes("runs")) == 4


def test_an_altered_file_is_not_merged(files):
    path = files.root / "runs/source=box/bucket=b0/s00002.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptResults, match="s00002"):
        compact(files)
    assert path.read_bytes() == data


def test_a_replaced_file_that_returns_is_a_stray(files):
    path = files.root / "runs/source=box/bucket=b0/s00002.parquet"
    data = path.read_bytes()
    compact(files)
    path.write_bytes(data)
    with pytest.raises(CorruptResults, match=r"s00002\.parquet: stray, a compaction replaced it"):
        open_results(files.root)
