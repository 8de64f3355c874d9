"""The local backend, with one worker and with one for each of two devices."""

import pytest

from sweep_engine.backends import Job, LocalBackend
from tests.backends.conformance import BackendConformance, run_until_stopped


class Pinned:
    """A worker of its own."""

    def __init__(self, work):
        self.work = work

    def __call__(self, *arguments):
        return self.work(*arguments)


def open_backends(workers_of):
    made = []

    def make(worker):
        made.append(LocalBackend())
        made[-1].open(workers_of, worker)
        return made[-1]

    yield make
    for backend in made:
        backend.close()


class TestLocal(BackendConformance):
    """One worker that may have so many jobs at once, as on a CPU."""

    @pytest.fixture(params=[2, 5])
    def make_backend(self, request):
        yield from open_backends(lambda worker: [worker] * request.param)


class TestTwoDevices(BackendConformance):
    """Two workers with two places each, as on a host with two accelerators."""

    @pytest.fixture
    def make_backend(self):
        yield from open_backends(lambda worker: [Pinned(worker), Pinned(worker)] * 2)

    def test_the_idle_device_comes_first(self, make_backend):
        backend = make_backend(run_until_stopped)
        assert backend.num_workers == 2
        first = backend.vacancies()[0]
        backend.submit(Job("1"), first)
        assert backend.vacancies()[0] != first
        assert sorted(backend.vacancies()).count(first) == 1
