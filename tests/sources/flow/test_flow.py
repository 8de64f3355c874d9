"""`flow`: bits, ends, times that are met exactly, what is kept and observed there."""

import functools

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml

from sweep_engine import execution
from sweep_engine.errors import SpecError
from sweep_engine.keys import run_ids
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.observe import observe_stored
from sweep_engine.spec import Piece, Sweep, load, settings
from sweep_engine.store import open_results

LANES, RUNS = 4, 11
TIMES = [0.0, 0.3, 7.0, 1e6]
FLOW = {
    "kind": "flow",
    "init": {"kind": "gaussian"},
    "stop": {"max_time": 30.0},
    "times": TIMES,
    "snapshots": True,
    "record": {"observables": ["norms", "distance"]},
    "runs": RUNS,
}


def sweep_with(axes=None, activation="tanh", **changes):
    return Sweep.model_validate(
        {
            "name": "flow",
            "seed": 2,
            "task": {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9},
            "model": {"kind": "mlp", "widths": [5], "activation": activation},
            "sources": {"flow": FLOW | changes},
            "axes": axes or {},
            "execution": {"lanes": LANES},
        }
    )


def opened(sweep):
    found = settings(sweep)
    return found, open_source(found[0], sweep.seed, sweep.folder, (), sweep.execution)


@functools.cache
def flowed():
    (setting,), programs = opened(sweep_with())
    return setting, programs, work(programs, [Piece(setting, 0, RUNS)], Control())


@functools.cache
def ended():
    """One run a setting, by what is to end it."""
    stops = [
        {"fit": True},
        {"train_loss": 0.5, "fit": False},
        {"max_time": 3.0, "fit": False},
        {"max_steps": 5, "fit": False},
    ]
    names = ["max_time", "max_steps", "train_loss"]
    usual = {"max_time": 1e9, "max_steps": 1000, "train_loss": 1e-30}
    axes = {f"sources.flow.stop.{name}": [(usual | stop)[name] for stop in stops] for name in names}
    sweep = sweep_with({"zip": [axes]}, stop={"train_loss": 1.0, "fit": False}, record=None)
    found, programs = opened(sweep)
    return work(programs, [Piece(setting, 0, 1) for setting in found], Control())


# --- The same bits ----------------------------------------------------------------------------


def bits(finished):
    solutions = finished.solutions
    values = [solutions.theta, solutions.steps, solutions.snapshots, *finished.columns.values()]
    return {run: [v[i].tobytes() for v in values] for i, run in enumerate(solutions.run_id)}


@pytest.mark.parametrize("pieces", [[(7, 8)], [(3, 11)], [(9, 11), (0, 2), (4, 6)]])
def test_a_run_depends_on_no_lane_nor_neighbour(pieces):
    setting, programs, finished = flowed()
    whole = bits(finished)
    part = bits(work(programs, [Piece(setting, *piece) for piece in pieces], Control()))
    assert part == {run: whole[run] for run in part}
    assert len({tuple(row) for row in whole.values()}) == RUNS


def test_a_record_changes_no_run():
    setting, _, finished = flowed()
    (bare_setting,), programs = opened(sweep_with(record=None))
    assert bare_setting.id == setting.id
    assert programs.recording is None
    bare = work(programs, [Piece(bare_setting, 0, RUNS)], Control())
    assert bits(bare) == bits(finished)


# --- Times ------------------------------------------------------------------------------------


def test_times_are_met_exactly_and_kept():
    _, _, finished = flowed()
    solutions, curves = finished.solutions, finished.curves
    end = finished.columns["time"]
    assert np.any(end < 30)  # by a fit
    for i, run in enumerate(solutions.run_id):
        mine = curves.run_id == run
        reached = [time for time in TIMES if time <= end[i]]
        observed = curves.time[mine][curves.place[mine] >= 0]
        np.testing.assert_array_equal(observed, np.float32(reached))
        steps = curves.step[mine][curves.place[mine] >= 0]
        kept = solutions.snapshot_steps[i] <= solutions.steps[i]
        np.testing.assert_array_equal(solutions.snapshot_steps[i][kept], steps)
        assert np.all(np.diff(curves.step[mine]) > 0)
        assert np.all(np.diff(curves.time[mine]) >= 0)
        assert curves.time[mine][-1] == end[i]
        assert curves.train_loss[mine][-1] == finished.columns["train_loss"][i]


def test_what_is_observed_is_the_networks_that_are_kept():
    setting, programs, finished = flowed()
    solutions, curves = finished.solutions, finished.curves
    runs, slots = np.nonzero(solutions.snapshot_steps <= solutions.steps[:, None])
    columns = observe_stored(
        programs.recording,
        solutions.run_id[runs],
        solutions.snapshots[runs, slots],
        {setting.id: setting},
        Control(),
    )
    place = curves.place[curves.place >= 0]
    for name, values in columns.items():
        np.testing.assert_array_equal(curves.observed[name][place], values, err_msg=name)
    loss = curves.train_loss[curves.place >= 0]
    np.testing.assert_allclose(loss, columns["train_loss"], rtol=1e-5)
    assert np.all(columns["distance_from_init"][slots == 0] == 0)


# --- Ends -------------------------------------------------------------------------------------


def test_every_end_says_what_it_was():
    found = ended().solutions
    expected = [RunStatus.LOSS_REACHED] * 2 + [RunStatus.MAX_TIME, RunStatus.MAX_STEPS]
    assert list(found.status[1:]) == expected[1:]
    assert found.steps[3] == 5
    assert ended().columns["time"][2] == 3
    assert np.all(ended().columns["rejected_steps"] <= found.steps)
    _, _, finished = flowed()
    assert np.all(finished.solutions.fit == (finished.solutions.status == RunStatus.FIT))
    assert np.any(finished.solutions.fit)


def test_a_flow_that_diverges_says_so():
    (setting,), programs = opened(
        sweep_with(activation="relu", init={"kind": "gaussian", "std": 1e30}, record=None)
    )
    found = work(programs, [Piece(setting, 0, 2)], Control())
    assert np.all(found.solutions.status == RunStatus.DIVERGED)
    assert np.all(found.columns["time"] == 0)


def test_a_step_that_the_time_has_no_room_for_stalls():
    """Four layers leave their plateau at t = 5e5, where float32 times are 0.03 apart, for a
    minimum whose curvature of 4,000 allows steps of 0.001."""
    sweep = Sweep.model_validate(
        {
            "name": "stalled",
            "task": {"kind": "regression", "x": [[1.0]], "y": [100.0]},
            "model": {
                "kind": "mlp", "widths": [1, 1, 1], "activation": "linear", "bias": False,
            },
            "accept": {"train_loss": 1e-9},
            "sources": {
                "flow": {
                    "kind": "flow", "init": {"kind": "binary", "scale": 1e-4}, "runs": 8,
                    "atol": 1e-12, "stop": {"max_time": 1e6},
                }
            },
            "execution": {"lanes": 8},
        }
    )  # fmt: skip
    (setting,), programs = opened(sweep)
    found = work(programs, [Piece(setting, 0, 8)], Control())
    stalled = found.solutions.status == RunStatus.STALLED
    assert np.all(stalled | (found.solutions.status == RunStatus.MAX_TIME))
    assert np.any(stalled)
    assert not found.solutions.fit.any()
    np.testing.assert_allclose(found.columns["time"][stalled], 5e5, rtol=0.01)


# --- What it flows along ----------------------------------------------------------------------


def test_l2_shrinks_what_the_loss_does_not_hold():
    """Of least squares with one example the rest of theta decays as e^(-l2 t)."""
    sweep = Sweep.model_validate(
        {
            "name": "decay",
            "task": {"kind": "regression", "x": [[1.0, 0.0]], "y": [1.0]},
            "model": {"kind": "linear", "bias": False},
            "accept": {"train_loss": 1e-9},
            "sources": {
                "flow": {
                    "kind": "flow", "l2": 0.5, "init": {"kind": "gaussian"}, "runs": 4,
                    "stop": {"max_time": 2.0, "fit": False}, "times": [0.0], "snapshots": True,
                }
            },
        }
    )  # fmt: skip
    (setting,), programs = opened(sweep)
    found = work(programs, [Piece(setting, 0, 4)], Control()).solutions
    start = found.snapshots[:, 0]
    np.testing.assert_allclose(found.theta[:, 1], start[:, 1] * np.exp(-1), rtol=1e-4)
    fitted = 1 / 1.5 + (start[:, 0] - 1 / 1.5) * np.exp(-1.5 * 2)
    np.testing.assert_allclose(found.theta[:, 0], fitted, rtol=1e-4)


def test_a_sweep_is_run_from_another_source_and_stored(tmp_path):
    """Pruned weights stay 0; the tables have the time, and null for what has none."""
    mask = {"keep": 0.5}
    sgd = {"kind": "train", "stop": {"max_steps": 20, "fit": False}, "runs": 3}
    data = sweep_with(runs=3).model_dump(mode="json", exclude_none=True)
    ticket = FLOW | {"init": {"from": "sgd", "mask": mask}, "runs": 3}
    data["sources"] = {"sgd": sgd, "flow": ticket}
    assert execution.run(Sweep.model_validate(data), tmp_path).is_complete
    results = open_results(tmp_path)
    rows = results.runs().to_pylist()
    assert all((row["time"] is None) == (row["source"] == "sgd") for row in rows)
    assert all((row["rejected_steps"] is None) == (row["source"] == "sgd") for row in rows)
    curves = results.curves(["source", "time", "l2_norm", "step"])
    is_flow = pc.equal(curves["source"], "flow")
    assert (
        curves.filter(pc.invert(is_flow))["time"].null_count == pc.sum(pc.invert(is_flow)).as_py()
    )
    assert curves.filter(is_flow)["time"].null_count == 0
    for part in results.params("flow"):
        by_run = {run: part.theta[part.run_id == run] for run in np.unique(part.run_id)}
        for states in by_run.values():
            assert len(states) > 2
            assert np.all((states == 0) == (states[0] == 0))
            assert 0 < (states[0] == 0).sum() < states.shape[1]
    ids = {row["run_id"] for row in rows if row["source"] == "flow"}
    assert ids <= set(run_ids(next(iter(ids)) >> 32, 0, 3).tolist())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rtol": 5e-8}, "rtol: must be greater than or equal to"),
        ({"times": [1.0, 0.5]}, "times in increasing order"),
        ({"times": [1.0, 1.0 + 1e-12]}, "that differ in float32"),
        ({"times": None}, "of `times`: give a list"),
        ({"stop": {"max_time": 0.0}}, "max_time"),
        ({"correction": {}}, "learning_rate: missing"),
        ({"record": {"observables": []}}, "must be at least 1 long"),
        (
            {"record": {"observables": [{"kind": "coordinates", "fitted_on": "flow"}]}},
            "fitted on stored networks",
        ),
    ],
)
def test_what_means_nothing_is_refused(tmp_path, change, problem):
    data = sweep_with().model_dump(mode="json", exclude_none=True)
    data["sources"]["flow"] = {
        key: value for key, value in (FLOW | change).items() if value is not None
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(SpecError, match=problem):
        load(file)


def test_runs_start_from_the_end_of_a_flow_alone():
    flow = sweep_with().sources["flow"]
    assert flow.missing_state("final", "f") is None
    assert flow.missing_state("first_fit", "f") is None
    assert "at: final" in flow.missing_state(3, "f")
