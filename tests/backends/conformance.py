"""What every backend must do. Subclass, and give the fixture `make_backend(worker)`."""

import threading
import time

import pytest

from sweep_engine.backends import Job
from sweep_engine.errors import Interrupted

DEADLINE = 60.0
"""Seconds after which a test gives up; a backend that works needs far less."""


def echo(job, report, should_stop):
    """Finish at once; the receipt says which job it was of."""
    report(3)
    return {"shard": job.shard, "accepted": job.accepted}


def raise_on_odd(job, report, should_stop):
    """Raise for shards of an odd number."""
    if int(job.shard) % 2:
        raise ZeroDivisionError(f"shard {job.shard}")
    return echo(job, report, should_stop)


def run_until_stopped(job, report, should_stop):
    """End only when asked to."""
    while not should_stop():
        time.sleep(0.01)
    raise Interrupted("stopped")


def sooner_or_later(job, report, should_stop):
    """Take the time that the shard's name says, in units of 50 ms."""
    time.sleep(0.05 * int(job.shard))
    return echo(job, report, should_stop)


def collect(backend, number):
    """Wait for so many outcomes."""
    found, end = [], time.monotonic() + DEADLINE
    while len(found) < number and time.monotonic() < end:
        found += backend.wait(0.1)
    assert len(found) == number
    return found


class BackendConformance:
    """One test a promise of `Backend`; the workers above are module-level, to be sent anywhere."""

    @pytest.fixture
    def make_backend(self):
        """A function from a worker to a backend with a capacity of 2 or more, closed at the end."""
        raise AssertionError("each backend's own test class gives this fixture")

    def test_every_job_comes_back_once_with_its_receipt(self, make_backend):
        backend = make_backend(echo)
        waiting = [Job(str(i), accepted=i or None) for i in range(20)]
        asked, found = list(waiting), []
        while len(found) < len(asked):
            while waiting and len(asked) - len(waiting) - len(found) < backend.capacity:
                backend.submit(waiting.pop(0))
            new = backend.wait(DEADLINE)
            assert new, "a job never came back"
            found += new
        assert sorted(asked, key=repr) == sorted((o.job for o in found), key=repr)
        for outcome in found:
            assert outcome.error is None
            assert outcome.receipt == {"shard": outcome.job.shard, "accepted": outcome.job.accepted}
        assert backend.wait(0.0) == []

    def test_results_come_as_they_end(self, make_backend):
        backend = make_backend(sooner_or_later)
        backend.submit(Job("10"))
        backend.submit(Job("0"))
        assert [outcome.job.shard for outcome in collect(backend, 2)] == ["0", "10"]

    def test_a_worker_that_raises_is_an_outcome(self, make_backend):
        backend = make_backend(raise_on_odd)
        backend.submit(Job("1"))
        (raised,) = collect(backend, 1)
        assert raised.receipt is None
        assert isinstance(raised.error, ZeroDivisionError)
        assert "shard 1" in str(raised.error)
        backend.submit(Job("2"))
        (outcome,) = collect(backend, 1)
        assert outcome.receipt is not None, "and the next job works"

    def test_no_more_jobs_than_capacity(self, make_backend):
        backend = make_backend(run_until_stopped)
        for number in range(backend.capacity):
            backend.submit(Job(str(number)))
        with pytest.raises(RuntimeError, match="in flight"):
            backend.submit(Job("one too many"))
        backend.cancel()
        outcomes = collect(backend, backend.capacity)
        assert "one too many" not in {outcome.job.shard for outcome in outcomes}

    def test_an_outcome_makes_room(self, make_backend):
        backend = make_backend(echo)
        for _ in range(3 * backend.capacity):
            backend.submit(Job("again"))
            collect(backend, 1)

    def test_progress_counts_each_run_once(self, make_backend):
        backend = make_backend(echo)
        counted = backend.progress()
        for number in range(5):
            backend.submit(Job(str(number)))
            collect(backend, 1)
            counted += backend.progress()
        assert counted == 15
        assert backend.progress() == 0

    def test_cancel_ends_the_jobs_in_flight(self, make_backend):
        backend = make_backend(run_until_stopped)
        backend.submit(Job("1"))
        backend.submit(Job("2"))
        assert backend.wait(0.1) == []
        backend.cancel()
        outcomes = collect(backend, 2)
        assert {outcome.job.shard for outcome in outcomes} == {"1", "2"}
        assert all(isinstance(outcome.error, Interrupted) for outcome in outcomes)

    def test_close_ends_the_jobs_in_flight_and_may_come_twice(self, make_backend):
        backend = make_backend(run_until_stopped)
        backend.submit(Job("1"))
        closing = threading.Thread(target=backend.close)
        closing.start()
        closing.join(DEADLINE)
        assert not closing.is_alive()
        backend.close()

    def test_close_without_a_job(self, make_backend):
        make_backend(echo).close()

    def test_wait_ends_after_its_time(self, make_backend):
        backend = make_backend(run_until_stopped)
        assert backend.wait(0.05) == []
        backend.submit(Job("1"))
        began = time.monotonic()
        assert backend.wait(0.2) == []
        assert time.monotonic() - began >= 0.2
