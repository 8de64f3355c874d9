import sys

import pytest

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.store import compact, open_results, read_ledger, verify
from tests.faults.workload import assert_complete, session

module = sys.modules[compact.__module__]
RUNS_FILE = "runs/source=box/bucket=b0/s00002.parquet"
TABLES = ("runs", "params", "tallies", "curves")


def read_all(files):
    results = open_results(files.location)
    return {name: results.table(name).read() for name in TABLES}


def test_rows_and_their_order_are_kept(files, plan):
    before = read_all(files)
    assert compact(files) == 6 + 6 + 6 + 4
    assert read_all(files) == before
    assert len(read_ledger(files).files) == 8
    assert_complete(files, len(plan))
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
    assert_complete(files, len(plan) + 4)


def test_files_grow_no_larger_than_asked(files):
    size = max(files.sizes("runs").values())
    compact(files, target_bytes=size)
    assert len(files.sizes("runs")) == 6
    compact(files, target_bytes=2 * size)
    assert len(files.sizes("runs")) == 4


def test_an_altered_file_is_not_merged(files):
    data = bytearray(files.read(RUNS_FILE))
    data[len(data) // 2] ^= 1
    files.write(RUNS_FILE, bytes(data))
    with pytest.raises(CorruptResults, match="s00002"):
        compact(files)
    assert files.read(RUNS_FILE) == data


def test_a_replaced_file_that_returns_is_a_stray(files):
    data = files.read(RUNS_FILE)
    compact(files)
    files.write(RUNS_FILE, data)
    with pytest.raises(CorruptResults, match=r"s00002\.parquet: stray, a compaction replaced it"):
        open_results(files.location)


def test_of_two_compactions_at_once_one_merges(files, plan):
    """The second read the ledger before the first had merged anything."""
    ledger = read_ledger(files)
    first, second, *_ = module._groups(ledger, module.TARGET_BYTES)
    module._merge(files, first, 0)
    for group in (first, second):
        with pytest.raises(OutputError, match="another compaction"):
            module._merge(files, group, 0)
    assert_complete(files, len(plan))
    assert verify(files, plan).problems == []
