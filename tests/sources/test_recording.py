"""Observables recorded along training: which steps, which values, and that training is the same."""

import functools

import numpy as np
import pytest
import yaml

from sweep_engine import execution
from sweep_engine.errors import SpecError
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, open_source, work
from sweep_engine.sources.observe import observe_stored
from sweep_engine.sources.train.record_steps import RecordSteps
from sweep_engine.spec import Piece, Sweep, load, settings
from sweep_engine.spec.sources import Record
from sweep_engine.store import open_results

LANES, RUNS = 4, 11
TRAIN = {
    "kind": "train",
    "init": {"kind": "gaussian"},
    "optimizer": {"kind": "sgd", "learning_rate": 0.5},
    "batch_size": 3,
    "stop": {"max_steps": 300, "snapshots": list(range(0, 300, 7))},
    "runs": RUNS,
}
OBSERVABLES = ["norms", "distance", "complexity"]


def sweep_with(record, **changes):
    return Sweep(
        name="recording",
        seed=2,
        task={"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9},
        model={"kind": "mlp", "widths": [5], "activation": "tanh"},
        sources={"sgd": TRAIN | changes | ({"record": record} if record else {})},
        execution={"lanes": LANES},
    )


@functools.cache
def trained(every=None, at=None):
    """Setting, programs and what they give, with a record or without."""
    record = {"observables": OBSERVABLES, "every": every, "at": at} if every or at else None
    sweep = sweep_with(record)
    (setting,) = settings(sweep)
    programs = open_source(setting, sweep.seed, sweep.folder, (), sweep.execution)
    return setting, programs, work(programs, [Piece(setting, 0, RUNS)], Control())


@pytest.fixture(
    scope="module", params=[{"every": 7}, {"at": tuple(range(0, 300, 7))}], ids=["every", "at"]
)
def recorded(request):
    return trained(**request.param)


def test_training_has_the_same_bits(recorded):
    setting, _, finished = recorded
    bare_setting, _, bare = trained()
    assert setting.id == bare_setting.id
    assert len(set(bare.solutions.steps)) > LANES  # lanes have been filled again
    for name in ("run_id", "theta", "status", "steps", "fit_step"):
        given, expected = getattr(finished.solutions, name), getattr(bare.solutions, name)
        np.testing.assert_array_equal(given, expected)
    rows = zip(bare.curves.run_id, bare.curves.step, bare.curves.train_loss, strict=True)
    checks = {(run, step): loss for run, step, loss in rows}
    curves = finished.curves
    assert len(curves.step) > len(checks)
    for run, step, loss in zip(curves.run_id, curves.step, curves.train_loss, strict=True):
        assert checks.pop((run, step), loss) == loss
    assert not checks


def test_every_step_asked_for_that_a_run_reaches_is_there(recorded):
    _, _, finished = recorded
    curves, ends = finished.curves, finished.solutions
    for run, end in zip(ends.run_id, ends.steps, strict=True):
        mine = curves.run_id == run
        steps = curves.step[mine & (curves.place >= 0)]
        np.testing.assert_array_equal(steps, np.arange(0, min(end, 299) + 1, 7))
        assert np.all(np.diff(curves.step[mine]) > 0)


def test_the_values_are_those_of_the_networks_at_these_steps(recorded):
    """As `observe` would give them of the stored snapshots, to the last bit."""
    setting, programs, finished = recorded
    curves, ends = finished.curves, finished.solutions
    runs, slots = np.nonzero(ends.snapshot_steps <= ends.steps[:, None])
    columns = observe_stored(
        programs.recording,
        ends.run_id[runs],
        ends.snapshots[runs, slots],
        {setting.id: setting},
        Control(),
    )
    place = curves.place[curves.place >= 0]  # in the order of runs and steps, as nonzero's
    assert set(columns) == set(curves.observed)
    assert {"distance_from_init", "layer_norms", "complexity_lz", "test_loss"} <= set(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(curves.observed[name][place], values, err_msg=name)
    assert np.all(columns["distance_from_init"][ends.snapshot_steps[runs, slots] == 0] == 0)


def test_a_run_does_not_depend_on_its_neighbours(recorded):
    setting, programs, finished = recorded
    part = work(programs, [Piece(setting, 5, 8)], Control()).curves
    mine = np.isin(finished.curves.run_id, part.run_id)
    np.testing.assert_array_equal(part.step, finished.curves.step[mine])
    whole, place = finished.curves.place[mine], part.place
    assert np.array_equal(whole >= 0, place >= 0)
    for name, values in part.observed.items():
        expected = finished.curves.observed[name][whole[whole >= 0]]
        np.testing.assert_array_equal(values[place[place >= 0]], expected, err_msg=name)


def test_the_last_step_of_a_run_is_recorded_once():
    """A run that ends at a recorded step has one row there, with both."""
    _, _, finished = trained(every=1)
    curves, ends = finished.curves, finished.solutions
    assert np.any(ends.status == RunStatus.FIT)
    for run, end in zip(ends.run_id, ends.steps, strict=True):
        np.testing.assert_array_equal(curves.step[curves.run_id == run], np.arange(end + 1))
    assert np.all(curves.place >= 0)


@pytest.mark.parametrize("alignment", [1, 6, 40])
@pytest.mark.parametrize("every", [1, 3, 50])
def test_no_slot_is_needed_twice_in_a_segment(every, alignment):
    steps = RecordSteps(Record(observables=("norms",), every=every), alignment)
    assert steps.most_turns % alignment == 0
    for start in range(0, 3 * steps.most_turns, 7):
        at, slots = steps.between(start, start + steps.most_turns)
        assert np.all(at % every == 0)
        assert len(set(slots)) == len(slots) <= steps.num_slots
        for step, slot in zip(at[:3], slots[:3], strict=True):
            assert [int(x) for x in steps.slot(step)] == [1, slot]


def test_gradient_descent_breaks_the_balance_as_it_should(tmp_path):
    """On ab = y each step takes c = a^2 - b^2 to c (1 - rate^2 r^2), r the residual there."""
    rate, target = 0.1, 1.0
    sweep = Sweep(
        name="balance",
        task={"kind": "factorisation", "target": target},
        model={"kind": "scalar_factorisation"},
        accept={"train_loss": 1e-8},
        sources={
            "gd": {
                "kind": "train",
                "init": {"kind": "gaussian"},
                "optimizer": {"kind": "sgd", "learning_rate": rate},
                "stop": {"max_steps": 30, "fit": False},
                "record": {"observables": ["balance", "flatness"], "every": 1},
                "runs": 8,
            }
        },
        observables=["balance"],
    )
    assert execution.run(sweep, tmp_path).is_complete
    results = open_results(tmp_path)
    table = results.curves()
    fields = [*table.schema.names]
    assert fields.index("test_loss") == 4
    assert table.schema.field("balance_c").metadata[b"meaning"]
    rows = table.sort_by([("run_id", "ascending"), ("step", "ascending")]).to_pydict()
    assert rows["step"] == 8 * list(range(31))
    c, loss = (np.reshape(rows[name], (8, 31)) for name in ("balance_c", "train_loss"))
    expected = c[:, :-1] * (1 - rate**2 * 2 * loss[:, :-1])
    np.testing.assert_allclose(c[:, 1:], expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(c[:, 1:], c[:, :-1], rtol=1e-3)  # the flow's law is another
    last = dict(zip(*(results.runs().to_pydict()[x] for x in ("run_id", "balance_c")), strict=True))
    for run, step, value in zip(rows["run_id"], rows["step"], rows["balance_c"], strict=True):
        assert step < 30 or value == last[run]
    top, ratio = (np.array(rows[x]) for x in ("hessian_eigenvalue_max", "edge_ratio"))
    np.testing.assert_allclose(ratio, rate * top / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"observables": ["norms"]}, "either `at`, a list of steps, or `every`"),
        ({"observables": ["norms"], "at": [1], "every": 2}, "either `at`"),
        ({"observables": ["norms"], "at": [3, 1]}, "in increasing order"),
        ({"observables": ["norms"], "every": 2**31}, "record.every: must be less than 2147483648"),
        ({"observables": [], "every": 1}, "must be at least 1 long"),
        ({"observables": ["norm"], "every": 1}, "did you mean 'norms'"),
        (
            {"observables": [{"kind": "coordinates", "fitted_on": "sgd"}], "every": 1},
            "fitted on stored networks",
        ),
    ],
)
def test_a_record_that_means_nothing_is_refused(tmp_path, record, problem):
    sweep = sweep_with(None).model_dump(mode="json", exclude_none=True)
    sweep["sources"]["sgd"]["record"] = record
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    with pytest.raises(SpecError, match=problem):
        load(file)


def test_what_does_not_suit_the_task_is_refused(tmp_path):
    sweep = sweep_with({"observables": ["balance"], "every": 1})
    with pytest.raises(SpecError, match=r"record: observable balance_u: needs the model"):
        execution.run(sweep, tmp_path)


def test_two_sources_that_record_a_column_in_two_ways_are_refused(tmp_path):
    record = {"observables": [{"kind": "flatness", "measures": ["trace"]}], "every": 5}
    other = {"observables": ["flatness"], "at": [0]}
    sweep = sweep_with(record)
    data = sweep.model_dump(exclude_none=True)
    data["sources"]["other"] = TRAIN | {"record": other}
    with pytest.raises(SpecError, match="record: two observables fill one column"):
        execution.run(Sweep.model_validate(data), tmp_path)


def test_a_record_cannot_be_swept(tmp_path):
    sweep = sweep_with({"observables": ["norms"], "every": 1})
    for path in ("record", "record.every"):
        data = sweep.model_dump(exclude_none=True) | {"axes": {f"sources.sgd.{path}": [1, 2]}}
        with pytest.raises(SpecError, match="record changes no run and cannot be swept"):
            settings(Sweep.model_validate(data))
