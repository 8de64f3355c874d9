"""Killed, stopped, grown, failed: the tables end up as those of one uninterrupted run.

Run as a script, this file is the process whose forked children run the command line.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from sweep_engine import cli
from sweep_engine.backends import LocalBackend
from sweep_engine.errors import Interrupted, OutputError, ShardFailed
from sweep_engine.execution import Quiet, run
from sweep_engine.execution.driver.loop import Loop
from sweep_engine.execution.worker import worker as worker_module
from sweep_engine.kernels.native import COMPILERS
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, OutputDirectory, open_results, read_failures, verify
from sweep_engine.store.manifest import read_manifest

RUNS_PER_SHARD, DRAWS_PER_SHARD = 3, 16
NUM_KILLS = 6
DEADLINE = 120.0

RATE = "sources.sgd.optimizer.learning_rate"
GAUSSIAN = {"kind": "gaussian", "std": 1.0}
SGD = {
    "kind": "train",
    "init": GAUSSIAN,
    "optimizer": {"kind": "sgd", "learning_rate": 0.5},
    "batch_size": 2,
    "stop": {"max_steps": 100},
    "runs": 30,
}
GUESS = {"kind": "guess_and_check", "law": GAUSSIAN, "accepted": 12, "max_draws": 4000}
INIT = {"kind": "prior", "law": GAUSSIAN, "draws": 60}
SWEEP = {
    "name": "resume",
    "seed": 2,
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "sources": {
        "ticket": SGD | {"init": {"from": "sgd", "mask": {"keep": 0.5}}, "runs": 12},
        "sgd": SGD,
        "guess": GUESS,
        "init": INIT,
        "accepted": {"kind": "snapshot", "from": "guess"},
    },
    "axes": {RATE: [0.5, 0.25]},
    "observables": ["norms", "function"],
    "execution": {"lanes": 4},
}
KERNEL = {
    **SWEEP,
    "sources": {"sgd": SGD, "init": INIT},
    "execution": {"lanes": 4, "implementation": "cpu"},
}
SMALL = {
    **SWEEP,
    "sources": {"sgd": SGD | {"runs": 7}, "init": INIT | {"draws": 20}},
    "observables": ["norms"],
}


def sweep(**changes):
    return Sweep.model_validate(SMALL | changes)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", RUNS_PER_SHARD)
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", DRAWS_PER_SHARD)


def tables(out):
    """Everything in the tables, sorted, to the last bit; tallies added up over shards."""
    results = open_results(out)
    names = ("setting", "what", "function_id", "function")
    counts = results.tallies().group_by(names).aggregate([("count", "sum")])
    sources = {path.parent.parent.name.split("=")[1] for path in out.glob("params/*/*/*")}
    params = [
        (part.source, part.bucket, int(run_id), int(step), theta.tobytes())
        for source in sources
        for part in results.params(source)
        for run_id, step, theta in zip(part.run_id, part.step, part.theta, strict=True)
    ]
    found = {
        "runs": results.runs().to_pylist(),
        "curves": results.curves().to_pylist(),
        "tallies": counts.to_pylist(),
        "params": params,
    }
    assert all(found.values()), "a table is empty"
    return {name: sorted(map(repr, rows)) for name, rows in found.items()}


def assert_whole(out):
    """No table says anything that the ledger does not, even right after a kill."""
    problems = verify(LocalFiles(out)).problems
    assert not problems


# --- killed and stopped -------------------------------------------------------------------


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    """Starts and awaits processes that have the imports behind them."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    ) as process:

        def ask(*words):
            process.stdin.write(json.dumps([str(word) for word in words]) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield ask
        process.stdin.close()


def serve():
    """Answer `start ARGUMENTS` with a process id, `wait ID` with its exit code."""
    sizes.RUNS_PER_SHARD, sizes.DRAWS_PER_SHARD = RUNS_PER_SHARD, DRAWS_PER_SHARD
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup pytest` ignores it
    for line in sys.stdin:
        command, *words = json.loads(line)
        if command == "wait":
            print(os.waitstatus_to_exitcode(os.waitpid(int(words[0]), 0)[1]), flush=True)
        elif child := os.fork():
            print(child, flush=True)
        else:
            sys.argv = ["sweep-engine", *words]
            with Path(os.devnull).open("w") as null, redirect_stdout(null), redirect_stderr(null):
                cli.main()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "sweep.yaml"
    path.write_text(json.dumps(SWEEP))
    return path


@pytest.fixture(scope="module")
def uninterrupted(nursery, spec):
    out = spec.parent / "uninterrupted"
    assert nursery("wait", nursery("start", "run", spec, "--out", out)) == 0
    return tables(out)


@pytest.fixture(scope="module")
def spec_of_kernel(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernel") / "sweep.yaml"
    path.write_text(json.dumps(KERNEL))
    return path


def num_done(out):
    return len(list(out.glob("ledger/*.json")))


def await_shards(out, number):
    end = time.monotonic() + DEADLINE
    while num_done(out) < number:
        assert time.monotonic() < end, "the run makes no progress"
        time.sleep(0.002)


@pytest.mark.parametrize(
    "num_kills", [NUM_KILLS, pytest.param(30, marks=pytest.mark.long)], ids="kills={}".format
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path, nursery, spec, uninterrupted, num_kills):
    kill_and_resume(tmp_path, nursery, spec, uninterrupted, num_kills)


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="NO C++ COMPILER")
def test_killed_and_resumed_by_the_kernel_too(tmp_path, nursery, spec_of_kernel):
    out = spec_of_kernel.parent / "uninterrupted"
    assert nursery("wait", nursery("start", "run", spec_of_kernel, "--out", out)) == 0
    choices = read_manifest(OutputDirectory(out)).choices("sgd")
    assert list(choices) == ["cpu"]
    kill_and_resume(tmp_path, nursery, spec_of_kernel, tables(out), 2)


def kill_and_resume(tmp_path, nursery, spec, uninterrupted, num_kills):
    moments, killed, attempt = random.Random(num_kills), 0, 0
    total = num_done(spec.parent / "uninterrupted")
    while killed < num_kills:
        out = tmp_path / str(attempt)
        child = nursery("start", "run", spec, "--out", out)
        target = min(num_done(out) + moments.randint(0, 3), total)
        if target > 0:
            await_shards(out, target)
        time.sleep(moments.uniform(0.0, 0.05 if target else 1.0))
        os.kill(child, signal.SIGKILL)
        was_killed = nursery("wait", child) == -signal.SIGKILL
        killed, attempt = killed + was_killed, attempt + (not was_killed)
        if num_done(out):
            assert_whole(out)
    outs = [tmp_path / str(index) for index in range(attempt + 1)]
    for out in outs:
        assert nursery("wait", nursery("start", "run", spec, "--out", out)) == 0
        assert tables(out) == uninterrupted


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGHUP, signal.SIGHUP], [signal.SIGTERM, signal.SIGHUP]],
    ids=["TERM", "a terminal that is closed", "TERM and then HUP"],
)
def test_a_signal_ends_it_with_exit_code_3_and_keeps_what_is_done(
    tmp_path, nursery, spec, uninterrupted, signals
):
    out = tmp_path / "out"
    child = nursery("start", "run", spec, "--out", out)
    await_shards(out, 2)
    for number in signals:
        os.kill(child, number)
        time.sleep(0.05)  # else the second may come before the first was heeded
    assert nursery("wait", child) == 3
    assert_whole(out)
    committed = stamps(out)
    assert nursery("wait", nursery("start", "run", spec, "--out", out)) == 0
    assert committed.items() <= stamps(out).items()
    assert tables(out) == uninterrupted


def test_asked_to_stop(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interrupted, match="run again"):
        run(sweep(), out, should_stop=lambda: num_done(out) >= 2)
    assert_whole(out)
    done = num_done(out)
    summary = run(sweep(), out)
    assert summary.is_complete
    assert summary.computed == summary.done - done


def test_asked_to_stop_once_all_is_done(tmp_path, monkeypatch):
    """There is nothing to go on with: it says that it is complete."""
    out, few = tmp_path / "out", sweep(sources={"init": INIT | {"draws": 3}}, axes={})
    step, is_over = Loop._step, [False]

    def stepping(loop):
        step(loop)
        is_over.append(loop.schedule.is_over)

    monkeypatch.setattr(Loop, "_step", stepping)
    summary = run(few, out, should_stop=lambda: is_over[-1])
    assert summary.is_complete
    assert summary.done == 1


# --- grown --------------------------------------------------------------------------------


def stamps(out):
    """Bytes and time of every committed file."""
    files = [*out.glob("*/source=*/*/*.parquet"), *out.glob("ledger/*")]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


GROWN = {
    "more runs": {"sources": {"sgd": SGD | {"runs": 11}, "init": INIT | {"draws": 20}}},
    "more draws": {"sources": {"sgd": SGD | {"runs": 7}, "init": INIT | {"draws": 50}}},
    "an axis point": {"axes": {RATE: [0.5, 0.25, 0.125]}},
    "another source": {"sources": {**SMALL["sources"], "late": INIT | {"draws": 9}}},
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A complete run of the small sweep; made once, copied for each test."""
    out = tmp_path_factory.mktemp("begun") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", RUNS_PER_SHARD)
        patch.setattr(sizes, "DRAWS_PER_SHARD", DRAWS_PER_SHARD)
        assert run(sweep(), out).is_complete
    return out


@pytest.mark.parametrize("change", GROWN.values(), ids=GROWN)
def test_a_grown_sweep_computes_only_what_is_new(tmp_path, begun, change):
    out = tmp_path / "grown"
    subprocess.run(["cp", "-a", begun, out], check=True)
    before, small, big = stamps(out), plan(sweep()), sweep(**change)
    summary = run(big, out)
    assert summary.is_complete
    assert before.items() <= stamps(out).items(), "a committed file was touched"
    assert summary.computed == summary.done - len(small.shards) > 0
    assert summary.plan.shards[: len(small.shards)] == small.shards
    afresh = tmp_path / "afresh"
    assert run(big, afresh).is_complete
    assert tables(out) == tables(afresh)


MORE_RUNS = GROWN["more runs"]
CHANGED = {
    "other observables": {"observables": ["norms", "margin"]},
    "other observables and more runs": {"observables": ["norms", "margin"], **MORE_RUNS},
    "other rows with params": {"store": {"params": "none"}, **MORE_RUNS},
    "an axis for the runs that are there": {
        "axes": {RATE: [0.5, 0.25], "sources.init.law.std": [1.0, 2.0]}
    },
    "no more the axis of the runs that are there": {"axes": {}},
    "fewer axis points": {"axes": {RATE: [0.25]}},
    "a source less": {"sources": {"sgd": SMALL["sources"]["sgd"]}},
    "other lanes": {"execution": {"lanes": 8}},
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_what_is_no_growth_is_refused_and_changes_nothing(tmp_path, begun, change):
    """Else the tables would differ from those of the sweep that sweep.json claims."""
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", begun, out], check=True)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="another"):
        run(sweep(**change), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_comparisons_may_change(tmp_path, begun):
    """They are no part of the runs."""
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", begun, out], check=True)
    asked = {"source": "sgd", "reference": "init", "observable": "l2_norm"}
    assert run(sweep(compare=[asked]), out).computed == 0
    assert read_manifest(OutputDirectory(out)).plan.sweep.compare[0].observable == "l2_norm"


def test_the_tables_do_not_depend_on_the_number_of_workers(tmp_path, begun):
    for number in (1, 3):
        out = tmp_path / str(number)
        run(sweep(), out, make_backend=lambda n=number: LocalBackend(n))
        assert tables(out) == tables(begun)


# --- failed -------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    """The work on one shard raises, until `broken()` is called."""
    victim = plan(sweep()).shards[1]
    sound = worker_module.work

    def work(programs, pieces, control, inputs):
        if [(p.setting.id, p.start, p.stop) for p in pieces] == list(victim.pieces):
            raise ZeroDivisionError("this shard's code is wrong")
        return sound(programs, pieces, control, inputs)

    monkeypatch.setattr(worker_module, "work", work)
    return victim, lambda: monkeypatch.setattr(worker_module, "work", sound)


def test_a_shard_that_fails_costs_that_shard_alone(tmp_path, broken, begun):
    victim, repair = broken
    out = tmp_path / "out"
    summary = run(sweep(), out, display=Quiet())
    assert (summary.failed, summary.missing) == (1, 0)
    assert not summary.is_complete
    assert summary.computed == len(summary.plan.shards) - 1
    assert_whole(out)
    (failure,) = read_failures(OutputDirectory(out).files).values()
    assert (failure.shard, failure.attempts) == (victim.id, 3)
    assert "ZeroDivisionError: this shard's code is wrong" in failure.error
    repair()
    assert run(sweep(), out, failed_only=True).computed == 1
    assert not read_failures(OutputDirectory(out).files)
    assert tables(out) == tables(begun)


def test_fail_fast(tmp_path, broken):
    with pytest.raises(ShardFailed, match="this shard's code is wrong"):
        run(sweep(), tmp_path / "out", fail_fast=True)


def test_exit_codes_of_a_failure_and_its_retry(tmp_path, broken, monkeypatch, capsys):
    victim, repair = broken
    spec, out = tmp_path / "sweep.yaml", tmp_path / "out"
    spec.write_text(json.dumps(SMALL))

    def code(*words):
        monkeypatch.setattr(sys, "argv", ["sweep-engine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0

    assert code("run", spec, "--out", out) == 1
    assert f"sweep-engine retry {out}" in capsys.readouterr().err
    assert code("status", out) == 0
    assert f"{victim.id}: ZeroDivisionError" in capsys.readouterr().out
    assert code("verify", out) == 1, "a shard is missing"
    assert code("retry", out, "--fail-fast") == 1
    repair()
    assert code("retry", out) == 0
    assert code("verify", out) == 0


if __name__ == "__main__":
    serve()
