"""INT, TERM and HUP, wherever they meet a process: it ends within seconds, with exit code 3."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sweep_engine import stopping
from sweep_engine.stopping import INTERRUPTED, SIGNALS, Stop
from tests.examples import BOOLEAN

ROOT = Path(__file__).parents[1]
DEADLINE = 120.0
_begun: list[subprocess.Popen] = []
every_signal = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


class Recorded:
    """A wish to stop whose process does not end, and what was done about it."""

    def __init__(self):
        self.said, self.ended = [], []
        self.stop = Stop(self.said.append, self.ended.append)


@every_signal
def test_where_nothing_can_be_lost_it_ends_at_once(number):
    recorded = Recorded()
    recorded.stop.heed(number)
    assert recorded.ended == [INTERRUPTED]
    assert "the same command goes on" in recorded.said[0]


def test_last_words_hold_for_a_while():
    recorded = Recorded()
    with recorded.stop.last_words("the job goes on"):
        recorded.stop.heed(signal.SIGINT)
    assert recorded.said == ["the job goes on"]
    recorded = Recorded()
    with recorded.stop.last_words("the job goes on"):
        pass
    recorded.stop.heed(signal.SIGINT)
    assert recorded.said != ["the job goes on"]


@every_signal
def test_work_is_asked_and_left_when_it_does_not_heed(number, monkeypatch):
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)
    recorded = Recorded()
    with recorded.stop.gently() as should_stop:
        assert not should_stop()
        recorded.stop.heed(number)
        assert should_stop()
        assert recorded.ended == []
        await_that(lambda: recorded.ended)
    assert recorded.ended == [INTERRUPTED]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_one_ends_it(second):
    recorded = Recorded()
    with recorded.stop.gently():
        recorded.stop.heed(signal.SIGHUP)
        recorded.stop.heed(second)
    assert recorded.ended == [128 + second]


def test_a_second_hangup_of_a_terminal_does_not():
    recorded = Recorded()
    with recorded.stop.gently():
        recorded.stop.heed(signal.SIGTERM)
        recorded.stop.heed(signal.SIGHUP)
    recorded.stop.heed(signal.SIGHUP)  # of its shell, after the work has ended
    assert recorded.ended == []


ASKED = """
import os, signal, time
from sweep_engine.stopping import heeded

with heeded(lambda text: None) as stop, stop.gently():
    os.kill(os.getpid(), signal.SIGHUP)
    while not stop.is_asked:
        time.sleep(0.01)
    time.sleep(0.1)  # it has been heeded
print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
"""


def test_nor_one_while_python_ends():
    """Python then gives every signal its default back, but for those that are ignored."""
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, timeout=DEADLINE)
    assert done.stdout.decode() == "True\n"


def test_what_would_outlive_the_process_is_ended():
    recorded, ended = Recorded(), []
    with recorded.stop.gently():
        with recorded.stop.ending(lambda: ended.append("before")):
            pass
        with recorded.stop.ending(lambda: ended.append("meanwhile")):
            recorded.stop.heed(signal.SIGTERM)
            assert ended == ["meanwhile"]
        with recorded.stop.ending(lambda: ended.append("after")):
            assert ended == ["meanwhile", "after"], "it was asked already"


@pytest.mark.parametrize("ignored", [True, False], ids=["nohup", "a terminal"])
def test_who_was_told_to_ignore_a_hangup_ignores_it(ignored):
    program = f"""
import os, signal
from sweep_engine.stopping import heeded
signal.signal(signal.SIGHUP, signal.{"SIG_IGN" if ignored else "SIG_DFL"})
with heeded(print):
    os.kill(os.getpid(), signal.SIGHUP)
    import time; time.sleep(0.2)
"""
    assert started(program).wait(DEADLINE) == (0 if ignored else INTERRUPTED)


def test_handlers_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with stopping.heeded(print):
        assert signal.getsignal(signal.SIGTERM) != before[-1]
    assert [signal.getsignal(number) for number in SIGNALS] == before


@every_signal
def test_a_long_call_into_a_library_keeps_no_signal_waiting(number):
    """Python's own handlers would run after it."""
    program = """
import ctypes
from sweep_engine import stopping
stopping.GRACE_SECONDS = 0.1
with stopping.heeded(print) as stop, stop.gently():
    print("up", flush=True)
    library = ctypes.CDLL(None)
    while True:
        library.usleep(999_999_999)  # a signal ends a sleep, and work goes on
"""
    process = started(program, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    assert process.wait(DEADLINE) == INTERRUPTED


# --- the command line ---------------------------------------------------------------------


@every_signal
def test_while_the_commands_are_imported(tmp_path, number):
    (tmp_path / "sweep.yaml").write_text(json.dumps(BOOLEAN))
    process = command("run", tmp_path / "sweep.yaml", "--out", tmp_path / "out")
    await_that(lambda: catches(process.pid, signal.SIGTERM))  # the last that is given a handler
    process.send_signal(number)
    assert process.wait(DEADLINE) == INTERRUPTED
    assert not (tmp_path / "out").exists()


DEAR = {"kind": "local_volume", "directions": 40000}


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_while_a_dear_observable_is_computed(tmp_path, number):
    (tmp_path / "sweep.yaml").write_text(json.dumps(BOOLEAN | {"observables": [DEAR]}))
    # Long enough for a busy machine to write down that it stops; the observation takes far longer.
    process = command("run", tmp_path / "sweep.yaml", "--out", tmp_path / "out", grace=4.0)
    progress = tmp_path / "out" / "logs" / "progress.json"
    await_that(progress.exists)
    time.sleep(2.0)  # the training is done, its observation not
    process.send_signal(number)
    assert process.wait(DEADLINE) == INTERRUPTED
    assert json.loads(progress.read_text())["state"] == "stopped"


def test_while_a_kernel_is_compiled(tmp_path):
    """The compiler ends too, and those that it has started."""
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exit\nsleep 1000 & echo $! > {tmp_path}/pid\nwait\n'
    )
    compiler.chmod(0o755)
    asked = BOOLEAN | {"execution": {"implementation": "cpu"}}
    (tmp_path / "sweep.yaml").write_text(json.dumps(asked))
    words = ["run", tmp_path / "sweep.yaml", "--out", tmp_path / "out"]
    process = command(*words, PATH=f"{compiler.parent}:{os.environ['PATH']}")
    await_that(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == INTERRUPTED
    await_that(lambda: has_ended(int((tmp_path / "pid").read_text())))


def command(*words, grace=stopping.GRACE_SECONDS, **environment):
    program = f"""
import sys
from sweep_engine import cli, stopping
from sweep_engine.backends import local
stopping.GRACE_SECONDS, local.CLOSE_SECONDS = {grace}, {grace} / 2
sys.argv = {["sweep-engine", *map(str, words)]}
cli.main()
"""
    return started(program, **environment)


def started(program, stdout=subprocess.DEVNULL, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
    )
    _begun.append(process)
    return process


@pytest.fixture(autouse=True)
def _none_is_left():
    yield
    for process in _begun:
        with process:
            process.kill()
    _begun.clear()


def await_that(happens):
    end = time.monotonic() + DEADLINE
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)


def catches(pid, number):
    """Whether a process has a handler of a signal."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
        return bool(caught >> (number - 1) & 1)
    return False


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
