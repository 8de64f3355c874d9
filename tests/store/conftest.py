"""An output directory with six committed shards, on a disk and on an S3 server."""

import pytest

from sweep_engine.store import open_files
from tests.faults import workload
from tests.s3 import endpoint_of, new_place

__all__ = ["endpoint_of"]

NUM_SHARDS = 6


@pytest.fixture
def plan():
    return workload.expected_rows(NUM_SHARDS)


@pytest.fixture(params=["local", "localbucket"])
def place(request, tmp_path, endpoint_of):
    with new_place(request.param, tmp_path, endpoint_of) as place:
        yield place


@pytest.fixture
def files(place):
    files = open_files(place)
    workload.session(files, NUM_SHARDS)
    return files
