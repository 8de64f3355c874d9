"""How a run says how it is doing, and what `status` makes of it from elsewhere."""

import json
import os
import subprocess
import sys
import threading

import pytest

from sweep_engine import cli
from sweep_engine.errors import Interrupted
from sweep_engine.execution import read_heartbeat, run
from sweep_engine.execution.driver import heartbeat
from sweep_engine.execution.driver.heartbeat import PATH, STALE_SECONDS, Event, Heartbeat
from sweep_engine.execution.driver.progress import Standing
from sweep_engine.spec import Sweep
from sweep_engine.store import LocalFiles
from tests.shell import call

STANDING = Standing(
    shards=2, all_shards=6, runs=40, all_runs=120, failed=1, seconds=10.0, resumed_runs=20,
    in_flight=3, workers=2, lanes_busy=0.5, first_result_seconds=4.0,
)  # fmt: skip

SWEEP = {
    "name": "beat",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [4]},
    "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 30}},
    "execution": {"lanes": 4},
}


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(heartbeat.time, "time", lambda: Clock.now)
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: Clock.now)
    return Clock


def test_what_a_run_says_of_itself(tmp_path, clock):
    files = LocalFiles(tmp_path)
    beating = Heartbeat(files)
    beating.note(Event(999.0, "lost", "w1", ["s1"]))
    beating.beat(STANDING)
    clock.now += 5
    found = read_heartbeat(files)
    assert found["state"] == "running"
    assert found["age_seconds"] == 5
    assert (found["in_flight"], found["workers"], found["lanes_busy"]) == (3, 2, 0.5)
    assert found["runs_per_second"] == 2.0
    assert found["first_result_seconds"] == 4.0
    assert found["eta_seconds"] == 40.0
    assert found["events"] == [{"at": 999.0, "what": "lost", "worker": "w1", "shards": ["s1"]}]


def test_now_and_then(tmp_path, clock):
    files, beating = LocalFiles(tmp_path), Heartbeat(LocalFiles(tmp_path))
    beating.beat(STANDING)
    before = files.read(PATH)
    clock.now += heartbeat.BEAT_SECONDS / 2
    beating.beat(STANDING)
    assert files.read(PATH) == before
    clock.now += heartbeat.BEAT_SECONDS
    beating.beat(STANDING)
    assert files.read(PATH) != before


def test_a_run_that_is_not_heard_of_is_stale_and_one_that_ended_is_not(tmp_path, clock):
    files = LocalFiles(tmp_path)
    Heartbeat(files).beat(STANDING)
    clock.now += STALE_SECONDS + 1
    assert read_heartbeat(files)["state"] == "stale"
    Heartbeat(files).last(STANDING, "stopped")
    clock.now += STALE_SECONDS + 1
    assert read_heartbeat(files)["state"] == "stopped"


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"written_at": "noon"}'])
def test_a_file_that_says_nothing(tmp_path, text):
    assert read_heartbeat(LocalFiles(tmp_path)) is None
    LocalFiles(tmp_path).write(PATH, text.encode())
    assert read_heartbeat(LocalFiles(tmp_path)) is None


def test_a_full_disk_does_not_end_the_run(tmp_path):
    class Full(LocalFiles):
        def write_all(self, contents):
            raise OSError("no space")

    Heartbeat(Full(tmp_path)).beat(STANDING)


def test_runs_end_as_they_end(tmp_path):
    sweep, out = Sweep.model_validate(SWEEP), tmp_path / "out"
    with pytest.raises(Interrupted):
        run(sweep, out, should_stop=lambda: True)
    assert read_heartbeat(LocalFiles(out))["state"] == "stopped"
    run(sweep, tmp_path / "whole")
    assert read_heartbeat(LocalFiles(tmp_path / "whole"))["state"] == "ended"


def status(out, *words, env=None):
    """From another process, elsewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "sweep_engine.cli", "status", out, *words],
        capture_output=True, text=True, check=True, cwd="/", env=env,
    )  # fmt: skip
    return done.stdout


def test_status_from_elsewhere_while_it_runs(tmp_path, monkeypatch):
    out, seen, may_end = tmp_path / "out", threading.Event(), threading.Event()

    def hold():
        seen.set()
        assert may_end.wait(120)
        return False

    running = threading.Thread(
        target=run, args=(Sweep.model_validate(SWEEP), out), kwargs={"should_stop": hold}
    )
    running.start()
    try:
        assert seen.wait(120)
        text, data = status(out), json.loads(status(out, "--json"))
    finally:
        may_end.set()
        running.join()
    if not data["complete"]:
        assert data["run"]["state"] in ("running", "stale")
        assert f"process {os.getpid()}" in text
    assert json.loads(status(out, "--json"))["run"]["state"] == "ended"


def test_watching_ends_with_the_run(tmp_path, monkeypatch):
    run(Sweep.model_validate(SWEEP), tmp_path)
    states = iter(["running", "running", "ended", "running"])
    found = cli._status(str(tmp_path))
    monkeypatch.setattr(cli, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(
        cli, "_status", lambda results: found | {"run": found["run"] | {"state": next(states)}}
    )
    assert call("status", tmp_path, "--watch").out.count("shards done,") == 3
    assert next(states) == "running"
    states = iter(["running", "running"])
    assert call("status", tmp_path).out.count("shards done,") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "running", "accepted": 2, "accepted_of": 9}, "2 of 9 accepted, about 40.0 s"),
        ({"state": "running"}, "3 shards in flight on 2 workers, 2 runs/s, lanes 50% busy"),
        (
            {"state": "running", "first_result_seconds": 2.0},
            "about 40.0 s left, its first result after 2.0 s",
        ),
        (
            {"state": "stale"},
            "Stale: no sign of life for 7.0 s from process 1 on here; it has died",
        ),
        ({"state": "stopped"}, "Not running: the last run stopped 7.0 s ago. Repeat the same"),
    ],
)
def test_in_words(changes, said):
    run_data = {
        "in_flight": 3, "workers": 2, "runs_per_second": 2.0, "lanes_busy": 0.5,
        "eta_seconds": 40.0, "driver": "process 1 on here", "age_seconds": 7.0,
    }  # fmt: skip
    assert said in cli._run_line(run_data | changes)
