"""The Ray backend, on a Ray that is started on this machine."""

import pytest

from sweep_engine.backends.ray.backend import RayBackend
from tests.backends.conformance import BackendConformance, ReplacesLostWorkers


class TestRay(BackendConformance, ReplacesLostWorkers):
    @pytest.fixture
    def make_backend(self, local_ray):
        made = []

        def make(worker):
            made.append(RayBackend())
            made[-1].open(workers_of, worker)
            return made[-1]

        yield make
        for backend in made:
            backend.close()


def workers_of(worker):
    return [worker, worker]
