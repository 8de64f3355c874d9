"""What every backend must do. Subclass, and give the fixture `make_backend(worker)`.

The workers below are module-level functions, to be sent anywhere.
"""

import os
import signal
import threading
import time
import traceback

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


def report_and_wait(job, report, should_stop):
    """Report twice, and then end only when asked to."""
    report(2)
    report(1)
    return run_until_stopped(job, report, should_stop)


def run_until_stopped(job, report, should_stop):
    """End only when asked to."""
    while not should_stop():
        time.sleep(0.01)
    raise Interrupted("stopped")


def die_on_odd(job, report, should_stop):
    """End the whole process for shards of an odd number."""
    if int(job.shard) % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return echo(job, report, should_stop)


def die_on_odd_later(job, report, should_stop):
    """The same after the other job has come too."""
    time.sleep(0.5)
    while not int(job.shard) % 2:
        time.sleep(0.5)
    return die_on_odd(job, report, should_stop)


def sooner_or_later(job, report, should_stop):
    """Take the time that the shard's name says, in units of 50 ms."""
    time.sleep(0.05 * int(job.shard))
    return echo(job, report, should_stop)


def answer(number):
    return {"twice": 2 * number}


def refuse():
    raise LookupError("no answer")


def give(backend, *jobs):
    """Submit jobs to whoever has room, waiting for workers to open."""
    waiting, end = list(jobs), time.monotonic() + DEADLINE
    while waiting:
        assert time.monotonic() < end, "there is no room"
        for worker in backend.vacancies()[: len(waiting)]:
            backend.submit(waiting.pop(0), worker)
        if waiting:
            assert backend.wait(0.02) == []


def do(backend, jobs):
    """Submit jobs as there is room, and return their outcomes."""
    waiting, found, end = list(jobs), [], time.monotonic() + DEADLINE
    while len(found) < len(jobs):
        assert time.monotonic() < end, "a job never came back"
        for worker in backend.vacancies()[: len(waiting)]:
            backend.submit(waiting.pop(0), worker)
        found += backend.wait(0.1)
    return found


def await_vacancies(backend):
    """Wait until workers are open."""
    end = time.monotonic() + DEADLINE
    while not backend.vacancies():
        assert time.monotonic() < end, "no worker ever opened"
        backend.wait(0.05)
    return backend.vacancies()


def collect(backend, number):
    """Wait for so many outcomes."""
    found, end = [], time.monotonic() + DEADLINE
    while len(found) < number and time.monotonic() < end:
        found += backend.wait(0.1)
    assert len(found) == number
    return found


def await_progress(backend, number):
    end = time.monotonic() + DEADLINE
    while backend.progress() != number:
        assert time.monotonic() < end, "the progress never came"
        assert backend.wait(0.05) == []


class BackendConformance:
    """One test a promise of `Backend`."""

    @pytest.fixture
    def make_backend(self):
        """A function from a worker to an open backend with room for two jobs or more.

        It is closed at the end.
        """
        raise AssertionError("each backend's own test class gives this fixture")

    def test_every_job_comes_back_once_with_its_receipt(self, make_backend):
        backend = make_backend(echo)
        asked = [Job(str(i), accepted=i or None) for i in range(20)]
        found = do(backend, asked)
        assert sorted(asked, key=repr) == sorted((o.job for o in found), key=repr)
        for outcome in found:
            assert outcome.error is None
            assert outcome.receipt == {"shard": outcome.job.shard, "accepted": outcome.job.accepted}
        assert backend.wait(0.0) == []

    def test_results_come_as_they_end(self, make_backend):
        backend = make_backend(sooner_or_later)
        give(backend, Job("20"), Job("0"))
        assert [outcome.job.shard for outcome in collect(backend, 2)] == ["0", "20"]

    def test_a_worker_that_raises_is_an_outcome(self, make_backend):
        backend = make_backend(raise_on_odd)
        give(backend, Job("1"))
        (raised,) = collect(backend, 1)
        assert raised.receipt is None
        assert not raised.lost
        assert isinstance(raised.error, ZeroDivisionError)
        assert "shard 1" in str(raised.error)
        text = "".join(traceback.format_exception(raised.error))
        assert "in raise_on_odd" in text, "it says where"
        give(backend, Job("2"))
        (outcome,) = collect(backend, 1)
        assert outcome.receipt is not None, "and the next job works"

    def test_no_more_jobs_than_there_is_room_for(self, make_backend):
        backend = make_backend(run_until_stopped)
        worker = await_vacancies(backend)[0]
        submitted = 0
        while worker in backend.vacancies():
            backend.submit(Job(str(submitted)), worker)
            submitted += 1
        assert submitted >= 1
        with pytest.raises(RuntimeError, match="in flight"):
            backend.submit(Job("one too many"), worker)
        backend.cancel()
        outcomes = collect(backend, submitted)
        assert "one too many" not in {outcome.job.shard for outcome in outcomes}

    def test_an_outcome_makes_room(self, make_backend):
        backend = make_backend(echo)
        for _ in range(6):
            give(backend, Job("again"))
            collect(backend, 1)

    def test_progress_is_that_of_the_jobs_in_flight(self, make_backend):
        backend = make_backend(report_and_wait)
        give(backend, Job("1"))
        await_progress(backend, 3)
        give(backend, Job("2"))
        await_progress(backend, 6)
        backend.cancel()
        collect(backend, 2)
        assert backend.progress() == 0

    def test_cancel_ends_the_jobs_in_flight(self, make_backend):
        backend = make_backend(run_until_stopped)
        give(backend, Job("1"), Job("2"))
        assert backend.wait(0.1) == []
        backend.cancel()
        outcomes = collect(backend, 2)
        assert {outcome.job.shard for outcome in outcomes} == {"1", "2"}
        assert all(isinstance(outcome.error, Interrupted) for outcome in outcomes)

    def test_close_ends_the_jobs_in_flight_and_may_come_twice(self, make_backend):
        backend = make_backend(run_until_stopped)
        give(backend, Job("1"))
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
        give(backend, Job("1"))
        began = time.monotonic()
        assert backend.wait(0.2) == []
        assert time.monotonic() - began >= 0.2

    def test_a_question_is_answered_where_the_workers_are(self, make_backend):
        backend = make_backend(echo)
        assert backend.ask(answer, 21) == {"twice": 42}
        with pytest.raises(LookupError, match="no answer"):
            backend.ask(refuse)

    def test_nobody_is_silent_who_was_just_heard(self, make_backend):
        backend = make_backend(run_until_stopped)
        give(backend, Job("1"))
        assert backend.num_workers >= 1
        assert not backend.silent()


class ReplacesLostWorkers:
    """For backends whose workers can go away: their processes can be ended from outside."""

    def test_a_lost_worker_gives_its_jobs_back_and_is_replaced(self, make_backend):
        backend = make_backend(die_on_odd)
        give(backend, Job("1"))
        (outcome,) = collect(backend, 1)
        assert outcome.lost
        assert outcome.job.shard == "1"
        outcomes = do(backend, [Job(str(2 * i)) for i in range(8)])
        assert all(outcome.receipt for outcome in outcomes)

    def test_all_jobs_of_a_lost_worker_are_lost(self, make_backend):
        backend = make_backend(die_on_odd_later)
        worker = await_vacancies(backend)[0]
        assert backend.vacancies().count(worker) == 2
        backend.submit(Job("1"), worker)
        backend.submit(Job("2"), worker)
        outcomes = collect(backend, 2)
        assert {(o.job.shard, o.worker, o.lost) for o in outcomes} == {
            ("1", worker, True),
            ("2", worker, True),
        }
        assert worker not in backend.vacancies()
