import hashlib
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep_engine.errors import CorruptResults
from sweep_engine.store import (
    LocalFiles,
    ShardFiles,
    commit_shard,
    read_failures,
    record_failure,
    verify,
)
from sweep_engine.store.encoding import to_parquet, to_sealed_parquet
from sweep_engine.store.layout import COMPARISONS, SWEEP_YAML
from tests.faults.workload import shard_files, shard_tables


def test_a_complete_sweep_has_no_problem(files, plan):
    found = verify(files, plan)
    assert (found.problems, found.notes) == ([], [])


def test_shards_are_compared_with_the_plan(files, plan):
    longer = plan | {"s00007": None, "s00001": {"runs": 4}}
    del longer["s00000"]
    assert verify(files, longer).problems == [
        "s00000: not in the plan",
        "s00001: has 5 rows in runs, planned 4",
        "s00007: planned but not done",
    ]


def test_run_ids_must_be_unique(files):
    commit_shard(files, ShardFiles("twin", "sgd", "b1"), shard_tables(3), {})
    assert verify(files).problems == [
        "runs/source=sgd/bucket=b1/twin.parquet: repeats run ids of "
        "runs/source=sgd/bucket=b1/s00003.parquet"
    ]


def test_runs_have_one_schema(files):
    table = shard_tables(7)["runs"].drop_columns(["l2_norm"])
    commit_shard(files, shard_files(7), {"runs": table}, {})
    (problem,) = verify(files).problems
    assert problem.startswith("runs/source=sgd/bucket=b1/s00007.parquet: its columns differ")


def test_leftovers_and_failures_are_notes(files):
    files.write("staging/" + "0" * 32 + ".tmp", b"")
    record_failure(files, "s00009", 3, "out of luck")
    assert verify(files).problems == []
    assert verify(files).notes == ["staging/ holds 1 leftover files", "failed/ names 1 shards"]


TABLE = shard_tables(0)["runs"]
WRITTEN = {COMPARISONS: to_sealed_parquet(TABLE), SWEEP_YAML: b"name: a sweep\nseed: 1\n"}
BEFORE = {COMPARISONS: to_parquet(TABLE), SWEEP_YAML: WRITTEN[SWEEP_YAML]}
"""As written before these files were sealed, or known by a checksum."""


@pytest.mark.parametrize("path", WRITTEN)
def test_a_flipped_bit_is_seen_where_no_entry_of_the_ledger_names_the_file(files, path):
    whole, digest = WRITTEN[path], hashlib.sha256(WRITTEN[SWEEP_YAML]).hexdigest()
    files.write(path, whole)
    assert verify(files, sweep_file=digest).problems == []
    choices = random.Random(0)
    # What is read is checked in one place, wherever it comes from: a server is asked less often.
    for bit in choices.sample(range(8 * len(whole)), 64 if isinstance(files, LocalFiles) else 4):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        files.write(path, bytes(flipped))
        (problem,) = verify(files, sweep_file=digest).problems
        assert problem.startswith(f"{path}: ")
        assert "writes it anew" in problem


@pytest.mark.parametrize("path", BEFORE)
def test_what_was_written_before_there_were_seals_is_read(files, path):
    files.write(path, BEFORE[path])
    assert verify(files).problems == []
    for damaged in (BEFORE[path][: len(BEFORE[path]) // 2] + b"\xff: [", b""):
        files.write(path, damaged)
        (problem,) = verify(files).problems
        assert problem.startswith(f"{path}: ")


def test_a_sealed_table_is_the_same_table():
    assert pq.read_table(pa.BufferReader(WRITTEN[COMPARISONS])).equals(TABLE)
    assert pq.read_table(pa.BufferReader(BEFORE[COMPARISONS])).equals(TABLE)


def test_strays_at_the_root_are_named(files):
    files.write("report.html", b"<html>")
    files.write("notes.txt", b"mine")
    found = verify(files)
    assert (found.problems, found.notes) == (
        [],
        ["notes.txt: none of the sweep's files; nothing reads it"],
    )


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"shard": "s00008", "attempts": 3, "error": "out of luck"}']
)
def test_a_damaged_record_of_a_failure_is_named(files, data):
    files.write("failed/s00009.json", data)
    (problem,) = verify(files).problems
    assert problem.startswith("failed/s00009.json: ")
    with pytest.raises(CorruptResults, match=r"failed/s00009\.json: "):
        read_failures(files)
