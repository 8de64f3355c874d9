"""Processes that are killed, and processes that race."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweep_engine.store import open_files, verify
from tests.s3 import environment

from .workload import (
    PLACES,
    assert_complete,
    assert_whole,
    check_then_resume,
    expected_rows,
    session,
)


@pytest.fixture(scope="module")
def nursery(endpoint_of):
    script = Path(__file__).with_name("nursery.py")
    with (
        environment(endpoint_of("localbucket")),
        subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        yield lambda *words: ask(process, *words)
        process.stdin.close()


def ask(process, *words):
    process.stdin.write(" ".join(map(str, words)) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("where", "num_kills"),
    [("local", 30), ("localbucket", 6), long("local", 100), long("localbucket", 100)],
)
def test_killed_at_random_points(place, tmp_path, nursery, where, num_kills):
    """Kill, resume and kill again until the sweep is complete; then begin another."""
    delays, num_shards = random.Random(num_kills), 20
    longest = 0.1 if where == "local" else 0.6
    killed = completed = 0
    while killed < num_kills:
        address = f"{place}/{completed}"
        child = nursery("start", address, num_shards, "session", tmp_path / "won")
        time.sleep(delays.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        was_killed = nursery("wait", child) == signal.SIGKILL
        killed, completed = killed + was_killed, completed + (not was_killed)
        assert_whole(open_files(address), num_shards)
    for number in range(completed + 1):
        check_then_resume(open_files(f"{place}/{number}"), num_shards)


@pytest.mark.parametrize(
    ("where", "num_shards"),
    [("local", 100), ("localbucket", 40), long("local", 500), long("localbucket", 500)],
)
def test_eight_processes_race_for_every_shard(place, tmp_path, nursery, num_shards):
    reports = [tmp_path / f"won{i}" for i in range(8)]
    children = [nursery("start", place, num_shards, "race", report) for report in reports]
    assert [nursery("wait", child) for child in children] == [0] * 8
    won = [shard for report in reports for shard in json.loads(report.read_text())]
    assert sorted(won) == sorted(expected_rows(num_shards))
    assert sum(report.read_text() != "[]" for report in reports) > 1, "there was no race"
    files = open_files(place)
    assert_complete(files, num_shards)
    found = verify(files, expected_rows(num_shards))
    assert (found.problems, found.notes) == ([], [])


@pytest.mark.parametrize("where", PLACES)
def test_a_frozen_worker_that_comes_back_changes_nothing(place, tmp_path, nursery):
    num_shards, delays, files = 20, random.Random(0), open_files(place)
    child = nursery("start", place, num_shards, "all", tmp_path / "won")
    for _ in range(20):
        time.sleep(delays.uniform(0.0, 0.02))
        os.kill(child, signal.SIGSTOP)
        session(files, num_shards)
        os.kill(child, signal.SIGCONT)
    nursery("wait", child)
    session(files, num_shards)
    assert_complete(files, num_shards)
    assert verify(files, expected_rows(num_shards)).problems == []
