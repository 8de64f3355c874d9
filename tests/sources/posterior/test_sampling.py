"""What a chain must not depend on, how it ends, and what is told about it."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from sweep_engine import execution
from sweep_engine.errors import Interrupted
from sweep_engine.execution.programs.kept import KEPT
from sweep_engine.keys import run_ids
from sweep_engine.lanes import Program
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.posterior import programs as posterior_programs
from sweep_engine.sources.posterior import sampling
from sweep_engine.spec import Piece, Sweep, settings
from sweep_engine.spec.sources import sizes
from sweep_engine.store import open_results

LANES, CHAINS, DRAWS = 4, 10, 6
TASK = {"kind": "boolean", "bits": 3, "target": "x1 ^ x2", "train": 5}
MODEL = {"kind": "mlp", "widths": [3], "activation": "tanh"}
SOURCE = {"kind": "posterior", "chains": CHAINS, "draws": DRAWS, "warmup": 5, "thin": 2}
NUTS = SOURCE | {"method": "nuts", "max_doublings": 4}
SGLD = SOURCE | {"method": "sgld", "step_size": 0.05, "batch_size": 3}


def sweep_of(source, axes=None, **changes):
    return Sweep(
        **{"name": "chains", "seed": 5, "task": TASK, "model": MODEL} | changes,
        sources={"a": source},
        axes={f"sources.a.{path}": values for path, values in (axes or {}).items()},
        execution={"lanes": LANES},
    )


def opened(source, axes=None, **changes):
    sweep = sweep_of(source, axes, **changes)
    found = settings(sweep)
    return found, open_source(found[0], sweep.seed, sweep.folder, ("norms",), sweep.execution)


def finish(programs, *chains):
    """The work on some (setting, first chain, last + 1)."""
    pieces = [Piece(s, first * DRAWS, last * DRAWS) for s, first, last in chains]
    return work(programs, pieces, Control())


def rows(finished):
    """Everything about each row and each chain, as bytes."""
    solutions, columns = finished.solutions, finished.columns
    values = [getattr(solutions, field.name) for field in dataclasses.fields(solutions)]
    values = [value for value in values if value is not None] + list(columns.values())
    found = {int(run): [v[i].tobytes() for v in values] for i, run in enumerate(solutions.run_id)}
    measured = {(m.setting, m.unit, m.what): [repr(m.value)] for m in finished.measured}
    return found | measured


@functools.cache
def by_nuts():
    """Two temperatures, one program."""
    return opened(NUTS, {"temperature": [1.0, 0.2]})


@functools.cache
def reference():
    found, programs = by_nuts()
    return rows(finish(programs, (found[0], 0, CHAINS)))


# --- The same bits ------------------------------------------------------------------------


def test_the_reference_chains_differ():
    """Else the tests below could not fail."""
    found, programs = by_nuts()
    theta = finish(programs, (found[0], 0, CHAINS)).solutions.theta
    assert len(np.unique(theta, axis=0)) > 0.9 * CHAINS * DRAWS
    assert CHAINS > 2 * LANES


@pytest.mark.parametrize(
    "chains",
    [[(0, 7, 8)], [(0, 5, 10), (0, 1, 3)], [(1, 0, 3), (0, 4, 9), (1, 5, 6)]],
    ids=["alone", "other lanes and order", "beside another temperature"],
)
def test_same_bits_whatever_lanes_and_neighbours(chains):
    found, programs = by_nuts()
    ours = rows(finish(programs, *((found[s], *which) for s, *which in chains)))
    both = ours.keys() & reference().keys()
    assert len(both) > DRAWS
    assert {key: ours[key] for key in both} == {key: reference()[key] for key in both}


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["short segments", "long segments"])
def test_same_bits_whatever_segments(monkeypatch, seconds):
    monkeypatch.setattr(sampling, "SEGMENT_SECONDS", seconds)
    found, programs = by_nuts()
    assert rows(finish(programs, (found[0], 0, CHAINS))) == reference()


def test_same_bits_where_a_segment_has_room_for_one_draw(monkeypatch):
    source = SGLD | {"warmup": 0, "thin": 1}
    (one,), programs = opened(source)
    many = rows(finish(programs, (one, 0, 2)))
    monkeypatch.setattr(posterior_programs, "MAX_CAPACITY", 1)
    (one,), programs = opened(source)
    assert programs.chain.capacity == 1
    assert rows(finish(programs, (one, 0, 2))) == many


def test_a_diverging_neighbour_changes_no_bit_and_keeps_its_rows():
    task = {"kind": "regression", "examples": 5, "inputs": 2}
    axes = {"step_size": [1e-4, 1e4]}
    accept = {"max_residual": 0.5}
    source = SGLD | {"noise_std": 0.3}
    model = {"kind": "mlp", "widths": [3], "activation": "relu"}
    (good, bad), programs = opened(source, axes, task=task, accept=accept, model=model)
    alone = rows(finish(programs, (good, 0, 3)))
    together = finish(programs, (bad, 0, 2), (good, 0, 3), (bad, 2, 3))
    assert {key: row for key, row in rows(together).items() if key in alone} == alone
    solutions = together.solutions
    is_bad = solutions.setting == bad.id
    assert np.all(solutions.status[is_bad] == RunStatus.DIVERGED)
    assert np.all(solutions.status[~is_bad] == RunStatus.DRAWN)
    assert not solutions.fit[is_bad].any()
    assert len(solutions) == 6 * DRAWS


# --- Rows, and what is told about chains --------------------------------------------------


def test_rows_are_chain_after_chain_and_are_judged_by_the_rule():
    found, programs = by_nuts()
    finished = finish(programs, (found[0], 2, 5), (found[1], 0, 2))
    solutions, columns = finished.solutions, finished.columns
    expected = [run_ids(found[0].id, 2 * DRAWS, 5 * DRAWS), run_ids(found[1].id, 0, 2 * DRAWS)]
    np.testing.assert_array_equal(solutions.run_id, np.concatenate(expected))
    assert np.all(solutions.status == RunStatus.DRAWN)
    assert not solutions.log_weight.any()
    np.testing.assert_array_equal(solutions.fit, columns["train_error"] == 0)
    assert 0 < solutions.fit.sum() < len(solutions)
    assert [(t.setting, t.draws, t.fits) for t in finished.tallies] == [
        (one.id, len(part), int(part.sum()))
        for one in found
        if len(part := solutions.fit[solutions.setting == one.id])
    ]


def test_half_a_chain_is_refused():
    found, programs = by_nuts()
    with pytest.raises(ValueError, match="chains have 6 each"):
        work(programs, [Piece(found[0], 3, 12)], Control())


def measured(finished):
    return {(m.unit, m.what): m.value for m in finished.measured}


def test_each_chain_is_measured():
    found, programs = by_nuts()
    values = measured(finish(programs, (found[0], 3, 5)))
    names = {what for _, what in values}
    assert names == {
        "r_hat_log_density", "ess_log_density", "ess_train_loss", "step_size", "gradients",
        "acceptance", "divergences", "doublings", "saturations",
    }  # fmt: skip
    assert {unit for unit, _ in values} == {3, 4}
    assert all(np.isfinite(value) for value in values.values())
    for unit in (3, 4):
        transitions = DRAWS * SOURCE["thin"]
        assert transitions <= values[unit, "gradients"] <= transitions * (2**4 - 1)
        assert 0 < values[unit, "acceptance"] <= 1


def test_divergences_and_saturations_are_counted():
    """Steps far too long end all trajectories at once; far too short, none turns round."""
    source = NUTS | {"warmup": 0, "step_size": 1e3}
    task, accept = {"kind": "regression", "examples": 5, "inputs": 2}, {"max_residual": 0.5}
    (long, short), programs = opened(
        source | {"noise_std": 0.1}, {"step_size": [1e3, 1e-5]}, task=task, accept=accept
    )
    transitions = DRAWS * SOURCE["thin"]
    at_long = measured(finish(programs, (long, 0, 1)))
    assert at_long[0, "divergences"] == transitions
    assert at_long[0, "saturations"] == 0
    at_short = measured(finish(programs, (short, 0, 1)))
    assert at_short[0, "saturations"] == transitions
    assert at_short[0, "gradients"] == transitions * (2**4 - 1)
    assert at_short[0, "divergences"] == 0


def test_the_warm_up_reaches_the_acceptance_asked_for():
    axes = {"target_acceptance": [0.6, 0.95]}
    source = SOURCE | {"method": "hmc", "warmup": 300, "integration_steps": 3, "thin": 30}
    (low, high), programs = opened(source | {"target_acceptance": 0.6}, axes)
    for setting, target in ((low, 0.6), (high, 0.95)):
        found = measured(finish(programs, (setting, 0, 4)))
        acceptance = [value for (_, what), value in found.items() if what == "acceptance"]
        assert np.mean(acceptance) == pytest.approx(target, abs=0.1)


def test_losses_of_a_teacher_start_are_about_the_labels_of_the_teacher():
    """A chain that hardly moves stays at its teacher, which the noise alone misses."""
    noise, examples = 1e-3, {"examples": 6, "inputs": 2, "test_examples": 4}
    task = {"kind": "regression", "noise": 1.0} | examples
    source = SGLD | {"step_size": 1e-12, "start": "teacher", "noise_std": noise, "batch_size": 6}
    (one,), programs = opened(source, task=task, accept={"max_residual": 5 * noise})
    finished = finish(programs, (one, 0, CHAINS))
    assert finished.columns["train_loss"].max() < 20 * noise**2
    assert finished.columns["test_loss"].max() < 20 * noise**2
    assert finished.solutions.fit.all()


# --- Programs, files ----------------------------------------------------------------------


def test_one_compilation_for_all_that_is_traced(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", 2 * DRAWS)
    monkeypatch.setattr(sizes, "CHAINS_PER_SHARD", 2)
    swept = {"law.std": [0.5, 1.0], "temperature": [1.0, 2.0], "step_size": [0.1, 0.2]}
    source = SOURCE | {"method": "hmc", "step_size": 0.1, "chains": 4}
    swept |= {"integration_steps": [2, 3], "target_acceptance": [0.7, 0.8]}
    source |= {"integration_steps": 2, "target_acceptance": 0.7}
    sweep = sweep_of(source, {})
    axes = {"zip": [{f"sources.a.{path}": values for path, values in swept.items()}]}
    sweep = Sweep.model_validate(sweep.model_dump() | {"axes": axes})
    before = Program.num_compilations
    summary = execution.run(sweep, tmp_path / "out")
    assert summary.is_complete
    assert (len(summary.plan.buckets), len(summary.plan.shards)) == (1, 4)
    assert Program.num_compilations - before == 3  # start, advance, observe


def contents(out):
    results = open_results(out)
    tallies = results.tallies()
    (part,) = list(results.params("a"))
    order = np.argsort(part.run_id)
    return (
        sorted(map(repr, results.runs().to_pylist())),
        sorted(map(repr, tallies.filter(tallies["unit"].is_valid()).to_pylist())),
        part.theta[order].tobytes(),
    )


def test_a_stopped_run_goes_on_chain_by_chain(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "RUNS_PER_SHARD", LANES * DRAWS)
    monkeypatch.setattr(sizes, "CHAINS_PER_SHARD", LANES)
    monkeypatch.setattr(sampling, "SEGMENT_SECONDS", 0.0)
    sweep = sweep_of(NUTS)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    execution.run(sweep, whole)
    KEPT.clear()  # while it compiles there is time to stop it
    calls = itertools.count()
    with pytest.raises(Interrupted, match="run again"):
        execution.run(sweep, stopped, should_stop=lambda: next(calls) >= 1)
    summary = execution.run(sweep, stopped)
    assert summary.is_complete
    assert summary.computed >= 1
    assert contents(stopped) == contents(whole)
    units = open_results(whole).runs(["unit", "draw"]).to_pydict()
    assert sorted(set(units["unit"])) == list(range(CHAINS))
    assert sorted(set(units["draw"])) == list(range(DRAWS))
