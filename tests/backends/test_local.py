"""The local backend."""

import pytest

from sweep_engine.backends import LocalBackend
from tests.backends.conformance import BackendConformance


class TestLocal(BackendConformance):
    @pytest.fixture(params=[2, 5])
    def make_backend(self, request):
        made = []

        def make(worker):
            made.append(LocalBackend(worker, request.param))
            return made[-1]

        yield make
        for backend in made:
            backend.close()
