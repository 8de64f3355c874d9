"""Blocks are as wide as the runs keep busy; what padding costs where the sweep says how wide."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sweep_engine.execution import Programs, run
from sweep_engine.lanes import for_platform
from sweep_engine.planning import plan
from sweep_engine.sources.lane_widths import narrowed, refilled_lanes
from sweep_engine.spec import dump_sweep
from sweep_engine.spec.models import Mlp
from sweep_engine.spec.sources import sizes
from sweep_engine.store import OutputDirectory, open_results
from sweep_engine.store.manifest import read_manifest
from tests.shell import call
from tests.sources.conformance import CASES, sweep_of


@pytest.mark.parametrize(
    ("runs", "lanes"),
    [(1, 1), (20, 20), (33, 32), (256, 32), (2000, 128), (2048, 256)],
)
def test_runs_that_stop_by_themselves_take_a_lane_in_turn(runs, lanes):
    """And no fewer lanes than all would be at once."""
    assert refilled_lanes(runs) == lanes


@pytest.mark.parametrize(("usual", "busy", "lanes"), [(256, 20, 20), (16, 20, 16)])
def test_what_a_block_can_hold_comes_first(usual, busy, lanes):
    assert narrowed(usual, busy) == lanes


@pytest.mark.parametrize(("runs", "lanes"), [(1, 128), (129, 256), (10**6, 4096)])
def test_an_accelerator_has_whole_rows(runs, lanes):
    with for_platform("tpu"):
        assert narrowed(4096, refilled_lanes(runs)) == lanes


@pytest.mark.parametrize(
    ("widths", "runs", "steps", "lanes"),
    [
        ([40, 40], 1000, 300, 1024),
        ([40, 40], 10**6, 300, 2048),
        ([8], 10**6, 300, 16_384),
        ([8], 10**6, 10**5, 2048),
    ],
    ids=["few", "many", "tiny and many", "tiny and long"],
)
def test_a_shard_fills_an_accelerators_blocks(widths, runs, steps, lanes):
    """Hold runs of one shard in a block, so that all its lanes have one."""
    source = {"kind": "train", "runs": runs, "stop": {"max_steps": steps}}
    model = {"kind": "mlp", "widths": widths}
    sweep = sweep_of({"sgd": source})
    execution = sweep.execution.model_copy(update={"lanes": None})
    changes = {"model": Mlp.model_validate(model), "execution": execution}
    planned = plan(sweep.model_copy(update=changes))
    with for_platform("gpu"):
        width = Programs(planned).of(planned.shards[0].bucket).bucket.lanes
    assert width == lanes
    assert planned.shards[0].num_runs in {width, runs}


def opened(lanes):
    sweep = sweep_of(CASES)
    execution = sweep.execution.model_copy(update={"lanes": lanes})
    planned = plan(sweep.model_copy(update={"execution": execution}))
    programs = Programs(planned)
    by_source = {shard.source: programs.of(shard.bucket) for shard in planned.shards}
    return planned, by_source


def test_every_kind_says_which_lanes_are_busy():
    planned, opened_sources = opened(None)
    runs = dict.fromkeys(CASES, 0)
    for shard in planned.shards:
        runs[shard.source] += shard.num_runs
    busy = runs | {"rare": 64, "bayes": 3}  # particles of one population; chains
    for source, programs in opened_sources.items():
        bucket = programs.bucket
        widest = type(programs).choose_lanes(bucket.setting, bucket.task, bucket.network)
        of_runs = busy[source]
        expected = (
            refilled_lanes(of_runs) if CASES[source]["kind"] in {"train", "flow"} else of_runs
        )
        assert bucket.lanes == min(expected, widest), source


def test_every_kind_counts_its_padding():
    """Count those of one shard: blocks of 4 lanes, by a kernel too."""
    _, programs = opened(4)
    found = {source: one.with_padding(5) for source, one in programs.items()}
    drawn = [name for name, one in CASES.items() if one["kind"] in {"prior", "guess_and_check"}]
    assert {source: found[source] for source in drawn} == dict.fromkeys(drawn, 8)
    assert {programs[source].by("cpu").with_padding(5) for source in drawn} == {8}
    assert found["sgd"] == 8
    assert found["rare"] == 5  # its populations were timed with theirs
    assert found["bayes"] == 4 * CASES["bayes"]["draws"]  # 5 draws are one chain of a block


def sweep_in(lanes, sources):
    sweep = sweep_of(sources)
    execution = sweep.execution.model_copy(update={"lanes": lanes})
    return sweep.model_copy(update={"execution": execution})


def trained(runs, lanes, out):
    run(sweep_in(lanes, {"sgd": CASES["sgd"] | {"runs": runs}}), out)
    (params,) = open_results(out).params("sgd")
    last = np.lexsort((params.step, params.run_id))
    (width,) = read_manifest(OutputDirectory(out)).frozen.lanes.values()
    return width, params.run_id[last], params.theta[last]


def test_a_sweep_that_grows_keeps_its_width_and_its_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 6)
    width, first_ids, first = trained(6, None, tmp_path / "grown")
    grown_width, ids, theta = trained(20, None, tmp_path / "grown")
    assert grown_width == width == 6
    kept = np.isin(ids, first_ids)
    np.testing.assert_array_equal(theta[kept], first)
    named_width, named_ids, named = trained(20, 6, tmp_path / "named")
    assert named_width == 6
    np.testing.assert_array_equal(ids, named_ids)
    np.testing.assert_array_equal(theta, named)
    begun_whole, ids, _ = trained(20, None, tmp_path / "whole")
    assert begun_whole == 20
    np.testing.assert_array_equal(ids, named_ids)  # the same runs, in wider blocks


def test_a_sweep_begun_when_runs_were_held_at_every_step_goes_on_so(tmp_path):
    """Its frozen choices say nothing of it; buckets that it gains are as new sweeps' are."""
    trained(6, None, tmp_path)
    (bucket,) = read_manifest(OutputDirectory(tmp_path)).frozen.lanes
    assert read_manifest(OutputDirectory(tmp_path)).frozen.held == ()
    file = tmp_path / "sweep.json"
    document = json.loads(file.read_text())
    del document["seal"], document["frozen"]["held"]
    file.write_text(json.dumps(document))
    assert read_manifest(OutputDirectory(tmp_path)).frozen.held == (bucket,)
    grown = sweep_in(None, {"sgd": CASES["sgd"], "again": CASES["again"]})
    run(grown, tmp_path)
    frozen = read_manifest(OutputDirectory(tmp_path)).frozen
    assert frozen.held == (bucket,)
    programs = Programs(plan(grown), frozen)
    held = {name: programs.of(name).bucket.held for name in frozen.lanes}
    assert held.pop(bucket)
    assert list(held.values()) == [False]


@pytest.mark.parametrize("device", ["gpu", "tpu", "cpu"])
def test_a_new_sweep_holds_runs_between_checks_alone_on_any_device(device):
    """And one that was begun on an accelerator goes on as it was."""
    planned = plan(sweep_in(None, {"sgd": CASES["sgd"]}))
    (name,) = planned.buckets
    with for_platform(device):
        frozen = Programs(planned).freeze([name])
        assert frozen.held == ()
        begun = replace(frozen, held=(name,))
        assert Programs(planned, begun).of(name).bucket.held


def test_a_plan_reckons_with_padding_and_says_what_to_do(tmp_path):
    document = dump_sweep(sweep_of({"sgd": CASES["sgd"] | {"runs": 6}}))
    found, said = {}, {}
    for lanes in (64, None):
        document["execution"]["lanes"] = lanes
        file = tmp_path / "sweep.json"
        file.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
        planned = json.loads(call("plan", file, "--json").out)
        (found[lanes],) = planned["by_bucket"]
        said[lanes] = call("plan", file).out
    wide, narrow = found[64], found[None]
    assert wide["padding"] == 64 / 6
    assert narrow["padding"] == 1
    assert "without `execution.lanes`" in said[64]
    assert "execution.lanes" not in said[None]
