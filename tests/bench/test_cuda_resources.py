"""The record of what the CUDA kernels take of a GPU: complete, of these launches, and no spills."""

import json
from collections import Counter

import pytest

from sweep_engine.kernels.native.launch import THREADS
from tests.benchmarks.cuda_resources import COLUMNS, RECORD, cases


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


def test_every_case_is_in_the_record_with_the_launch_that_it_has_now_and_none_spills(record):
    assert tuple(record["columns"]) == COLUMNS
    missing, other = [], []
    for one in cases():
        place, launch = (one.of, one.shape, one.name), one.kernel.launch_of(one.case)
        found = record.get(one.of, {}).get(one.shape, {}).get(one.name)
        if not isinstance(found, list):  # a text says that registers were spilt
            missing.append((place, found))
            continue
        now = {
            "threads": launch.threads * launch.networks, "networks": launch.networks,
            "tile": launch.tile, "shared_bytes": one.kernel.shared_bytes(one.case, launch),
        }  # fmt: skip
        row = dict(zip(COLUMNS, found, strict=True))
        if {name: row[name] for name in now} != now or row["blocks"] < launch.blocks:
            other.append((place, row, now))
    assert not missing
    assert not other


def test_the_cases_are_spread_over_every_launch():
    """Parts of a warp, a warp, some warps, a whole block."""
    counts = Counter(one.kernel.launch_of(one.case).threads for one in cases())
    assert set(counts) == set(THREADS)
    assert min(counts.values()) > 20
