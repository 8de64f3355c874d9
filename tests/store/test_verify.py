import pytest

from sweep_engine.store import ShardFiles, commit_shard, record_failure, verify
from sweep_engine.store.encoding import to_parquet
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


WRITTEN = {COMPARISONS: to_parquet(shard_tables(0)["runs"]), SWEEP_YAML: b"name: a sweep\n"}


@pytest.mark.parametrize("path", WRITTEN)
def test_what_no_entry_of_the_ledger_names_is_read_too(files, path):
    whole = WRITTEN[path]
    files.write(path, whole)
    assert verify(files).problems == []
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0x80
    for damaged in (bytes(flipped), whole[: len(whole) // 2] + b"\xff: [", b""):
        files.write(path, damaged)
        (problem,) = verify(files).problems
        assert problem.startswith(f"{path}: is damaged")
