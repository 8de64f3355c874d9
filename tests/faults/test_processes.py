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

from sweep_engine.store import LocalFiles, verify

from .workload import assert_complete, assert_whole, expected_rows, session


@pytest.fixture(scope="module")
def nursery():
    script = Path(__file__).with_name("nursery.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield lambda *words: ask(process, *words)
        process.stdin.close()


def ask(process, *words):
    process.stdin.write(" ".join(map(str, words)) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


@pytest.mark.parametrize(
    "num_kills", [30, pytest.param(100, marks=pytest.mark.long)], ids="kills={}".format
)
def test_killed_at_random_points(tmp_path, nursery, num_kills):
    """Kill, resume and kill again until the sweep is complete; then begin another."""
    delays, num_shards = random.Random(num_kills), 20
    killed = completed = 0
    while killed < num_kills:
        root = tmp_path / str(completed)
        child = nursery("start", root, num_shards, "session", tmp_path / "won")
        time.sleep(delays.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        was_killed = nursery("wait", child) == signal.SIGKILL
        killed, completed = killed + was_killed, completed + (not was_killed)
        assert_whole(root, num_shards)
    for root in (tmp_path / str(index) for index in range(completed + 1)):
        for _ in range(2):  # the second clears what attempts left on shards the first committed
            session(LocalFiles(root), num_shards)
        assert_complete(root, num_shards)
        found = verify(LocalFiles(root), expected_rows(num_shards))
        assert (found.problems, found.notes) == ([], [])


@pytest.mark.parametrize(
    "num_shards", [100, pytest.param(500, marks=pytest.mark.long)], ids="shards={}".format
)
def test_eight_processes_race_for_every_shard(tmp_path, nursery, num_shards):
    root, reports = tmp_path / "out", [tmp_path / f"won{i}" for i in range(8)]
    children = [nursery("start", root, num_shards, "race", report) for report in reports]
    (tmp_path / "go").touch()
    assert [nursery("wait", child) for child in children] == [0] * 8
    won = [shard for report in reports for shard in json.loads(report.read_text())]
    assert sorted(won) == sorted(expected_rows(num_shards))
    assert sum(report.read_text() != "[]" for report in reports) > 1, "there was no race"
    assert_complete(root, num_shards)
    found = verify(LocalFiles(root), expected_rows(num_shards))
    assert (found.problems, found.notes) == ([], [])


def test_a_frozen_worker_that_comes_back_changes_nothing(tmp_path, nursery):
    root, num_shards, delays = tmp_path / "out", 20, random.Random(0)
    (tmp_path / "go").touch()
    child = nursery("start", root, num_shards, "race", tmp_path / "won")
    for _ in range(20):
        time.sleep(delays.uniform(0.0, 0.02))
        os.kill(child, signal.SIGSTOP)
        session(LocalFiles(root), num_shards)
        os.kill(child, signal.SIGCONT)
    nursery("wait", child)
    session(LocalFiles(root), num_shards)
    assert_complete(root, num_shards)
    assert verify(LocalFiles(root), expected_rows(num_shards)).problems == []
