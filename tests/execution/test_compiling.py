"""Buckets are compiled while others are: once each, by threads that would wait otherwise."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from sweep_engine.execution.worker.compiling import Ahead

SECONDS = 20.0
"""Nothing here takes so long; a lock that is never released fails instead of hanging."""


class FakeProgram:
    """Notes when it is compiled; waits for its gate, if it has one, and may fail."""

    def __init__(self, name, log, gate=None, error=None):
        self.name, self.log, self.gate, self.error = name, log, gate, error
        self.begun = threading.Event()

    def compiled(self):
        self.begun.set()
        assert self.gate is None or self.gate.wait(SECONDS)
        if self.error:
            raise self.error
        self.log.append(self.name)


class FakeBuckets:
    """Programs by bucket, as `execution.programs.Programs` has them."""

    def __init__(self, **programs):
        self.programs = programs

    def on_device(self):
        return nullcontext()

    def of(self, name):
        self.asked = name
        return self

    def to_compile(self):
        return [(program, ()) for program in self.programs[self.asked]]


def never():
    return False


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as threads:
        yield threads


def opened(**buckets):
    """Of which one more bucket, the first, has been compiled."""
    ahead = Ahead(FakeBuckets(first=[FakeProgram("first", [])], **buckets), ["first", *buckets])
    ahead.prepare("first", never)
    return ahead


def test_the_first_bucket_is_compiled_alone(pool):
    log, gate = [], threading.Event()
    slow = FakeProgram("a", log, gate)
    ahead = Ahead(FakeBuckets(a=[slow], b=[FakeProgram("b", log)]), "ab")
    first = pool.submit(ahead.prepare, "a", never)
    assert slow.begun.wait(SECONDS)
    second = pool.submit(ahead.prepare, "a", never)
    with pytest.raises(TimeoutError):
        second.result(0.1)
    gate.set()
    first.result(SECONDS)
    second.result(SECONDS)
    assert log == ["a"]


def test_who_would_wait_compiles_the_next_bucket(pool):
    log, gate = [], threading.Event()
    slow = FakeProgram("a", log, gate)
    buckets = {name: [FakeProgram(name, log)] for name in "bc"}
    ahead = opened(a=[slow], **buckets)
    first = pool.submit(ahead.prepare, "a", never)
    assert slow.begun.wait(SECONDS)
    second = pool.submit(ahead.prepare, "a", never)
    while len(log) < 2:
        assert not first.done()
        assert not second.done()
    assert log == ["b", "c"]
    gate.set()
    first.result(SECONDS)
    second.result(SECONDS)
    for name in "abc":
        ahead.prepare(name, never)
    assert log == ["b", "c", "a"]


def test_a_thread_alone_compiles_its_own_bucket_and_no_other():
    log = []
    buckets = {name: [FakeProgram(name + str(i), log) for i in range(2)] for name in "abc"}
    ahead = Ahead(FakeBuckets(**buckets), "abc")
    ahead.prepare("b", never)
    assert log == ["b0", "b1"]
    ahead.prepare("done before", never)
    ahead.prepare("a", never)
    assert log == ["b0", "b1", "a0", "a1"]


def test_an_error_is_left_to_the_shards_of_its_bucket(pool):
    log, gate = [], threading.Event()
    slow = FakeProgram("a", log, gate)
    wrong = FakeProgram("b", log, error=RuntimeError("cannot be compiled"))
    ahead = opened(a=[slow], b=[wrong], c=[FakeProgram("c", log)])
    first = pool.submit(ahead.prepare, "a", never)
    assert slow.begun.wait(SECONDS)
    second = pool.submit(ahead.prepare, "a", never)
    assert wrong.begun.wait(SECONDS)
    gate.set()
    first.result(SECONDS)
    second.result(SECONDS)
    ahead.prepare("b", never)  # its shards meet the error when they call the program
    ahead.prepare("c", never)
    assert sorted(log) == ["a", "c"]


def test_stopping_compiles_nothing_more_and_leaves_nobody_waiting(pool):
    log, gate, stop = [], threading.Event(), threading.Event()
    slow = FakeProgram("a0", log, gate)
    ahead = opened(a=[slow, FakeProgram("a1", log)], b=[FakeProgram("b", log)])
    first = pool.submit(ahead.prepare, "a", stop.is_set)
    assert slow.begun.wait(SECONDS)
    stop.set()
    second = pool.submit(ahead.prepare, "a", stop.is_set)
    gate.set()
    first.result(SECONDS)
    second.result(SECONDS)
    assert log == ["a0"]
