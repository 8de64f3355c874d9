"""The same sweep on one device, on two, and on Ray: the same rows, bit for bit."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import sweep_engine
from sweep_engine.backends import LocalBackend
from sweep_engine.backends.ray import roll
from sweep_engine.backends.ray.roll import places
from sweep_engine.errors import ClusterError, Interrupted
from sweep_engine.execution import run
from sweep_engine.execution.programs.packing import pack_plan
from sweep_engine.execution.programs.programs import Programs
from sweep_engine.execution.worker import workers
from sweep_engine.execution.worker.workers import Assignment
from sweep_engine.lanes import choose_lanes
from sweep_engine.planning import plan
from sweep_engine.sources import lane_widths
from sweep_engine.spec import Sweep, load
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, OutputDirectory, open_results, verify
from sweep_engine.store.manifest import read_manifest
from tests.execution.test_resume import DRAWS_PER_SHARD, KERNEL, RUNS_PER_SHARD, SWEEP, tables
from tests.kernels.compilers import needs_compiler
from tests.shell import call

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", RUNS_PER_SHARD)
        patch.setattr(sizes, "DRAWS_PER_SHARD", DRAWS_PER_SHARD)
        yield


@pytest.fixture(scope="module")
def sweep():
    return Sweep.model_validate(SWEEP)


@pytest.fixture(scope="module")
def local(sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "out"
    assert run(sweep, out).is_complete
    return out


def ray_backend():
    from sweep_engine.backends.ray.backend import RayBackend

    return RayBackend()


# --- two devices --------------------------------------------------------------------------

ON_TWO_DEVICES = """
import json, sys
import jax
import sweep_engine
from sweep_engine import cli
from sweep_engine.spec.sources import sizes
from sweep_engine.execution import run
from sweep_engine.spec import Sweep

assert len(jax.devices()) == 2
sizes.RUNS_PER_SHARD, sizes.DRAWS_PER_SHARD = json.loads(sys.argv[1])
assert run(Sweep.model_validate(json.loads(sys.argv[2])), sys.argv[3]).is_complete
"""


def test_two_devices_give_the_same_rows(tmp_path, local):
    out = tmp_path / "out"
    flags = {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"}
    sizes, text = json.dumps([RUNS_PER_SHARD, DRAWS_PER_SHARD]), json.dumps(SWEEP)
    subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, sizes, text, out], check=True, env=os.environ | flags
    )
    assert json.loads((out / "logs" / "progress.json").read_text())["workers"] == 2
    assert tables(out) == tables(local)


# --- Ray ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_ray(sweep, joined_ray, tmp_path_factory):
    out = tmp_path_factory.mktemp("ray") / "out"
    with joined_ray.turn():
        assert run(sweep, out, make_backend=ray_backend).is_complete
    return out


@pytest.fixture
def one_place(local_ray, monkeypatch):
    """Ray with a single worker: where there are two is not the point."""
    monkeypatch.setattr(roll, "places", lambda nodes: places(nodes)[:1])


def test_ray_gives_the_same_rows(on_ray, local):
    assert tables(on_ray) == tables(local)
    assert not verify(LocalFiles(on_ray)).problems
    frozen = [read_manifest(OutputDirectory(out)).frozen for out in (on_ray, local)]
    assert frozen[0] == frozen[1]


@needs_compiler
def test_ray_trains_by_the_kernel_that_was_frozen(tmp_path, one_place):
    """Begun here and ended there, it is what an uninterrupted run gives."""
    by_kernel = Sweep.model_validate(KERNEL)
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(by_kernel, out, should_stop=lambda: len(list(out.glob("ledger/*.json"))) >= 3)
    frozen = read_manifest(OutputDirectory(out)).frozen
    assert "cpu" in {choice.name for choice in frozen.implementation.values()}
    assert run(by_kernel, out, make_backend=ray_backend).is_complete
    assert read_manifest(OutputDirectory(out)).frozen == frozen
    assert run(by_kernel, tmp_path / "whole").is_complete
    assert tables(out) == tables(tmp_path / "whole")


def test_begun_here_and_ended_on_ray(tmp_path, sweep, one_place, local):
    out = tmp_path / "out"

    def three_are_done():
        return len(list(out.glob("ledger/*.json"))) >= 3

    with pytest.raises(Interrupted):
        run(sweep, out, make_backend=lambda: LocalBackend(1), should_stop=three_are_done)
    begun = len(list(out.glob("ledger/*.json")))
    summary = run(sweep, out, make_backend=ray_backend)
    assert summary.is_complete
    assert summary.computed == summary.done - begun
    assert tables(out) == tables(local)


def test_a_complete_sweep_asks_for_no_cluster(sweep, on_ray):
    def no_backend():
        raise AssertionError("there is nothing to do")

    assert run(sweep, on_ray, make_backend=no_backend).is_complete


def test_actors_use_the_lanes_that_the_first_run_froze(tmp_path, one_place, monkeypatch):
    """Its machine chose 4, an actor's rule would say otherwise."""
    chosen = Sweep.model_validate(
        SWEEP | {"sources": {"init": SWEEP["sources"]["init"]}, "execution": {}, "axes": {}}
    )
    with monkeypatch.context() as patch:
        patch.setattr(lane_widths, "choose_lanes", lambda *_, **__: 4)
        assert run(chosen, tmp_path / "whole").is_complete
        with pytest.raises(Interrupted):
            run(chosen, tmp_path / "begun", should_stop=lambda: True)
    assert choose_lanes("cpu", 10, 10) != 4
    assert run(chosen, tmp_path / "begun", make_backend=ray_backend).is_complete
    whole, begun = (OutputDirectory(tmp_path / name) for name in ("whole", "begun"))
    assert set(read_manifest(begun).frozen.lanes.values()) == {4}
    assert read_manifest(begun).frozen == read_manifest(whole).frozen
    rows = [
        sorted(map(str, open_results(directory.root).runs().to_pylist()))
        for directory in (whole, begun)
    ]
    assert rows[0] == rows[1]


def test_a_directory_that_workers_do_not_see_is_refused(tmp_path, sweep, one_place, monkeypatch):
    """As if it were on the driver's own disk: what the workers look for is not there."""
    elsewhere = LocalFiles(tmp_path / "elsewhere")
    monkeypatch.setattr(workers, "Assignment", lambda _, *rest: Assignment(elsewhere, *rest))
    with pytest.raises(ClusterError, match="storage that all machines share"):
        run(sweep, tmp_path / "out", make_backend=ray_backend)


# --- data files ---------------------------------------------------------------------------


@pytest.fixture
def with_data(tmp_path):
    """A sweep whose task is a data file beside it."""
    folder = tmp_path / "given"
    folder.mkdir()
    x = np.linspace(-1, 1, 12)[:, None]
    np.savez(folder / "data.npz", x=x, y=2 * x[:, 0])
    spec = {
        "name": "data",
        "task": {"kind": "file", "path": "data.npz", "train": 8, "loss": "squared"},
        "model": {"kind": "linear"},
        "accept": {"train_loss": 1.0},
        "sources": {"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 40}},
        "execution": {"lanes": 4},
    }
    (folder / "sweep.yaml").write_text(json.dumps(spec))
    return load(folder / "sweep.yaml")


def test_a_plan_travels_with_its_data_files(with_data, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = pack_plan(plan(with_data))
    shutil.rmtree(with_data.folder)
    arrived = packed.unpack()
    assert arrived.sweep.folder != with_data.folder
    Programs(arrived).open_all()
    assert packed.unpack().sweep.folder == arrived.sweep.folder, "a second time, the same place"


# --- the command line, and a user's own objects -------------------------------------------


def test_the_command_line_on_ray_and_data_files_that_reach_the_workers(
    one_place, with_data, tmp_path
):
    spec, out = with_data.folder / "sweep.yaml", tmp_path / "out"
    shards = len(plan(with_data).shards)
    begun = call("run", spec, "--out", out, "--backend", "ray")
    assert begun.code == 0, begun.err
    assert f"{shards} shards done ({shards} now" in begun.out
    again = call("retry", out, "--backend", "ray")
    assert (again.code, "(0 now" in again.out) == (0, True)
    refused = call("run", spec, "--out", out, "--address", "auto")
    assert (refused.code, "--backend ray" in refused.err) == (2, True)
    run(with_data, tmp_path / "local")
    rows = [sorted((tmp_path / name).glob("runs/*/*/*")) for name in ("local", "out")]
    assert [p.read_bytes() for p in rows[0]] == [p.read_bytes() for p in rows[1]] != []


@dataclass(frozen=True)
class Line:
    """A user's own task, in a module that the workers can import."""

    slope: float

    def load(self, seed):
        x = np.linspace(-1, 1, 9)[:, None]
        loss = sweep_engine.Loss(squares)
        return sweep_engine.make_task((x, self.slope * x[:, 0]), None, loss)


def squares(outputs, targets):
    return 0.5 * (outputs[:, 0] - targets) ** 2


def test_a_users_own_objects_reach_the_workers(one_place, tmp_path):
    sweep = Sweep(
        name="own",
        task=Line(2.0),
        model={"kind": "linear"},
        accept={"train_loss": 1.0},
        sources={"init": {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 40}},
        execution={"lanes": 4},
    )
    run(sweep, tmp_path / "local")
    run(sweep, tmp_path / "ray", make_backend=ray_backend)
    rows = [sorted((tmp_path / name).glob("runs/*/*/*")) for name in ("local", "ray")]
    assert [p.read_bytes() for p in rows[0]] == [p.read_bytes() for p in rows[1]] != []
