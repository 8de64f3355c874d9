"""Tests the quotas of a container, in both versions of control groups, and the versions told."""

import gc
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from threading import Lock

import pytest

from sweep_engine import machine
from sweep_engine.backends import CORES
from sweep_engine.bench.machine import describe
from sweep_engine.execution.programs import programs
from sweep_engine.execution.programs.programs import num_cores
from sweep_engine.machine import settled

GB = 2**30


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes the files of a machine of 16 cores."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv(CORES, raising=False)

    def write(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text + "\n")

    return write


V2 = {"proc/self/cgroup": "0::/a/b"}
V2_CONTAINER = {"proc/self/cgroup": "0::/"}
V1 = {"proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x"}
CPU_V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 16, id="no control groups"),
        pytest.param(V2, 16, id="v2, no controller"),
        pytest.param(V2_CONTAINER | {"sys/fs/cgroup/cpu.max": "max 100000"}, 16, id="v2, no quota"),
        pytest.param(V2_CONTAINER | {"sys/fs/cgroup/cpu.max": "300000 100000"}, 3, id="v2"),
        pytest.param(V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1, id="v2, one and half"),
        pytest.param(V2 | {"sys/fs/cgroup/a/b/cpu.max": "20000 100000"}, 1, id="v2, a fifth"),
        pytest.param(
            V2
            | {
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/cpu.max": "200000 50000",
            },
            4,
            id="v2, of its parent",
        ),
        pytest.param(
            V1
            | {
                f"{CPU_V1}/docker/x/cpu.cfs_quota_us": "200000",
                f"{CPU_V1}/docker/x/cpu.cfs_period_us": "100000",
            },
            2,
            id="v1",
        ),
        pytest.param(
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            5,
            id="v1 in a container, under its short name",
        ),
        pytest.param(
            V1
            | {
                f"{CPU_V1}/docker/x/cpu.cfs_quota_us": "-1",
                f"{CPU_V1}/docker/x/cpu.cfs_period_us": "100000",
            },
            16,
            id="v1, no quota",
        ),
    ],
)
def test_cores(system, files, cores):
    system(files)
    assert machine.usable_cores() == num_cores() == describe()["cores"] == cores


def test_what_the_backend_says_goes_first(system, monkeypatch):
    system(V2_CONTAINER | {"sys/fs/cgroup/cpu.max": "300000 100000"})
    monkeypatch.setenv(CORES, "2")
    assert num_cores() == 2


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param({}, None, id="none"),
        pytest.param(V2 | {"sys/fs/cgroup/a/b/memory.max": "max"}, None, id="v2, no limit"),
        pytest.param(
            V2
            | {"sys/fs/cgroup/a/b/memory.max": "max", "sys/fs/cgroup/a/memory.max": f"{GB // 4}"},
            GB // 4,
            id="v2, of its parent",
        ),
        pytest.param(
            V1 | {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{GB // 8}"},
            GB // 8,
            id="v1",
        ),
        pytest.param(
            V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"},
            None,
            id="v1, no limit",
        ),
    ],
)
def test_memory(system, files, limit):
    system(files)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = limit or whole
    assert machine.usable_memory() == describe()["memory_bytes"] == found


def of_cache(index, level, size):
    folder = f"sys/devices/system/cpu/cpu0/cache/index{index}"
    return {f"{folder}/level": level, f"{folder}/size": size}


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({}, None),
        (of_cache(0, "1", "48K") | of_cache(3, "3", "307200K"), None),
        (of_cache(0, "1", "48K") | of_cache(2, "2", "2048K") | of_cache(3, "3", "9M"), 2**21),
        (of_cache(2, "2", "1024K"), 2**20),
    ],
)
def test_second_level_cache(system, files, size):
    system(files)
    assert machine.second_level_cache() == size


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_is_looked_for_again_afterwards(is_enabled):
    before = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with suppress(KeyError), machine.uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch):
    def version(name):
        if name == "sweep-engine":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(programs, "version", version)
    found = programs._versions()
    assert "sweep-engine" not in found
    assert found["jax"] == "1.0"


def test_what_is_there_is_no_garbage_meanwhile_but_for_who_has_said_so_before(monkeypatch):
    done = []
    monkeypatch.setattr(machine, "_SETTLED", Lock())  # tests are settled themselves
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: done.append("unfreeze"))
    # It would go through all that is frozen, as long as a collection takes.
    monkeypatch.setattr(gc, "get_freeze_count", lambda: pytest.fail("not to be asked"))
    with settled():
        with settled():
            pass
        assert done == ["freeze"], "the inner one leaves it to the outer"
        assert machine.is_settled()
    assert done == ["freeze", "unfreeze"]
    assert not machine.is_settled()
