"""A device without memory for all shards at once: fewer are computed, the results are the same."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from sweep_engine import execution
from sweep_engine.backends import LocalBackend
from sweep_engine.execution.worker import concurrency, worker, workers
from sweep_engine.execution.worker.concurrency import Concurrency
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, read_ledger
from tests.execution.test_resume import tables


class Memory:
    """Has room for so many at once; a part of the work is to wait for the others."""

    def __init__(self, room):
        self.room, self.failures = room, 0
        self._computing, self._lock = 0, threading.Lock()

    def use(self, error, then):
        with self._lock:
            self._computing += 1
            fits = self._computing <= self.room
            self.failures += not fits
        time.sleep(0.05)
        with self._lock:
            self._computing -= 1
        if not fits:
            raise error
        return then()


def small(runs):
    return Sweep.model_validate(
        {
            "name": "memory",
            "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 6},
            "model": {"kind": "mlp", "widths": [4]},
            "sources": {"sgd": {"kind": "train", "stop": {"max_steps": 20}, "runs": runs}},
            "observables": ["function"],
            "execution": {"lanes": 8},
        }
    )


def entries(out):
    return read_ledger(OutputDirectory(out).files).shards.values()


@pytest.mark.parametrize(("room", "at_once"), [(1, [1]), (2, [1, 2]), (5, [5])])
def test_fewer_are_computed_at_once_where_memory_does_not_suffice(room, at_once):
    memory, taken = Memory(room), Concurrency(5)
    with ThreadPoolExecutor(5) as pool:
        found = pool.map(
            lambda i: taken.take(lambda: memory.use(MemoryError(), lambda: i)), range(12)
        )
    assert list(found) == list(range(12))
    assert taken.at_once in at_once
    assert bool(memory.failures) == (room < 5)


def test_what_does_not_fit_alone_is_an_error():
    taken = Concurrency(4)
    with pytest.raises(MemoryError):
        taken.take(lambda: Memory(0).use(MemoryError(), lambda: None))
    assert taken.at_once == 1
    assert taken.take(lambda: "free again") == "free again"


class Clock:
    """What calls would take on a machine that is kept busy by so many at once."""

    def __init__(self, busy_with, room=99):
        self.busy_with, self.room, self.counts = busy_with, room, []

    def seconds(self, call, at_once):
        self.counts.append(at_once)
        if at_once > self.room:
            return float("inf")
        return max(1.0, at_once / self.busy_with) ** 1.2


@pytest.mark.parametrize(
    ("clock", "found"),
    [(Clock(8), 8), (Clock(4), 4), (Clock(1), 1), (Clock(8, room=2), 2), (Clock(8, room=0), 1)],
)
def test_as_many_at_once_as_get_the_most_done(monkeypatch, clock, found):
    """Beyond what keeps the machine busy, twice as many take 2.3 times as long."""
    monkeypatch.setattr(concurrency, "_seconds", clock.seconds)
    assert concurrency.fastest(lambda: None, 8) == found


def test_it_is_measured_once_and_not_with_long_calls(monkeypatch):
    clock, known = Clock(1), Concurrency(4)
    monkeypatch.setattr(concurrency, "_seconds", clock.seconds)
    known.measure(lambda: None)
    tried = len(clock.counts)
    known.measure(lambda: None)
    assert (known.at_once, len(clock.counts)) == (1, tried)
    monkeypatch.setattr(concurrency, "LONG_SECONDS", 0.5)
    for known in (Concurrency(4), Concurrency(4, most=8)):
        known.measure(lambda: None)
        assert known.at_once == 4


def test_a_call_that_fails_fails_the_shard_that_made_it():
    with pytest.raises(ZeroDivisionError):
        Concurrency(2).measure(lambda: 1 / 0)


def test_a_sweep_says_how_many_were_computed_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 8)
    monkeypatch.setattr(workers, "num_cores", lambda: 4)
    monkeypatch.setattr(worker, "WORTH_SHARDS", 1)
    monkeypatch.setattr(concurrency, "_seconds", Clock(2).seconds)
    sweep = small(runs=64)
    execution.run(sweep, tmp_path / "measured", make_backend=lambda: LocalBackend(4))
    told = {entry.receipt["at_once"] for entry in entries(tmp_path / "measured")}
    assert told == {2}
    monkeypatch.setattr(concurrency, "_seconds", Clock(4).seconds)
    execution.run(sweep, tmp_path / "other", make_backend=lambda: LocalBackend(4))
    assert {entry.receipt["at_once"] for entry in entries(tmp_path / "other")} == {4}
    assert tables(tmp_path / "measured") == tables(tmp_path / "other")


def test_shards_that_ran_out_of_memory_are_done_again_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 8)
    monkeypatch.setattr(workers, "num_cores", lambda: 4)
    sweep = small(runs=32)
    execution.run(sweep, tmp_path / "whole")
    memory, real = Memory(1), worker.work
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory (injected)")
    monkeypatch.setattr(worker, "work", lambda *given: memory.use(error, lambda: real(*given)))
    made = lambda: LocalBackend(4)  # noqa: E731
    assert execution.run(sweep, tmp_path / "short", make_backend=made, fail_fast=True).is_complete
    assert memory.failures > 0
    assert tables(tmp_path / "whole") == tables(tmp_path / "short")
