"""One process over 1, 2, 4 and 8 devices: the same bits, and shards shared out evenly."""

import json
import os
import subprocess
import sys

import pytest

from sweep_engine.store import open_results

SHARDS = 16
SWEEP = {
    "name": "devices",
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 6},
    "model": {"kind": "mlp", "widths": [4]},
    "sources": {"prior": {"kind": "prior", "draws": 32 * SHARDS, "keep": "none"}},
    "execution": {"lanes": 16},
}
ON_DEVICES = """
import collections, json, sys, threading
import jax
from sweep_engine.execution import run
from sweep_engine.execution.worker.worker import ShardWorker
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes

sizes.DRAWS_PER_SHARD = 32
devices, work = jax.local_devices(), ShardWorker.__call__
shares = {}
for count in (1, 2, 4, 8):
    # Nobody begins before all places are taken: then who is quick does not count.
    together, done = threading.Barrier(2 * count), collections.Counter()

    def begin(worker, *arguments):
        together.wait(60)
        done[str(worker._programs._device)] += 1
        return work(worker, *arguments)

    ShardWorker.__call__ = begin
    jax.local_devices = lambda: devices[:count]
    assert run(Sweep.model_validate(json.loads(sys.argv[1])), f"{sys.argv[2]}/{count}").is_complete
    shares[count] = sorted(done.values())
print(json.dumps(shares))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The shares of the devices, by their number, and the folder of the results."""
    out = tmp_path_factory.mktemp("devices")
    flags = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "SWEEP_ENGINE_CORES": "2",  # with one device of a CPU, so many places
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_DEVICES, json.dumps(SWEEP), out],
        check=True, env=os.environ | flags, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]), out


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_every_device_has_its_share(ran, count):
    shares, _ = ran
    assert shares[str(count)] == [SHARDS // count] * count


def counts(out):
    """How often each function was drawn, over all shards."""
    names = ("setting", "what", "function_id", "function")
    added = open_results(out).tallies().group_by(names).aggregate([("count", "sum")])
    return sorted(map(repr, added.to_pylist())), sum(added["count_sum"].to_pylist())


@pytest.mark.parametrize("count", [2, 4, 8])
def test_the_number_of_devices_changes_no_bit(ran, count):
    _, out = ran
    rows, drawn = counts(out / "1")
    assert drawn >= 32 * SHARDS
    assert counts(out / str(count)) == (rows, drawn)
