"""Runs that start from stored runs: the right ones, to the bit, whatever happens on the way."""

import json
import shutil
import subprocess

import numpy as np
import pyarrow.compute as pc
import pytest

from sweep_engine import cli, planning
from sweep_engine.errors import Interrupted, OutputError, SpecError
from sweep_engine.execution import Programs, clock, costs, observe, run
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.execution.worker import worker as worker_module
from sweep_engine.keys import run_ids
from sweep_engine.lanes import Program
from sweep_engine.planning import plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import sizes
from sweep_engine.store import LocalFiles, compact, open_results, read_failures, verify

RATE = "sources.sgd.optimizer.learning_rate"
SGD = {
    "kind": "train",
    "init": {"kind": "gaussian", "std": 1.0},
    "optimizer": {"kind": "sgd", "learning_rate": 0.5},
    "stop": {"max_steps": 60, "check_every": 5, "extra_steps": 10, "snapshots": [0, 10]},
    "runs": 8,
}
STAY = {"max_steps": 1, "fit": False, "snapshots": [0]}
"""A run that keeps the state that it starts from."""

CHILD = {"kind": "train", "init": {"from": "sgd"}, "stop": STAY, "runs": 8}
EARLY = {"kind": "snapshot", "from": "sgd", "at": 10}
GUESS = {"kind": "guess_and_check", "law": {"kind": "gaussian"}, "accepted": 5, "max_draws": 4000}
SWEEP = {
    "name": "parents",
    "seed": 5,
    "task": {"kind": "boolean", "bits": 3, "target": "x1 & x2", "train": 6},
    "model": {"kind": "mlp", "widths": [4], "activation": "tanh"},
    "sources": {"child": CHILD, "sgd": SGD, "early": EARLY},
    "axes": {RATE: [0.5, 0.1]},
    "observables": ["norms", "distance"],
    "execution": {"lanes": 4},
}

KERNEL = ("kernel_trace", "kernel_change")


def sweep(**changes):
    return Sweep.model_validate(SWEEP | changes)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Shards of a child hold other runs than those of its parent."""
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 3)
    monkeypatch.setattr(sizes, "DRAWS_PER_SHARD", 64)


def states(out, source):
    """(run id, step) -> theta, of all that is stored."""
    return {
        (int(run), int(step)): theta.tobytes()
        for part in open_results(out).params(source)
        for run, step, theta in zip(part.run_id, part.step, part.theta, strict=True)
    }


def rows(out, source, columns=("run_id", "setting", "status", "steps", "fit", "fit_step")):
    found = open_results(out).runs(list(columns), pc.field("source") == source).to_pylist()
    return sorted(found, key=lambda row: row["run_id"])


def tables(out, sources=SWEEP["sources"]):
    found = {source: (states(out, source), rows(out, source)) for source in sources}
    counts = open_results(out).tallies(["setting", "what", "function_id", "count"])
    totals = counts.group_by(["setting", "what", "function_id"]).aggregate([("count", "sum")])
    return found | {"tallies": sorted(map(repr, totals.to_pylist()))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "RUNS_PER_SHARD", 3)
        assert run(sweep(), out).is_complete
    return out


def pairs(made, source):
    """(run id of a child, run id of the run it starts from)."""
    for setting in made.settings.values():
        if setting.source == source:
            count = planning.num_runs(setting)
            mine, theirs = run_ids(setting.id, 0, count), run_ids(setting.parent, 0, count)
            yield from zip(mine.tolist(), theirs.tolist(), strict=True)


# --- the right starts ---------------------------------------------------------------------


def test_run_i_starts_where_run_i_ended_to_the_last_bit(finished):
    made, parents, children = plan(sweep()), states(finished, "sgd"), states(finished, "child")
    ends = {row["run_id"]: row["steps"] for row in rows(finished, "sgd")}
    found = {children[child, 0] for child, _ in pairs(made, "child")}
    assert len(found) == 16, "else any start would do"
    for child, parent in pairs(made, "child"):
        assert children[child, 0] == parents[parent, ends[parent]]
        assert children[child, 1] != children[child, 0]


def test_the_distance_of_a_child_is_from_its_own_start(finished):
    children = states(finished, "child")
    found = rows(finished, "child", ("run_id", "distance_from_init"))
    for row in found:
        start, end = (np.frombuffer(children[row["run_id"], step], np.float32) for step in (0, 1))
        assert row["distance_from_init"] == pytest.approx(np.linalg.norm(end - start), rel=1e-5)


def test_observed_later_a_child_has_what_needs_no_start(finished, tmp_path):
    """Where it started is in its parent's results, which `observe` does not read."""
    out = shutil.copytree(finished, tmp_path / "out")
    observe(out, [{"kind": "kernel_movement", "examples": 2}])
    of_child, of_parent = (rows(out, s, ("run_id", *KERNEL)) for s in ("child", "sgd"))
    assert all(row["kernel_trace"] > 0 for row in (*of_child, *of_parent))
    assert {row["kernel_change"] is None for row in of_child} == {True}
    assert {row["kernel_change"] is None for row in of_parent} == {False}


def test_a_snapshot_is_the_state_at_its_step_or_the_last_one(finished):
    made, parents, taken = plan(sweep()), states(finished, "sgd"), states(finished, "early")
    ends = {row["run_id"]: row for row in rows(finished, "sgd")}
    found = {row["run_id"]: row for row in rows(finished, "early")}
    assert {row["steps"] for row in found.values()} == {10}
    for child, parent in pairs(made, "early"):
        assert taken[child, 10] == parents[parent, 10]
        went_on = ends[parent]["steps"] > 10
        assert found[child]["status"] == ("running" if went_on else ends[parent]["status"])


def test_a_snapshot_of_a_run_that_ended_before_is_its_end(tmp_path):
    stop = SGD["stop"] | {"max_steps": 4, "snapshots": [0, 2, 10]}
    changed = sweep(sources={"sgd": SGD | {"stop": stop}, "early": EARLY})
    assert run(changed, tmp_path).is_complete
    found = rows(tmp_path, "early")
    assert {(row["status"], row["steps"]) for row in found} == {("max_steps", 4)}
    parents, taken = states(tmp_path, "sgd"), states(tmp_path, "early")
    for child, parent in pairs(plan(changed), "early"):
        assert taken[child, 4] == parents[parent, 4]
        assert (parent, 10) not in parents, "a step that was not reached has no row"


def test_a_snapshot_of_the_end_is_judged_and_observed_as_its_run_was(tmp_path):
    last = {"kind": "snapshot", "from": "sgd"}
    assert run(sweep(sources={"sgd": SGD, "last": last}), tmp_path).is_complete
    columns = ("run_id", "status", "steps", "fit", "function_id", "l2_norm", "test_error")
    (mine, theirs) = (rows(tmp_path, source, columns) for source in ("last", "sgd"))
    without_id = [[list(row.values())[1:] for row in one] for one in (mine, theirs)]
    assert sorted(map(repr, without_id[0])) == sorted(map(repr, without_id[1]))
    assert {row["fit"] for row in mine} == {True, False}


def test_the_first_fit(tmp_path):
    child = CHILD | {"init": {"from": "sgd", "at": "first_fit"}}
    changed = sweep(sources={"sgd": SGD, "child": child})
    assert run(changed, tmp_path).is_complete
    parents, children = states(tmp_path, "sgd"), states(tmp_path, "child")
    ends = {row["run_id"]: row for row in rows(tmp_path, "sgd")}
    assert {row["fit_step"] is None for row in ends.values()} == {True, False}
    for child, parent in pairs(plan(changed), "child"):
        first = ends[parent]["fit_step"]
        step = ends[parent]["steps"] if first is None else first
        assert children[child, 0] == parents[parent, step]


@pytest.mark.parametrize("guess", [GUESS, GUESS | {"accepted": 9}], ids=["as many", "more"])
def test_run_i_starts_from_the_ith_acceptance(tmp_path, guess):
    child = CHILD | {"init": {"from": "guess"}, "runs": 5}
    changed = sweep(sources={"child": child, "guess": guess}, axes={}, observables=["norms"])
    summary = run(changed, tmp_path)
    assert summary.is_complete
    accepted = [theta for _, theta in sorted(states(tmp_path, "guess").items())][:5]
    children = states(tmp_path, "child")
    assert [children[child, 0] for child, _ in sorted(pairs(plan(changed), "child"))] == accepted


def test_too_few_acceptances_are_a_failure_that_says_so(tmp_path):
    sources = {
        "guess": GUESS | {"max_draws": 4},
        "child": CHILD | {"init": {"from": "guess"}, "runs": 5},
    }
    summary = run(sweep(sources=sources, axes={}, observables=[]), tmp_path)
    assert not summary.is_complete
    (failure, *_) = read_failures(LocalFiles(tmp_path)).values()
    assert "of guess there are " in failure.error


def test_a_diverged_parent_gives_a_diverged_child(tmp_path):
    """Data, not an exception; what came before it diverged is sound."""
    wild = SGD | {
        "optimizer": {"kind": "sgd"},
        "stop": {"max_steps": 40, "fit": False, "snapshots": [0]},
    }
    sources = {
        "sgd": wild,
        "child": CHILD,
        "ticket": CHILD | {"init": {"from": "sgd", "at": 0, "mask": {"keep": 0.5}}},
        "again": CHILD | {"init": {"from": "sgd", "at": 0}},
        "last": {"kind": "snapshot", "from": "sgd"},
    }
    task = SWEEP["task"] | {"loss": "squared"}
    model = {"kind": "mlp", "widths": [4], "activation": "relu"}
    changed = sweep(sources=sources, task=task, model=model, axes={RATE: [1e9, 0.01]})
    assert run(changed, tmp_path).is_complete
    wrecked = {row["run_id"] for row in rows(tmp_path, "sgd") if row["status"] == "diverged"}
    assert 4 < len(wrecked) < 16
    made = plan(changed)
    for source in ("child", "ticket", "last"):
        found = {row["run_id"]: row for row in rows(tmp_path, source)}
        for child, parent in pairs(made, source):
            assert (found[child]["status"] == "diverged") == (parent in wrecked)
            assert not (found[child]["fit"] and parent in wrecked)
    assert "diverged" not in {row["status"] for row in rows(tmp_path, "again")}


# --- functions ----------------------------------------------------------------------------


def _split(top, **changes):
    functions = {"from": "sgd", "top": top}
    split = {
        "kind": "splitting", "functions": functions, "particles": 64, "repetitions": 2, "moves": 5,
    }  # fmt: skip
    sources = {"rare": split, "sgd": SGD | {"runs": 40, "stop": {"max_steps": 300}}}
    task = SWEEP["task"] | {"train": 4}
    return sweep(sources=sources, observables=[], task=task, execution={"lanes": 32}, **changes)


@pytest.mark.filterwarnings("ignore:splitting")  # so few particles estimate badly
def test_the_commonest_functions_of_the_fits_are_measured(tmp_path):
    """For every setting of the parent its own, whichever shards they were found in."""
    changed = _split(top=2)
    assert run(changed, tmp_path).is_complete
    tallies = open_results(tmp_path).tallies().to_pandas()
    measured = tallies[tallies.what == "log_p_function"]
    for setting in plan(changed).settings.values():
        if setting.source != "rare":
            continue
        theirs = tallies[
            (tallies.setting == setting.parent) & (tallies.what == "function_given_fit")
        ]
        counts = theirs.groupby("function_id")["count"].sum().reset_index()
        counts = counts.sort_values(["count", "function_id"], ascending=[False, True])
        top = counts.function_id[:2].tolist()
        mine = measured[measured.setting == setting.id].sort_values("unit")
        assert len(counts) > 2
        assert mine.function_id.tolist() == top * 2


def test_functions_are_those_of_all_runs_so_that_more_runs_are_another_sweep(tmp_path):
    before = {s.id for s in plan(_split(top=3)).settings.values() if s.source == "rare"}
    changes = _changes(_split(top=3))
    changes["sources"] = changes["sources"] | {
        "sgd": SGD | {"runs": 41, "stop": {"max_steps": 300}}
    }
    after = plan(sweep(**changes)).settings.values()
    assert not before & {s.id for s in after}


def test_functions_are_known_in_full_on_finite_inputs_alone():
    task = {"kind": "planar", "set": "two_slab"}
    assert "not known in full" in refused(**_changes(_split(top=3), task=task))


def _changes(made, **changes):
    return {"sources": made.sources, "task": made.task, "observables": []} | changes


# --- whatever happens on the way ----------------------------------------------------------


def test_stopped_and_resumed_equals_uninterrupted(tmp_path, finished):
    for number in (1, 4, 9):
        with pytest.raises(Interrupted):
            run(
                sweep(),
                tmp_path,
                should_stop=lambda n=number: len(list(tmp_path.glob("ledger/*"))) >= n,
            )
    assert run(sweep(), tmp_path).is_complete
    assert tables(tmp_path) == tables(finished)


def test_both_grow_together(tmp_path):
    sources = SWEEP["sources"]
    fewer = {"sgd": SGD | {"runs": 4}, "child": CHILD | {"runs": 4}, "early": EARLY}
    small = sweep(sources={name: fewer[name] for name in sources})
    assert run(small, tmp_path / "grown").is_complete
    before = len(list((tmp_path / "grown").glob("ledger/*")))
    summary = run(sweep(), tmp_path / "grown")
    assert summary.is_complete
    assert summary.computed == summary.done - before > 0
    assert run(sweep(), tmp_path / "afresh").is_complete
    assert tables(tmp_path / "grown") == tables(tmp_path / "afresh")


def test_children_that_come_later_read_compacted_files(tmp_path, finished):
    out = tmp_path / "out"
    assert run(sweep(sources={"sgd": SGD}), out).is_complete
    assert compact(LocalFiles(out)) > 0
    assert run(sweep(sources={"sgd": SGD, "child": CHILD, "early": EARLY}), out).is_complete
    assert not verify(LocalFiles(out)).problems
    assert tables(out) == tables(finished)


@pytest.fixture
def broken(monkeypatch):
    """The first shard of `sgd` raises, until `broken()` is called."""
    victim = next(shard for shard in plan(sweep()).shards if shard.source == "sgd")
    sound = worker_module.work

    def work(programs, pieces, control, inputs):
        if [(p.setting.id, p.start, p.stop) for p in pieces] == list(victim.pieces):
            raise ZeroDivisionError("this shard's code is wrong")
        return sound(programs, pieces, control, inputs)

    monkeypatch.setattr(worker_module, "work", work)
    return lambda: monkeypatch.setattr(worker_module, "work", sound)


def test_a_failed_parent_holds_back_its_children_alone(tmp_path, broken, finished):
    summary = run(sweep(), tmp_path)
    made = summary.plan
    assert (summary.failed, summary.missing, summary.blocked) == (1, 2, 2)
    assert not summary.is_complete
    assert summary.done == len(made.shards) - 3
    assert not verify(LocalFiles(tmp_path)).problems
    broken()
    again = run(sweep(), tmp_path, failed_only=True)
    assert again.computed == 3, "what waited for the failed one is run with it"
    assert again.is_complete
    assert tables(tmp_path) == tables(finished)


def test_the_command_says_what_waits(tmp_path, broken, capsys, monkeypatch):
    path, out = tmp_path / "sweep.yaml", tmp_path / "out"
    path.write_text(json.dumps(SWEEP))

    def code(*words):
        monkeypatch.setattr("sys.argv", ["sweep-engine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0

    assert code("run", path, "--out", out) == 1
    assert "1 shards failed, 2 wait for their results" in capsys.readouterr().err
    assert code("status", out) == 0
    assert "2 missing (2 wait for what failed)" in capsys.readouterr().out
    assert code("status", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["blocked"] == 2
    broken()
    assert code("retry", out) == 0
    assert code("plan", path) == 0
    assert "child needs sgd" in capsys.readouterr().out


def test_an_altered_parent_is_not_started_from(tmp_path):
    assert run(sweep(sources={"sgd": SGD}), tmp_path).is_complete
    victim = sorted(tmp_path.glob("params/source=sgd/*/*.parquet"))[0]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    summary = run(sweep(), tmp_path)
    assert summary.failed > 0
    errors = [failure.error for failure in read_failures(LocalFiles(tmp_path)).values()]
    assert all(victim.name in error and "CorruptResults" in error for error in errors)


def test_each_source_has_its_programs_compiled_once(tmp_path):
    """Training: advance, observe. A snapshot: judge, observe."""
    KEPT.clear()
    before = Program.num_compilations
    axes = {RATE: [0.5, 0.1], "sources.early.at": [0, 10]}
    assert run(sweep(axes=axes), tmp_path).is_complete
    # The start's distance needs the law's draw, of sgd alone.
    assert Program.num_compilations - before == 3 + 2 + 2


def test_a_plan_names_what_a_source_starts_from():
    made = plan(sweep())
    found = {
        cost.source: cost.starts_from for cost in costs(made, Programs(made), clock(measures=False))
    }
    assert found == {"child": "sgd", "sgd": None, "early": "sgd"}


# --- what does not go together ------------------------------------------------------------


def refused(**changes):
    made = plan(sweep(**changes))
    with pytest.raises(SpecError) as caught:
        Programs(made).open_all()
    return "; ".join(caught.value.problems)


def test_networks_must_have_the_same_parameters():
    wide = {"kind": "boolean", "bits": 5, "train": 6}
    sources = {"sgd": SGD | {"task": wide}, "child": CHILD | {"task": SWEEP["task"]}}
    assert "sources.child: its networks have other parameters" in refused(sources=sources)


def test_a_task_of_its_own_has_the_shape_of_the_sweeps():
    wide = {"kind": "boolean", "bits": 5, "train": 6}
    sources = {"sgd": SGD, "other": SGD | {"task": wide}}
    assert "sources.other.task: inputs of shape (5,)" in refused(sources=sources)


def test_functions_of_other_inputs_are_not_compared():
    compared = [{"source": "sgd", "reference": "other", "observable": "function"}]
    other = {"kind": "planar", "set": "kink"}
    task = {"kind": "planar", "set": "two_slab"}
    sources = {"sgd": SGD, "other": SGD | {"task": other}}
    assert "different probe inputs" in refused(sources=sources, task=task, compare=compared)


@pytest.mark.parametrize("target", [1.0, 2.0])
def test_functions_of_levels_have_the_same_levels(target):
    """Outputs are cut by the range of the training targets, so that its end is a level's edge."""
    task = {"kind": "regression", "x": [[0], [1]], "y": [0, 1], "probe": {"levels": 2}}
    other = task | {"y": [0, target], "test_x": [[0]], "test_y": [0]}
    prior = {"kind": "prior", "law": {"kind": "gaussian"}, "draws": 8}
    made = sweep(
        sources={"prior": prior, "other": prior | {"task": other}},
        task=task,
        accept={"train_loss": 0.1},
        axes={},
        compare=[{"source": "prior", "reference": "other", "observable": "function"}],
    )
    if target == 1.0:
        Programs(plan(made)).open_all()
        return
    with pytest.raises(SpecError, match="different probe inputs"):
        Programs(plan(made)).open_all()


def test_shrinking_is_refused(tmp_path):
    out = tmp_path / "out"
    assert run(sweep(sources={"sgd": SGD}), out).is_complete
    subprocess.run(["cp", "-a", out, tmp_path / "copy"], check=True)
    fewer = {"sgd": SGD | {"runs": 4}, "child": CHILD | {"runs": 4}}
    with pytest.raises(OutputError, match="only grow"):
        run(sweep(sources=fewer), tmp_path / "copy")
