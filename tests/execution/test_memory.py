"""A device without memory for all shards at once: fewer are computed, the results are the same."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from sweep_engine import execution, planning
from sweep_engine.backends import LocalBackend
from sweep_engine.execution import worker, workers
from sweep_engine.execution.turns import Turns
from sweep_engine.spec import Sweep
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


@pytest.mark.parametrize(("room", "at_once"), [(1, [1]), (2, [1, 2]), (5, [5])])
def test_fewer_are_computed_at_once_where_memory_does_not_suffice(room, at_once):
    memory, turns = Memory(room), Turns(5)
    with ThreadPoolExecutor(5) as pool:
        found = pool.map(
            lambda i: turns.take(lambda: memory.use(MemoryError(), lambda: i)), range(12)
        )
    assert list(found) == list(range(12))
    assert turns.at_once in at_once
    assert bool(memory.failures) == (room < 5)


def test_what_does_not_fit_alone_is_an_error():
    turns = Turns(4)
    with pytest.raises(MemoryError):
        turns.take(lambda: Memory(0).use(MemoryError(), lambda: None))
    assert turns.at_once == 1
    assert turns.take(lambda: "free again") == "free again"


def test_shards_that_ran_out_of_memory_are_done_again_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(planning, "RUNS_PER_SHARD", 8)
    monkeypatch.setattr(workers, "num_cores", lambda: 4)
    sweep = Sweep.model_validate(
        {
            "name": "memory",
            "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 6},
            "model": {"kind": "mlp", "widths": [4]},
            "sources": {"sgd": {"kind": "train", "stop": {"max_steps": 20}, "runs": 32}},
            "observables": ["function"],
            "execution": {"lanes": 8},
        }
    )
    execution.run(sweep, tmp_path / "whole")
    memory, real = Memory(1), worker.work
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory (injected)")
    monkeypatch.setattr(worker, "work", lambda *given: memory.use(error, lambda: real(*given)))
    made = lambda: LocalBackend(4)  # noqa: E731
    assert execution.run(sweep, tmp_path / "short", make_backend=made, fail_fast=True).is_complete
    assert memory.failures > 0
    assert tables(tmp_path / "whole") == tables(tmp_path / "short")
