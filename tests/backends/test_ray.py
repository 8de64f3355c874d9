"""The Ray backend, on a Ray that is started on this machine."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sweep_engine.backends import Job
from sweep_engine.backends.ray import backend as backend_module
from sweep_engine.backends.ray import door
from sweep_engine.backends.ray.backend import RayBackend
from sweep_engine.backends.ray.door import Node
from sweep_engine.backends.ray.roll import WorkerPlace, places
from sweep_engine.errors import ClusterError
from tests.backends.conformance import (
    DEADLINE,
    BackendConformance,
    ReplacesLostWorkers,
    collect,
    echo,
    give,
    refuse,
)


@pytest.fixture
def make_ray_backend(local_ray):
    made = []

    def make(worker):
        made.append(RayBackend())
        made[-1].open(workers_of, worker)
        return made[-1]

    yield make
    for backend in made:
        backend.close()


class TestRay(BackendConformance, ReplacesLostWorkers):
    @pytest.fixture
    def make_backend(self, make_ray_backend):
        return make_ray_backend


def workers_of(worker):
    return [worker, worker]


def freeze_on_odd(job, report, should_stop):
    """Stop the whole process for shards of an odd number, until someone lets it go on."""
    if int(job.shard) % 2:
        (Path.home() / "frozen").write_text(str(os.getpid()))
        # To this very thread: sent to the process, another one takes it, and until that has its
        # turn on a busy machine this one may have done the job.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    return echo(job, report, should_stop)


# --- places -------------------------------------------------------------------------------


def test_one_host_a_gpu():
    nodes = [Node("a", {"CPU": 16, "GPU": 2}), Node("b", {"CPU": 8}), Node("c", {"GPU": 1})]
    assert places(nodes) == [
        WorkerPlace("a", "GPU", 1, 0),
        WorkerPlace("a", "GPU", 1, 1),
        WorkerPlace("c", "GPU", 1, 0),
    ]


def test_one_host_a_machine_with_tpus():
    nodes = [Node("a", {"CPU": 16, "TPU": 4, "TPU-v5e-head": 1}), Node("b", {"TPU": 8})]
    assert places(nodes) == [WorkerPlace("a", "TPU", 4, 0), WorkerPlace("b", "TPU", 8, 0)]


def test_one_host_a_core_where_there_is_no_accelerator():
    nodes = [Node("head", {"memory": 1e9}), Node("a", {"CPU": 2.5})]
    assert places(nodes) == [WorkerPlace("a", "CPU", 1, 0), WorkerPlace("a", "CPU", 1, 1)]
    assert places([]) == []


# --- silence and refusal ------------------------------------------------------------------


def test_a_frozen_worker_is_silent_and_gets_nothing(make_ray_backend, local_ray, monkeypatch):
    monkeypatch.setattr(backend_module, "SILENT_SECONDS", 4.0)
    backend = make_ray_backend(freeze_on_odd)
    give(backend, Job("1"))
    end = time.monotonic() + DEADLINE
    while not (silent := backend.silent()):
        assert time.monotonic() < end, "its silence was never noticed"
        assert backend.wait(0.2) == []
    assert silent[0] not in backend.vacancies()
    os.kill(int((local_ray / "frozen").read_text()), signal.SIGCONT)
    (outcome,) = collect(backend, 1)
    assert outcome.receipt is not None, "it has only come late"
    while silent[0] not in backend.vacancies():
        assert time.monotonic() < end
        backend.wait(0.2)


def test_workers_that_cannot_be_opened_anywhere_end_it(local_ray, monkeypatch):
    monkeypatch.setattr(backend_module, "RETRY_SECONDS", (0.1, 0.1))
    backend = RayBackend()
    try:
        backend.open(refuse)
        with pytest.raises(ClusterError, match="no answer"):
            backend.wait(DEADLINE)
    finally:
        backend.close()


def test_an_error_that_cannot_travel_is_told(make_ray_backend):
    backend = make_ray_backend(raise_something_odd)
    give(backend, Job("1"))
    (outcome,) = collect(backend, 1)
    assert "Odd: has no words" in str(outcome.error)


def test_a_client_address_is_refused(local_ray):
    with pytest.raises(ClusterError, match="sweep-engine submit"):
        door._join("ray://10.0.0.1:10001")


class Odd(Exception):
    """An error that pickle writes and cannot read."""

    def __init__(self, one, two):
        super().__init__("has no words")


def raise_something_odd(job, report, should_stop):
    raise Odd(1, 2)
