"""Fail the first, the second, the third... operation of a session, then resume it."""

import contextlib
import io
import itertools

import pyarrow.parquet as pq
import pytest

from sweep_engine.store import LocalFiles, compact, open_files
from sweep_engine.store.encoding import to_parquet

from .faulty import Crash, Fault, FaultyFiles, Saboteur, sabotage_system_calls
from .workload import PLACES, assert_whole, check_then_resume, session

CASES = [
    *(pytest.param("local", [fault], id=f"local-{fault.value}") for fault in Fault),
    pytest.param("localbucket", list(Fault), id="localbucket-in turn"),
    *(
        pytest.param(
            "localbucket", [fault], id=f"localbucket-{fault.value}", marks=pytest.mark.long
        )
        for fault in Fault
    ),
]


@pytest.mark.parametrize(("where", "faults"), CASES)
def test_any_storage_operation_of_a_session_may_fail(place, faults):
    for nth, fault in enumerate(itertools.cycle(faults), start=1):
        files, saboteur = open_files(f"{place}/{nth}"), Saboteur(fault, nth)
        with contextlib.suppress(OSError, Crash):
            session(FaultyFiles(files, saboteur), 2)
        if not saboteur.fired:
            break
        check_then_resume(files, 2)
    assert nth > 10


@pytest.mark.parametrize(("where", "faults"), CASES)
def test_any_storage_operation_of_a_compaction_may_fail(place, faults):
    step = 3 if len(faults) > 1 else 1  # there are many; the long cases fail every one
    for nth, fault in zip(itertools.count(1, step), itertools.cycle(faults), strict=False):
        files, saboteur = open_files(f"{place}/{nth}"), Saboteur(fault, nth)
        session(files, 3)
        with contextlib.suppress(OSError, Crash):
            compact(FaultyFiles(files, saboteur))
        if not saboteur.fired:
            break
        assert_whole(files, 3)
        compact(files)
        assert len(files.sizes("runs")) == 2
        check_then_resume(files, 3)
    assert nth > 10


@pytest.mark.parametrize("fault", Fault)
def test_any_system_call_may_fail(tmp_path, monkeypatch, fault):
    for nth in itertools.count(1):
        files, saboteur = LocalFiles(tmp_path / str(nth)), Saboteur(fault, nth)
        files.create([])
        with monkeypatch.context() as patch, contextlib.suppress(OSError, Crash):
            sabotage_system_calls(patch, saboteur)
            session(files, 1)
        if not saboteur.fired:
            break
        check_then_resume(files, 1)
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


@pytest.mark.parametrize("where", PLACES)
def test_the_oracle_sees_half_a_shard_and_a_doubled_one(place):
    files = open_files(place)
    session(files, 1)
    path = "runs/source=box/bucket=b0/s00000.parquet"
    whole = files.read(path)
    files.write("runs/source=box/bucket=b0/copy.parquet", whole)
    with pytest.raises(AssertionError):
        assert_whole(files, 1)
    files.remove("runs/source=box/bucket=b0/copy.parquet")
    files.write(path, to_parquet(pq.ParquetFile(io.BytesIO(whole)).read().slice(1)))
    with pytest.raises(AssertionError):
        assert_whole(files, 1)
