"""A Ray that is gone is noticed without asking Ray, and the driver ends with a reason."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweep_engine import stopping
from sweep_engine.backends.ray import door, roll
from sweep_engine.backends.ray.roll import HEAD_GONE, NODE_GONE, Roll
from sweep_engine.errors import ClusterGone
from tests.backends import heads
from tests.examples import BOOLEAN

DEADLINE = 120.0


class Lives:
    """A raylet that lives for so many looks, each of which takes no time."""

    def __init__(self, looks):
        self.looks = looks

    def lives_for(self, seconds):
        self.looks -= 1
        time.sleep(0.01)
        return self.looks >= 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def called(monkeypatch):
    """Calls the roll of no machines, beside a raylet; `words` are the last ones of the process."""
    words, made = [], []
    monkeypatch.setattr(stopping, "give_up", words.append)
    monkeypatch.setattr(door, "alive_nodes", list)

    def call(raylet, grace=DEADLINE):
        monkeypatch.setattr(door, "OwnNode", lambda: raylet)
        monkeypatch.setattr(roll, "GRACE_SECONDS", grace)
        made.append(Roll())
        return made[-1]

    yield SimpleNamespace(call=call, words=words)
    for each in made:
        each.close()


def await_that(is_true):
    end = time.monotonic() + DEADLINE
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def await_gone(roll):
    await_that(lambda: roll.gone)
    with pytest.raises(ClusterGone) as caught:
        roll.check()
    return str(caught.value)


def test_a_raylet_that_dies_ends_the_driver_which_notices_it(called):
    roll = called.call(Lives(5))
    assert await_gone(roll) == NODE_GONE
    roll.close()
    time.sleep(0.1)
    assert called.words == [], "it ended by itself"


def test_a_driver_that_ray_holds_up_is_ended(called):
    called.call(Lives(5), grace=0.05)
    await_that(lambda: called.words)
    assert called.words == [NODE_GONE]


def test_a_head_that_does_not_answer_is_gone_after_a_while(called, monkeypatch):
    def away():
        raise ConnectionError

    roll_of_a_head = called.call(Lives(10**6))
    time.sleep(0.2)
    assert roll_of_a_head.gone is None
    monkeypatch.setattr(door, "alive_nodes", away)
    monkeypatch.setattr(roll, "HEAD_SECONDS", 0.3)
    assert await_gone(roll_of_a_head) == HEAD_GONE


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """What a raylet has: a socket that others connect to."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "raylet"))
        listening.listen()
        node = SimpleNamespace(raylet_socket_name=str(tmp_path / "raylet"))
        worker = SimpleNamespace(
            _private=SimpleNamespace(worker=SimpleNamespace(_global_node=node))
        )
        monkeypatch.setattr(door, "ray", worker)
        yield listening


def test_a_raylet_lives_as_long_as_it_can_be_connected_to(listening):
    with door.OwnNode() as node:
        first, _ = listening.accept()
        assert node.lives_for(0.01)
        first.close()
        assert node.lives_for(DEADLINE), "it has dropped this connection, and takes another"
        second, _ = listening.accept()
        listening.close()
        second.close()
        assert not node.lives_for(DEADLINE)
        assert not node.lives_for(DEADLINE)
    with door.OwnNode() as late:
        assert not late.lives_for(DEADLINE)


@pytest.mark.long
def test_a_raylet_is_killed_under_the_driver(tmp_path):
    """The command ends with 3 and a reason, and goes on if it is given again."""
    spec, out = tmp_path / "sweep.yaml", tmp_path / "out"
    (tmp_path / "home").mkdir()
    init = BOOLEAN["sources"]["init"] | {"draws": 10**7, "keep": "none"}
    spec.write_text(json.dumps(BOOLEAN | {"sources": {"init": init}, "compare": []}))
    command = [sys.executable, "-m", "sweep_engine.cli", "run", str(spec), "--out", str(out)]
    with subprocess.Popen(
        [*command, "--backend", "ray"], env=heads.unprepared(tmp_path / "home"),
        stderr=subprocess.PIPE, text=True, cwd=heads.ROOT,
    ) as driver:  # fmt: skip
        try:
            await_that(lambda: driver.poll() is not None or list(out.glob("ledger/*.json")))
            raylet = raylet_of(driver.pid)
            folder = private_folder_of(raylet)
            os.kill(raylet, signal.SIGKILL)
            assert driver.wait(DEADLINE) == 3
            assert NODE_GONE in driver.stderr.read()
            await_that(lambda: not folder.exists())
        finally:
            driver.kill()


def raylet_of(driver):
    (raylet,) = (
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/stat")
        if f"(raylet) S {driver} " in entry.read_text()
    )
    return raylet


def private_folder_of(raylet):
    words = Path(f"/proc/{raylet}/cmdline").read_bytes().decode()
    (folder,) = set(re.findall(r"/tmp/ray-[a-z0-9_]+", words))
    return Path(folder)
