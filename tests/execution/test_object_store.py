"""A sweep whose output directory is on S3: every command, and the tables of a local run."""

import contextlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep_engine import Sweep, cli
from sweep_engine.errors import OutputError
from sweep_engine.execution import run
from sweep_engine.planning import plan
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_files, open_results, record_failure, verify
from sweep_engine.store.manifest import (
    Manifest,
    read_manifest,
    read_previous,
    write_manifest,
)
from tests.s3 import endpoint_of, environment, new_address, new_place

__all__ = ["endpoint_of"]

GAUSSIAN = {"kind": "gaussian", "std": 1.0}
SWEEP = {
    "name": "far-away",
    "seed": 2,
    "task": {"kind": "boolean", "bits": 3, "target": "x1", "train": 4},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "sources": {
        "sgd": {
            "kind": "train",
            "init": GAUSSIAN,
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "stop": {"max_steps": 100},
            "runs": 40,
        },
        "init": {"kind": "prior", "law": GAUSSIAN, "draws": 60},
    },
    "observables": ["norms"],
    "execution": {"lanes": 4},
    "compare": [{"source": "sgd", "reference": "init", "observable": "l2_norm"}],
}
GROWN = SWEEP | {"sources": SWEEP["sources"] | {"more": SWEEP["sources"]["init"]}}


def sweep(data=SWEEP):
    return Sweep.model_validate(data)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 15)
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", 30)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 15)
        patch.setattr(sizes, "DRAWS_PER_SHARD", 30)
        run(sweep(), out)
    return out


@pytest.fixture
def out(endpoint_of):
    with environment(endpoint_of("moto")):
        yield new_address(endpoint_of("moto"))


def tables(out):
    results = open_results(out)
    found = {name: results.table(name).read().to_pylist() for name in ("runs", "curves")}
    found["tallies"] = results.tallies().to_pylist()
    found["params"] = [
        [part.run_id.tolist(), part.theta.tobytes()]
        for source in SWEEP["sources"]
        for part in results.params(source)
    ]
    assert all(found.values())
    return found


def call(capsys, *words, code=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sweep-engine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    shown = capsys.readouterr()
    assert (ended.value.code or 0) == code, shown.err
    return shown.out


def test_every_command(out, local, tmp_path, capsys):
    spec = tmp_path / "sweep.yaml"
    spec.write_text(json.dumps(SWEEP))
    assert "0 missing" in call(capsys, "run", spec, "--out", out)
    assert tables(out) == tables(local)
    assert "(0 now" in call(capsys, "run", spec, "--out", out)
    assert json.loads(call(capsys, "status", out, "--json"))["complete"]
    files = open_files(out)
    record_failure(files, plan(sweep()).shards[0].id, 3, "an old story")
    assert "0 failed" in call(capsys, "retry", out)
    assert "as it was committed" in call(capsys, "verify", out)
    assert "files merged" in call(capsys, "compact", out)
    assert "as it was committed" in call(capsys, "verify", out)
    assert open_results(out).runs().num_rows == open_results(local).runs().num_rows
    assert json.loads(call(capsys, "compare", out, "--json"))["refused"], "so few runs"
    assert files.exists("comparisons.parquet")
    row = open_results(local).runs().to_pylist()[0]
    assert str(row["run_id"]) in call(capsys, "show", out, row["run_id"], "--json")
    assert call(capsys, "report", out).strip() == f"{out}/report.html"
    assert b"far-away" in files.read("report.html")
    figures = files.sizes("figures")
    assert {name.rpartition(".")[2] for name in figures} == {"png", "svg"}
    assert set(files.folders()) >= {"runs", "params", "tallies", "ledger", "figures"}
    network = open_results(out).network(row["run_id"])
    assert network([[0.0, 0.0, 1.0]]).shape == (1, 1)


def test_two_drivers_at_once_commit_everything_once(out, local):
    """There is no lock; one may be told to run again if both find nothing and begin."""

    def drive(_):
        with contextlib.suppress(OutputError):
            run(sweep(), out)
        return run(sweep(), out).is_complete

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(drive, range(2))) == [True, True]
    assert run(sweep(), out).computed == 0
    assert verify(open_files(out), {s.id: None for s in plan(sweep()).shards}).problems == []
    assert tables(out) == tables(local)


@pytest.mark.parametrize("where", ["local", "moto"])
def test_a_sweep_is_grown_by_one_driver_at_a_time(where, tmp_path, endpoint_of):
    """Two that grew it from the same state could plan shards that overlap."""
    with new_place(where, tmp_path, endpoint_of) as out:
        run(sweep(), out)
        directory = OutputDirectory(out)
        seen = read_previous(directory)
        frozen = read_manifest(directory).frozen
        run(sweep(GROWN), out)
        for previous in (seen, None):
            with pytest.raises(OutputError, match="run again"):
                write_manifest(directory, Manifest(plan(sweep()), frozen), previous)
        assert set(read_manifest(directory).plan.sweep.sources) == {"sgd", "init", "more"}


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("s3://", "expected s3://bucket/prefix"),
        ("s3://Bucket/x", "expected s3://bucket/prefix"),
        ("s3://bucket/a/../b", "expected s3://bucket/prefix"),
        ("http://host/x", "expected a folder, s3://"),
        ("s3://nowhere/x", "cannot be used"),
    ],
)
def test_addresses_that_are_refused(out, says, endpoint_of):
    with environment(endpoint_of("moto")), pytest.raises(OutputError, match=says):
        OutputDirectory(out).create()


def test_the_bucket_of_something_else(out):
    open_files(out).write("thesis.tex", b"")
    with pytest.raises(OutputError, match="give --out another directory"):
        run(sweep(), out)
