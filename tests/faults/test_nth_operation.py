"""Fail the first, the second, the third... operation of a session, then resume it."""

import contextlib
import itertools
import shutil

import pyarrow.parquet as pq
import pytest

from sweep_engine.store import LocalFiles, compact, verify

from .faulty import Crash, Fault, FaultyFiles, Saboteur, sabotage_system_calls
from .workload import assert_complete, assert_whole, expected_rows, session


@pytest.mark.parametrize("fault", Fault)
def test_any_storage_operation_of_a_session_may_fail(tmp_path, fault):
    for nth in itertools.count(1):
        root, saboteur = tmp_path / str(nth), Saboteur(fault, nth)
        with contextlib.suppress(OSError, Crash):
            session(FaultyFiles(root, saboteur), 2)
        if not saboteur.fired:
            break
        check_then_resume(root, 2)
    assert nth > 10


@pytest.mark.parametrize("fault", Fault)
def test_any_storage_operation_of_a_compaction_may_fail(tmp_path, fault):
    session(LocalFiles(tmp_path / "complete"), 3)
    for nth in itertools.count(1):
        root, saboteur = tmp_path / str(nth), Saboteur(fault, nth)
        shutil.copytree(tmp_path / "complete", root)
        with contextlib.suppress(OSError, Crash):
            compact(FaultyFiles(root, saboteur))
        if not saboteur.fired:
            break
        assert_whole(root, 3)
        compact(LocalFiles(root))
        assert len(LocalFiles(root).sizes("runs")) == 2
        check_then_resume(root, 3)
    assert nth > 10


@pytest.mark.parametrize("fault", Fault)
def test_any_system_call_may_fail(tmp_path, monkeypatch, fault):
    for nth in itertools.count(1):
        root, saboteur = tmp_path / str(nth), Saboteur(fault, nth)
        root.mkdir()
        with monkeypatch.context() as patch, contextlib.suppress(OSError, Crash):
            sabotage_system_calls(patch, saboteur)
            session(LocalFiles(root), 1)
        if not saboteur.fired:
            break
        check_then_resume(root, 1)
    assert nth > 20


@pytest.mark.parametrize("fault", Fault)
def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch, fault):
    files = LocalFiles(tmp_path)
    for nth in itertools.count(1):
        saboteur = Saboteur(fault, nth)
        files.write("failed/s1.json", b"old one")
        with monkeypatch.context() as patch, contextlib.suppress(OSError, Crash):
            sabotage_system_calls(patch, saboteur)
            files.write("failed/s1.json", b"new one")
        assert files.read("failed/s1.json") in (b"old one", b"new one")
        if not saboteur.fired:
            break
    assert files.read("failed/s1.json") == b"new one"


def check_then_resume(root, num_shards):
    assert_whole(root, num_shards)
    files = LocalFiles(root)
    for _ in range(2):  # the second clears what attempts left on shards the first committed
        session(files, num_shards)
    assert_complete(root, num_shards)
    found = verify(files, expected_rows(num_shards))
    assert (found.problems, found.notes) == ([], [])


def test_the_oracle_sees_half_a_shard_and_a_doubled_one(tmp_path):
    session(LocalFiles(tmp_path), 1)
    path = tmp_path / "runs/source=box/bucket=b0/s00000.parquet"
    whole = path.read_bytes()
    path.with_name("copy.parquet").write_bytes(whole)
    with pytest.raises(AssertionError):
        assert_whole(tmp_path, 1)
    path.unlink()
    pq.write_table(pq.ParquetFile(path.with_name("copy.parquet")).read().slice(1), path)
    path.with_name("copy.parquet").unlink()
    with pytest.raises(AssertionError):
        assert_whole(tmp_path, 1)


def test_a_commit_that_reports_failure_may_have_happened(tmp_path):
    """The lost reply of the commit point itself: the retry loses, and no row is lost or doubled."""
    files = LocalFiles(tmp_path)
    assert files.put_if_absent("ledger/x.json", b"mine")
    assert files.put_if_absent("ledger/x.json", b"mine")
    assert not files.put_if_absent("ledger/x.json", b"theirs")
