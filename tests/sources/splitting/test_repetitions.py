"""What a repetition must not depend on, how it ends, and what is written of it."""

import dataclasses
import functools
import itertools

import numpy as np
import pyarrow.compute as pc
import pytest

from sweep_engine import execution
from sweep_engine.errors import Interrupted
from sweep_engine.lanes import Program
from sweep_engine.observables import unpack
from sweep_engine.solutions import RunStatus
from sweep_engine.sources import Control, Inputs, work
from sweep_engine.sources.splitting import climb
from sweep_engine.sources.splitting.estimate import AncestorsCollapsed
from sweep_engine.sources.splitting.programs import SplittingPrograms
from sweep_engine.spec import Piece, Sweep
from sweep_engine.store import open_results
from tests.sources.splitting.cases import LINEAR, Orthant, measured, open_sweep, repetitions

TASK = {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9}
MODEL = {"kind": "mlp", "widths": [6], "activation": "tanh"}
PARTICLES, MOVES, LANES = 40, 5, 16  # three blocks, the last one padded
SOURCE = {"particles": PARTICLES, "moves": MOVES, "repetitions": 3}
AXES = {"sources.rare.law.std": [1.0, 2.0]}
NAMES = {
    "log_p_fit",
    "log_p_reached",
    "levels",
    "acceptance",
    "step_size",
    "distance_moved",
    "distinct_ancestors",
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sweep_engine.sources.splitting.estimate.AncestorsCollapsed"
)


@functools.cache
def _opened():
    return open_sweep(TASK, MODEL, axes=AXES, lanes=LANES, law={"kind": "gaussian"}, **SOURCE)


def _by_unit(finished):
    """Everything about each unit, as bytes, by its setting and number."""
    rows = dataclasses.asdict(finished.solutions)
    values = [v for v in rows.values() if v is not None] + list(finished.columns.values())
    found = {}
    index = (finished.solutions.run_id & 0xFFFFFFFF) // PARTICLES
    for setting, unit in {*zip(finished.solutions.setting, index, strict=True)}:
        here = (finished.solutions.setting == setting) & (index == unit)
        numbers = [
            (m.what, m.value, repr(m.stderr))
            for m in finished.measured
            if (m.setting, m.unit) == (setting, unit)
        ]
        found[int(setting), int(unit)] = ([v[here].tobytes() for v in values], numbers)
    return found


@functools.cache
def _reference():
    (narrow, _), programs = _opened()
    return _by_unit(repetitions(narrow, programs, 0, 3))


def test_the_reference_units_differ_and_climb():
    """Else the tests below could not fail."""
    (narrow, _), programs = _opened()
    finished = repetitions(narrow, programs, 0, 3)
    assert len({str(unit) for unit in _reference().values()}) == 3
    assert measured(finished, "levels")[0].min() > 3
    assert finished.solutions.fit.all()
    assert len(np.unique(finished.solutions.theta, axis=0)) == 3 * PARTICLES


@pytest.mark.parametrize(
    "units",
    [[(0, 1, 2)], [(0, 2, 3), (0, 0, 2)], [(1, 0, 1), (0, 0, 1), (1, 2, 3), (0, 1, 3)]],
    ids=["alone", "other order", "beside another setting"],
)
def test_same_bits_whatever_order_and_neighbours(units):
    found, programs = _opened()
    pieces = [Piece(found[s], a * PARTICLES, b * PARTICLES) for s, a, b in units]
    rows = _by_unit(work(programs, pieces, Control()))
    ours = {key: unit for key, unit in rows.items() if key[0] == found[0].id}
    assert ours
    assert ours == {key: _reference()[key] for key in ours}


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["a sweep a call", "a level a call"])
def test_same_bits_whatever_segments(monkeypatch, seconds):
    monkeypatch.setattr(climb, "SEGMENT_SECONDS", seconds)
    (narrow, _), programs = _opened()
    assert _by_unit(repetitions(narrow, programs, 0, 3)) == _reference()


def test_the_law_is_the_settings_own():
    (narrow, wide), programs = _opened()
    sizes = [
        np.abs(repetitions(setting, programs, 0, 1).solutions.theta).mean()
        for setting in (narrow, wide)
    ]
    assert sizes[1] > 1.5 * sizes[0]


def test_no_program_compiles_twice():
    found, programs = _opened()
    _reference()
    before = Program.num_compilations
    work(programs, [Piece(s, 5 * PARTICLES, 6 * PARTICLES) for s in found], Control())
    assert Program.num_compilations == before
    made = [v for v in vars(programs).values() if isinstance(v, Program)]
    assert len(made) == 4  # start, select, move, end; the bucket observes


def test_pieces_hold_whole_repetitions():
    (narrow, _), programs = _opened()
    with pytest.raises(ValueError, match="repetitions have 40 particles each"):
        work(programs, [Piece(narrow, 0, PARTICLES + 1)], Control())


def test_a_stop_is_noticed_between_calls(monkeypatch):
    monkeypatch.setattr(climb, "SEGMENT_SECONDS", 0.0)
    (narrow, _), programs = _opened()
    asked = itertools.count()
    control = Control(should_stop=lambda: next(asked) == 3)
    with pytest.raises(Interrupted):
        repetitions(narrow, programs, 0, 1, control=control)
    assert next(asked) == 4


def test_progress_counts_particles():
    (narrow, _), programs = _opened()
    reported = []
    repetitions(narrow, programs, 0, 2, control=Control(report=reported.append))
    assert sum(reported) == 2 * PARTICLES


# --- How it ends --------------------------------------------------------------------------


@functools.cache
def _orthant():
    (setting,), programs = open_sweep(Orthant(12), LINEAR, particles=64)
    return setting, programs


@pytest.fixture
def end(monkeypatch):
    """Do one repetition with other numbers of moves and levels, which no program knows."""

    def run(**changes):
        setting, programs = _orthant()
        spec = setting.spec.model_copy(update=changes)
        monkeypatch.setattr(SplittingPrograms, "spec", spec)
        return repetitions(setting, programs, 0, 1)

    return run


def test_out_of_levels_says_how_far_it_got(end):
    finished = end(max_levels=3)
    solutions = finished.solutions
    assert np.all(solutions.status == RunStatus.MAX_STEPS)
    assert not solutions.fit.any()
    (value,), (stderr,) = measured(finished, "log_p_fit")
    assert (value, np.isnan(stderr)) == (-np.inf, True)
    reached = measured(finished, "log_p_reached")[0][0]
    assert reached == pytest.approx(3 * np.log(0.5))
    np.testing.assert_allclose(solutions.log_weight, reached - np.log(64))


def test_out_of_levels_with_some_that_fit_counts_them(end):
    finished = end(max_levels=11)
    fits = int(finished.solutions.fit.sum())
    assert 0 < fits < 64
    assert np.all(finished.solutions.status == RunStatus.MAX_STEPS)
    value = measured(finished, "log_p_fit")[0][0]
    reached = measured(finished, "log_p_reached")[0][0]
    assert value == pytest.approx(reached + np.log(fits / 64))
    weights = np.exp(finished.solutions.log_weight)[finished.solutions.fit]
    assert np.log(weights.sum()) == pytest.approx(value)


def test_a_collapse_of_ancestors_is_a_warning(end):
    with pytest.warns(AncestorsCollapsed, match="in 1 of 1 repetitions"):
        end(moves=1)


def test_nobody_above_the_last_level_ends_it():
    """Without bias the zero input's output is 0, whose label is 0: never 1."""
    task = {"kind": "boolean", "bits": 2, "target": "1", "train": 4}
    (setting,), programs = open_sweep(task, LINEAR, particles=32)
    finished = repetitions(setting, programs, 0, 1)
    assert np.all(finished.solutions.status == RunStatus.MAX_STEPS)
    assert measured(finished, "log_p_fit")[0][0] == -np.inf
    assert measured(finished, "log_p_reached")[0][0] == 0
    assert measured(finished, "levels")[0][0] == 0
    assert not measured(finished, "acceptance")[0].size


def test_a_sure_fit_has_probability_one():
    task = {"kind": "boolean", "bits": 2, "target": "0", "train": [0]}
    (setting,), programs = open_sweep(task, LINEAR, particles=32)
    finished = repetitions(setting, programs, 0, 1)
    assert measured(finished, "log_p_fit")[0][0] == 0
    assert measured(finished, "log_p_fit")[1][0] == 0
    assert np.all(finished.solutions.status == RunStatus.DRAWN)


def test_the_modules_own_law_is_refused():
    with pytest.raises(ValueError, match="the law `module` cannot be moved"):
        open_sweep(TASK, MODEL, law={"kind": "module"})


# --- Given functions ----------------------------------------------------------------------

FUNCTIONS = ("0001", "0111", "0110")
"""And, or, xor."""
TWO_BITS = {"kind": "boolean", "bits": 2, "target": "x1 & x2", "train": [0, 3]}


@functools.cache
def _two_bits():
    (setting,), programs = open_sweep(
        TWO_BITS, MODEL, particles=64, moves=5, repetitions=2, functions=FUNCTIONS
    )
    return setting, programs


def test_units_climb_to_the_functions_in_turn():
    setting, programs = _two_bits()
    finished = repetitions(setting, programs, 0, 6)
    labels = unpack(finished.functions, 4).reshape(6, 64, 4)
    wanted = np.array([[int(c) for c in f] for f in (*FUNCTIONS, *FUNCTIONS)])
    np.testing.assert_array_equal(labels, np.repeat(wanted[:, None], 64, axis=1))
    assert {m.what for m in finished.measured} == NAMES - {"log_p_fit"} | {"log_p_function"}
    named = [unpack(m.function[None], 4)[0] for m in finished.measured]
    units = [m.unit for m in finished.measured]
    np.testing.assert_array_equal(named, wanted[units])
    assert np.isfinite(measured(finished, "log_p_function")[0]).all()


def test_rows_fit_by_the_ordinary_rule():
    setting, programs = _two_bits()
    fit = repetitions(setting, programs, 0, 3).solutions.fit.reshape(3, 64)
    assert fit[:2].all()  # both are right on the two training inputs
    assert not fit[2].any()  # xor is wrong on the input 11


def test_functions_found_by_another_source_are_inputs():
    setting, programs = _two_bits()
    given = Inputs(functions=np.array([[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1]], np.uint8))
    finished = repetitions(setting, programs, 0, 3, inputs=given)
    labels = unpack(finished.functions, 4).reshape(3, 64, 4)
    assert np.all(labels == given.functions[:, None])


def test_fewer_functions_than_asked_for_leave_units_without_rows():
    setting, programs = _two_bits()
    given = Inputs(functions=np.array([[0, 0, 0, 1]], np.uint8))
    finished = repetitions(setting, programs, 0, 6, inputs=given)
    assert sorted({m.unit for m in finished.measured}) == [0, 3]
    assert len(finished.solutions) == 2 * 64
    nothing = repetitions(setting, programs, 1, 3, inputs=given)
    assert len(nothing.solutions) == len(nothing.measured) == 0


@pytest.mark.parametrize(
    ("functions", "message"),
    [(["011"], "expected 4 characters of 0 to 1"), (["0120"], "expected 4 characters of 0 to 1")],
)
def test_functions_that_the_task_does_not_have_are_refused(functions, message):
    with pytest.raises(ValueError, match=message):
        open_sweep(TWO_BITS, MODEL, functions=functions)


def test_real_outputs_equal_no_function():
    task = {"kind": "regression", "examples": 4, "inputs": 2}
    accept = {"max_residual": 1.0}
    with pytest.raises(ValueError, match="outputs are not discrete"):
        open_sweep(task, LINEAR, accept=accept, functions=["0000"])


# --- From a sweep to its tables -----------------------------------------------------------


def _sweep(repetitions):
    return Sweep(
        name="end-to-end",
        task=TASK,
        model=MODEL,
        sources={
            "rare": {"kind": "splitting", **SOURCE, "repetitions": repetitions},
            "exact": {
                "kind": "splitting",
                **SOURCE,
                "repetitions": 1,
                "functions": ["0" * 16, "1" * 16],
            },
        },
        execution={"lanes": LANES},
    )


def test_rows_and_tallies_of_a_run_that_grows(tmp_path):
    assert execution.run(_sweep(2), tmp_path).is_complete
    before = open_results(tmp_path).runs().to_pylist()
    summary = execution.run(_sweep(3), tmp_path)
    assert (summary.is_complete, summary.computed) == (True, 1)
    results = open_results(tmp_path)
    rows = results.runs().to_pylist()
    assert len(rows) == 5 * PARTICLES
    assert [row for row in before if row not in rows] == []
    rare = [row for row in rows if row["source"] == "rare"]
    assert sorted((row["unit"], row["draw"]) for row in rare) == [
        *itertools.product(range(3), range(PARTICLES))
    ]
    assert all(0 <= row["ancestor"] < PARTICLES for row in rows)
    assert all(row["fit"] and row["status"] == "drawn" for row in rare)
    tallies = results.tallies()
    numbers = tallies.filter(pc.is_valid(tallies["value"]))
    assert {*numbers["what"].to_pylist()} == NAMES | {"log_p_function"}
    fits = numbers.filter(pc.equal(numbers["what"], "log_p_fit")).to_pylist()
    assert sorted(row["unit"] for row in fits) == [0, 1, 2]
    assert all(row["stderr"] > 0 for row in fits)
    functions = numbers.filter(pc.equal(numbers["what"], "log_p_function")).to_pylist()
    assert sorted(row["function"] for row in functions) == [b"\0\0", b"\xff\xff"]


def test_an_interrupted_unit_is_done_again_from_its_start(tmp_path):
    assert execution.run(_sweep(1), tmp_path / "whole").is_complete
    with pytest.raises(Interrupted):
        execution.run(_sweep(1), tmp_path / "stopped", should_stop=lambda: True)
    assert execution.run(_sweep(1), tmp_path / "stopped").is_complete
    runs = [
        sorted(map(repr, open_results(tmp_path / name).runs().to_pylist()))
        for name in ("whole", "stopped")
    ]
    assert runs[0] == runs[1]
