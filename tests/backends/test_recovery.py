"""Actors, machines, drivers and heads are killed or frozen while a sweep runs on a real cluster.

Every time the tables end as those of an uninterrupted run, bit for bit. How long each took to
recover: tests/benchmarks/recovery.py.
"""

import pytest

from sweep_engine.store import LocalFiles, verify
from tests.backends import machines
from tests.backends.recovery import (
    Watched,
    beheading,
    kill_machine,
    ordeal,
    run_here,
    sgd,
    write_spec,
)
from tests.execution.test_resume import tables

pytestmark = pytest.mark.skipif(bool(machines.why_not()), reason=machines.why_not())


@pytest.fixture
def cluster(tmp_path, request):
    """Machines, not yet with Ray on them."""
    made = machines.Machines(tmp_path / "machines", request.param)
    yield made
    print(made.logs())
    made.close()


@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_a_machine_is_lost_under_symmetric_run(tmp_path, cluster):
    """As under Slurm; what is left does the rest, and the exit code is that of the sweep."""
    few = sgd(runs=64 * 6, stop={"max_steps": 500, "fit": False, "check_every": 100})
    sweep = Watched(cluster, write_spec(tmp_path, **few), tmp_path / "out")
    head, _ = cluster.symmetric_run(*sweep.command("auto"))
    sweep.await_workers(2, shards=1)
    assert kill_machine(sweep, 2)["shards"]
    assert sweep.await_end(head) == 0
    assert verify(LocalFiles(sweep.out)).problems == []
    assert tables(sweep.out) == run_here(tmp_path / "reference", **few)


@pytest.mark.long
@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_actor_killed_machine_frozen_machine_killed_machine_joined_driver_killed(tmp_path, cluster):
    assert ordeal(tmp_path, cluster)["machine frozen, later thawed"]["noticed_seconds"] > 0


@pytest.mark.long
@pytest.mark.parametrize("driver_on", [1, 2], ids=["with the driver", "without the driver"])
@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_the_head_is_killed(tmp_path, cluster, driver_on):
    record = beheading(tmp_path, cluster, driver_on)
    if driver_on != 1:
        assert record["driver_exit_code"] == 3, "interrupted; what is done is kept"
