"""An output directory with six committed shards."""

import pytest

from sweep_engine.store import LocalFiles
from tests.faults import workload

NUM_SHARDS = 6


@pytest.fixture
def plan():
    return workload.expected_rows(NUM_SHARDS)


@pytest.fixture
def files(tmp_path):
    files = LocalFiles(tmp_path / "out")
    workload.session(files, NUM_SHARDS)
    return files
