"""Axes: which values they take, which sources they multiply, and how a bad one is refused."""

import importlib
import json
import math
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import qmc

from sweep_engine.errors import SpecError
from sweep_engine.spec import (
    Sweep,
    axis_paths,
    dump_sweep,
    load,
    restore,
    settings,
    spec_id,
    touches,
)
from sweep_engine.spec.axes import Axis, Sobol
from sweep_engine.spec.sources.optimizers import Adam, Sgd
from tests.statistics import assert_catches, assert_ks, assert_uniform_chi2

module = importlib.import_module("sweep_engine.spec.settings")  # the package's name is the function

RATE = "sources.sgd.optimizer.learning_rate"
MOMENTUM = "sources.sgd.optimizer.momentum"
HALF_WIDTH = "sources.box.law.half_width"


def sweep(axes, **changes):
    return Sweep.model_validate(
        {
            "name": "axes",
            "task": {"kind": "boolean", "bits": 3, "train": 4},
            "model": {"kind": "mlp"},
            "sources": {
                "sgd": {"kind": "train", "runs": 2},
                "box": {"kind": "prior", "draws": 2},
            },
            "axes": axes,
            **changes,
        }
    )


def values(axis, seed=0, path=RATE):
    return Axis.model_validate(axis).resolve(seed, path)


def counts(axes, **changes):
    """How many settings each source has."""
    found = [setting.source for setting in settings(sweep(axes, **changes))]
    return found.count("sgd"), found.count("box")


def problems(axes, **changes):
    with pytest.raises(SpecError) as caught:
        settings(sweep(axes, **changes))
    return caught.value.problems


# --- the values of one axis -----------------------------------------------------------------


def test_lists_and_grids():
    assert values({"values": [3, 1, 2]}) == (3, 1, 2)
    assert values({"grid": [0.0, 1.0], "points": 5}) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert values({"log_grid": [0.01, 1.0], "points": 3}) == (0.01, 0.1, 1.0)
    assert values({"grid": [2.0, 3.0], "points": 1}) == (2.0,)


DISTRIBUTIONS = [{"uniform": [-2.0, 3.0]}, {"log_uniform": [0.01, 10.0]}, {"integer": [-1, 8]}]


@pytest.mark.parametrize("axis", DISTRIBUTIONS)
def test_draws_depend_on_seed_path_and_index_only(axis):
    drawn = values({**axis, "points": 20})
    assert values({**axis, "points": 20}) == drawn
    assert values({**axis, "points": 35})[:20] == drawn
    assert values({**axis, "points": 20}, seed=1) != drawn
    assert values({**axis, "points": 20}, path=MOMENTUM) != drawn
    assert len(set(drawn)) > 5


LOW = st.floats(-1e3, 1e3).filter(lambda low: low == 0 or abs(low) > 1e-30)


def test_draws_follow_their_law():
    uniform = values({"uniform": [-2.0, 3.0], "points": 4000})
    logs = np.log(values({"log_uniform": [0.01, 10.0], "points": 4000}))
    low, high = math.log(0.01), math.log(10)

    def check(sample):
        assert_ks(sample, lambda x: np.clip((x - low) / (high - low), 0, 1))

    assert_ks(uniform, lambda x: np.clip((x + 2) / 5, 0, 1))
    check(logs)
    assert_catches(check, lambda: np.log(values({"uniform": [0.01, 10.0], "points": 4000})))
    integers = np.array(values({"integer": [-1, 8], "points": 4000}))
    assert_uniform_chi2(np.bincount(integers + 1, minlength=10))
    assert all(type(value) is int for value in integers.tolist())


@given(low=LOW, width=st.floats(1e-3, 1e3), unit=st.floats(0, 1, exclude_max=True))
@hypothesis_settings(deadline=None, max_examples=50)
def test_a_point_lies_in_its_range(low, width, unit):
    high = low + width
    assert low <= Axis(uniform=(low, high)).at(unit) <= high


@given(st.integers(-100, 100), st.integers(1, 100), st.floats(0, 1, exclude_max=True))
@hypothesis_settings(deadline=None, max_examples=50)
def test_an_integer_range_holds_both_ends(low, span, unit):
    axis = Axis(integer=(low, low + span))
    assert low <= axis.at(unit) <= low + span
    assert axis.at(0.0) == low
    assert axis.at(1 - 2**-53) == low + span


@pytest.mark.parametrize(
    "axis",
    [
        [],
        {},
        {"points": 3},
        {"values": [1], "points": 3},
        {"grid": [0.0, 1.0], "uniform": [0.0, 1.0], "points": 3},
        {"grid": [1.0, 0.0], "points": 3},
        {"uniform": [1.0, 1.0], "points": 3},
        {"uniform": [0.0, 1.0, 2.0], "points": 3},
        {"uniform": ["0", 1.0], "points": 3},
        {"uniform": [0.0, float("inf")], "points": 3},
        {"uniform": [0.0, 1.0], "points": 0},
        {"log_grid": [0.0, 1.0], "points": 3},
        {"log_uniform": [-1.0, 1.0], "points": 3},
        {"integer": [0.5, 2], "points": 3},
        {"choice": [1, 2]},
    ],
)
def test_an_axis_that_says_nothing_clear_is_refused(axis):
    with pytest.raises(ValidationError):
        sweep({RATE: axis})


def test_a_value_that_is_not_finite_is_refused():
    for value in (float("nan"), float("inf")):
        with pytest.raises((ValidationError, SpecError)):
            settings(sweep({RATE: [value]}))


# --- Sobol ----------------------------------------------------------------------------------

SQUARE = {RATE: {"uniform": [0.0, 1.0]}, MOMENTUM: {"uniform": [0.0, 1.0]}}


def sobol(points, over=SQUARE, seed=0):
    return Sobol.model_validate({"points": points, "over": over}).resolve(seed)


def test_more_sobol_points_extend_the_sequence():
    longest = sobol(64)
    for points in (1, 2, 5, 8, 33):
        assert sobol(points) == longest[:points]
    assert sobol(8, seed=1) != sobol(8)


def test_sobol_points_are_even():
    """64 points leave a fifth, at most, of the centred discrepancy of independent draws."""
    rng = np.random.default_rng(0)
    independent = [qmc.discrepancy(rng.random((64, 2))) for _ in range(20)]
    assert qmc.discrepancy(np.array(sobol(64))) < np.median(independent) / 5
    for column in np.array(sobol(64)).T:
        assert sorted(np.floor(column * 64)) == list(range(64))


def test_sobol_axes_take_their_own_ranges():
    over = {RATE: {"log_uniform": [0.01, 1.0]}, "sources.sgd.stop.max_steps": {"integer": [1, 9]}}
    rates, steps = zip(*sobol(32, over), strict=True)
    assert all(0.01 <= rate <= 1 for rate in rates)
    assert set(steps) == set(range(1, 10))


@pytest.mark.parametrize(
    "axis", [[1, 2], {"grid": [0.0, 1.0]}, {"uniform": [0.0, 1.0], "points": 3}]
)
def test_sobol_takes_distributions_only(axis):
    with pytest.raises(ValidationError, match="give uniform, log_uniform or integer"):
        sweep({"sobol": {"points": 4, "over": {RATE: axis}}})


def test_sobol_points_do_not_depend_on_the_order_of_keys():
    """`sweep.json` sorts keys: a restored sweep must have the settings it was run with."""
    one = sweep({"sobol": {"points": 4, "over": dict(sorted(SQUARE.items()))}})
    other = sweep({"sobol": {"points": 4, "over": dict(sorted(SQUARE.items(), reverse=True))}})
    assert spec_id(one) == spec_id(other)
    ids = {setting.id for setting in settings(one)}
    assert {setting.id for setting in settings(other)} == ids
    again = restore(json.loads(json.dumps(dump_sweep(other))), Path())
    assert {setting.id for setting in settings(again)} == ids


# --- which sources an axis multiplies -----------------------------------------------------------


def test_an_axis_multiplies_only_the_sources_that_it_touches():
    three, two = [0.1, 0.2, 0.3], [[4], [8]]
    assert counts({}) == (1, 1)
    assert counts({RATE: three}) == (3, 1)
    assert counts({HALF_WIDTH: three}) == (1, 3)
    assert counts({"model.widths": two}) == (2, 2)
    assert counts({"task.target": ["x1", "x2"]}) == (2, 2)
    assert counts({RATE: three, "model.widths": two}) == (6, 2)
    assert counts({RATE: three, HALF_WIDTH: [1.0, 2.0], "model.widths": two}) == (6, 4)
    assert counts({RATE: three, MOMENTUM: [0.0, 0.5, 0.9, 0.99]}) == (12, 1)


def test_zips_and_sobol_sets():
    pair = {RATE: [0.1, 0.2, 0.3], MOMENTUM: [0.0, 0.5, 0.9]}
    assert counts({"zip": pair}) == (3, 1)
    assert counts({"zip": [pair], "model.widths": [[4], [8]]}) == (6, 2)
    across = {RATE: [0.1, 0.2, 0.3], HALF_WIDTH: [1.0, 1.0, 2.0]}
    assert counts({"zip": across}) == (3, 2)
    assert counts({"sobol": {"points": 5, "over": SQUARE}}) == (5, 1)
    assert counts({"sobol": [{"points": 5, "over": SQUARE}], HALF_WIDTH: [1.0, 2.0]}) == (5, 2)


def test_zipped_values_stay_together():
    found = settings(sweep({"zip": {RATE: [0.1, 0.2], MOMENTUM: [0.5, 0.9]}}))
    pairs = [(s.spec.optimizer.learning_rate, s.spec.optimizer.momentum) for s in found[:2]]
    assert pairs == [(0.1, 0.5), (0.2, 0.9)]
    assert found[0].values == {RATE: 0.1, MOMENTUM: 0.5}
    assert found[2].values == {}


def test_an_axis_reaches_its_field():
    found = settings(
        sweep({"model.widths": [[4], [8, 8]], "task.target": ["x2"], HALF_WIDTH: [2.0]})
    )
    assert [s.model.widths for s in found] == [(4,), (8, 8)] * 2
    assert {s.task.target for s in found} == {"x2"}
    assert [s.spec.law.half_width for s in found if s.source == "box"] == [2.0, 2.0]


def test_a_whole_part_may_be_swept():
    optimizers = [{"kind": "sgd", "learning_rate": 0.5}, {"kind": "adam"}]
    found = settings(sweep({"sources.sgd.optimizer": optimizers}))
    assert [s.spec.kind for s in found] == ["train", "train", "prior"]
    assert [s.spec.optimizer.kind for s in found[:2]] == ["sgd", "adam"]
    assert [s.spec.optimizer.learning_rate for s in found[:2]] == [0.5, 1e-3]
    assert found[0].values == {"sources.sgd.optimizer": optimizers[0]}


@pytest.mark.parametrize("rate_first", [False, True])
def test_a_part_and_a_field_of_it_may_be_swept_together(rate_first):
    axes = {"sources.sgd.optimizer": [{"kind": "sgd"}, {"kind": "adam"}], RATE: [0.1, 0.2]}
    if rate_first:
        axes = dict(reversed(axes.items()))
    made = sweep(axes)
    before = spec_id(made)
    found = {(s.spec.optimizer.kind, s.spec.optimizer.learning_rate) for s in settings(made)[:4]}
    assert found == {("sgd", 0.1), ("sgd", 0.2), ("adam", 0.1), ("adam", 0.2)}
    assert spec_id(made) == before, "listing the settings changed the sweep"


def test_a_part_may_be_swept_as_objects():
    objects = [Sgd(learning_rate=0.5), Adam()]
    plain = [{"kind": "sgd", "learning_rate": 0.5}, {"kind": "adam"}]
    found = settings(sweep({"sources.sgd.optimizer": objects}))
    expected = settings(sweep({"sources.sgd.optimizer": plain}))
    assert [s.id for s in found] == [s.id for s in expected]


def test_a_field_below_a_swept_part_that_leaves_it_out():
    axes = {
        "sources.sgd.optimizer": [{"kind": "sgd"}],
        "sources.sgd.optimizer.schedule.steps": [5],
    }
    schedule = {"kind": "warm_up", "steps": 3}
    sources = {
        "sgd": {"kind": "train", "runs": 1, "optimizer": {"kind": "sgd", "schedule": schedule}}
    }
    (problem,) = problems(axes, sources=sources)
    assert "does not fit" in problem


def test_paths_and_touches():
    axes = {"model.widths": [[4]], "zip": {RATE: [0.1]}, "sobol": {"points": 1, "over": SQUARE}}
    made = sweep(axes)
    assert axis_paths(made) == ["model.widths", RATE, *SQUARE]
    assert touches(made, "task.bits", "sgd")
    assert touches(made, "model.widths", "box")
    assert touches(made, RATE, "sgd")
    assert not touches(made, RATE, "box")


def test_a_source_has_no_dot_in_its_name():
    """`sources.a.b.init` would be a field of `a` as well as one of `a.b`."""
    with pytest.raises(ValidationError):
        sweep({}, sources={"a.b": {"kind": "train", "runs": 1}})


@given(st.lists(st.integers(1, 3), min_size=4, max_size=4))
@hypothesis_settings(deadline=None, max_examples=20)
def test_crossed_axes_multiply(sizes):
    rates, momenta, half_widths, widths = sizes
    axes = {
        RATE: [0.1 * (i + 1) for i in range(rates)],
        MOMENTUM: [0.1 * i for i in range(momenta)],
        HALF_WIDTH: [1.0 + i for i in range(half_widths)],
        "model.widths": [[i + 1] for i in range(widths)],
    }
    assert counts(axes) == (rates * momenta * widths, half_widths * widths)


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["model.widths", "task.train", "sources.sgd.batch_size"])
def test_a_static_field_takes_no_distribution(path):
    (problem,) = problems({path: {"integer": [1, 4], "points": 2}})
    assert problem.startswith(f"axes.{path}: ")
    assert "static" in problem
    assert "list of values" in problem


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sources.sgd.optimizer.learning_rat", "did you mean 'learning_rate'"),
        ("sources.sdg.optimizer.learning_rate", "did you mean 'sgd'"),
        ("sources.sgd.optimiser.learning_rate", "did you mean 'optimizer'"),
        ("model.width", "did you mean 'widths'"),
        ("task.bits.more", "no field named 'more'"),
        ("seed", "goes on with a field: task., model., accept. or sources.<name>."),
        ("store", "goes on with a field: task., model., accept. or sources.<name>."),
        ("sources.sgd", "goes on with a field: task., model., accept. or sources.<name>."),
        ("", "goes on with a field: task., model., accept. or sources.<name>."),
    ],
)
def test_an_unknown_path_is_refused(path, hint):
    (problem,) = problems({path: [1]})
    assert hint in problem


@pytest.mark.parametrize(
    "path",
    ["sources.sgd.runs", "sources.box.draws", "sources.box.keep", "sources.guess.max_draws"],
)
def test_counts_cannot_be_swept(path):
    sources = {
        "sgd": {"kind": "train", "runs": 2},
        "box": {"kind": "prior", "draws": 2},
        "guess": {"kind": "guess_and_check", "accepted": 2},
    }
    (problem,) = problems({path: [1, 2]}, sources=sources)
    assert "cannot be swept" in problem


def test_a_range_needs_points():
    (problem,) = problems({RATE: {"uniform": [0.1, 1.0]}})
    assert "points: say how many" in problem


def test_zipped_axes_have_one_length():
    (problem,) = problems({"zip": {RATE: [0.1, 0.2], MOMENTUM: [0.5]}})
    assert problem == "axes.zip.0: zipped axes need one length, not [1, 2]"


def test_an_axis_stands_once():
    (problem,) = problems({RATE: [0.1], "zip": {RATE: [0.2]}})
    assert "once only" in problem


def test_a_value_that_does_not_fit_is_named_with_its_place(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: a\n"
        "task: {kind: boolean}\n"
        "model: {kind: mlp}\n"
        "sources: {sgd: {kind: train, runs: 1}}\n"
        "axes:\n"
        f"  {RATE}: [0.1, 0.2]\n"
        f"  {MOMENTUM}: [0.5, 2.0]\n"
    )
    with pytest.raises(SpecError) as caught:
        settings(load(path))
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}:7:")
    assert MOMENTUM in problem
    assert "2.0" in problem
    assert "less than 1" in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (RATE, "0.1"),
        (RATE, -1.0),
        (RATE, True),
        (RATE, [0.1]),
        ("model.widths", 3),
        ("model.widths", [0]),
        ("model.activation", "swish"),
        ("task.bits", 17),
        ("sources.sgd.optimizer", {"kind": "lyon"}),
        ("sources.sgd.optimizer", {"kind": "sgd", "learning_rat": 0.1}),
        ("sources.sgd.stop.max_steps", 1.5),
    ],
)
def test_values_are_checked_like_the_file(path, value):
    (problem,) = problems({path: [value]})
    assert problem.startswith(f"axes.{path}: ")
    assert "does not fit" in problem


def test_every_problem_at_once():
    found = problems(
        {
            "model.width": [1],
            "model.widths": {"uniform": [0.0, 1.0], "points": 2},
            "sources.sgd.runs": [1],
            "zip": {RATE: [0.1, 0.2], MOMENTUM: [0.5]},
        }
    )
    assert len(found) == 4


def test_an_absurd_number_of_points_is_refused_at_once():
    with pytest.raises(ValidationError):
        sweep({RATE: {"uniform": [0.1, 1.0], "points": 10**7}})
    with pytest.raises(ValidationError):
        sweep({"sobol": {"points": 10**7, "over": SQUARE}})


def test_too_many_settings_are_refused_before_any_is_made(monkeypatch):
    monkeypatch.setattr(module, "NUM_SETTINGS_MAX", 10)
    monkeypatch.setattr(module, "_setting", lambda *_: pytest.fail("a setting was made"))
    (problem,) = problems({RATE: [0.1, 0.2, 0.3], MOMENTUM: [0.0, 0.1, 0.2, 0.3]})
    assert "more than 10 settings" in problem


# --- words for what cannot be swept ---------------------------------------------------------


@pytest.mark.parametrize("given", ["0.1,0.2", "0.1", 0.1, True])
def test_an_axis_that_is_one_value(given):
    with pytest.raises(
        ValidationError, match=r"give a list of values, as in \[0.1, 0.2\], or a ra"
    ):
        sweep({RATE: given})


WORDS = {
    "another optimiser's kind": (
        "sources.sgd.optimizer.kind", ["sgd", "adam"],
        "'adam' does not fit: other kinds have other fields: list whole parts, as in "
        "sources.sgd.optimizer: [{kind: ...}, ...]"),
    "another model": (
        "model.kind", ["mlp", "linear"],
        "'linear' does not fit: other kinds have other fields: list whole parts, as in model: "
        "[{kind: ...}, ...]"),
    "another source": (
        "sources.sgd.kind", ["prior"], "'prior' does not fit: other kinds have other fields"),
    "a kind that there is not": (
        "sources.sgd.optimizer.kind", ["lyon"],
        "'lyon' does not fit: unknown kind 'lyon'; did you mean 'lion'? (allowed: sgd, adam"),
    "a key of a mapping": (
        "sources.sgd.optimizer", [{"kind": "adam", "momentum": 0.5}],
        "{'kind': 'adam', 'momentum': 0.5} does not fit: momentum: unknown key"),
    "a whole model that does not fit": (
        "model", [{"kind": "linear", "depth": 3}],
        "{'kind': 'linear', 'depth': 3} does not fit: depth: unknown key"),
    "no model": ("model", ["linear"], "'linear' does not fit: "),
    "a task of a file": (
        "task", [{"kind": "file", "path": "data.npz", "train": 4}],
        "a file's checksum and labels are filled in where the sweep, or a source, names it"),
    "a whole source": (
        "sources.sgd", [{"kind": "train", "runs": 1}],
        "an axis path is task, model or accept, or goes on with a field: task., model., accept. "
        "or sources.<name>., got 'sources.sgd'"),
    "a field of what is not there": (
        "sources.sgd.accept.train_error", [0.0],
        "there is nothing here that has a field 'train_error': give it a value first"),
}  # fmt: skip


def test_a_whole_model_or_task_is_an_axis_and_its_fields_another():
    """Each kind with its own fields; a source's own task does not move with the sweep's."""
    models = [{"kind": "linear"}, {"kind": "mlp", "widths": [3]}]
    tasks = [{"kind": "boolean", "bits": 3, "train": 4}, {"kind": "boolean", "bits": 2, "train": 2}]
    own = {"kind": "train", "runs": 1, "task": tasks[1]}
    sources = {"sgd": {"kind": "train", "runs": 1}, "own": own}
    axes = {"model": models, "task": tasks, "task.target": ["x1", "x2"]}
    found = settings(sweep(axes, sources=sources))
    of_source = Counter(s.source for s in found)
    assert of_source == {"sgd": 2 * 2 * 2, "own": 2}
    assert {(s.model.kind, s.task.bits, s.task.target) for s in found if s.source == "sgd"} == set(
        product(["linear", "mlp"], [3, 2], ["x1", "x2"])
    )
    assert {s.values["model"]["kind"] for s in found} == {"linear", "mlp"}
    alone = settings(sweep({}, sources={"sgd": sources["sgd"]}, model=models[0], task=tasks[0]))
    twin = next(s for s in found if s.model == alone[0].model and s.task == alone[0].task)
    assert twin.digest == alone[0].digest, "as if the file had named it"


@pytest.mark.parametrize(("path", "listed", "words"), WORDS.values(), ids=WORDS.keys())
def test_what_cannot_be_swept_is_said_in_our_words(path, listed, words):
    (problem,) = problems({path: listed})
    assert problem.startswith(f"axes.{path}: {words}")


def test_the_rule_of_all_sources_can_be_swept_but_not_that_of_one_which_has_its_own():
    sources = {"sgd": {"kind": "train", "runs": 1},
               "own": {"kind": "train", "runs": 1, "accept": {"train_error": 0.5}}}  # fmt: skip
    found = settings(sweep({"accept.train_error": [0.0, 0.25]}, sources=sources))
    rules = [(s.source, s.accept.train_error, s.values) for s in found]
    assert rules == [("sgd", 0.0, {"accept.train_error": 0.0}),
                     ("sgd", 0.25, {"accept.train_error": 0.25}), ("own", 0.5, {})]  # fmt: skip
    assert len({s.digest for s in found}) == 3


def test_the_value_of_a_swept_rule_is_checked():
    (problem,) = problems({"accept.train_error": [-1.0]})
    assert "accept.train_error: -1.0 does not fit: must be" in problem


@pytest.mark.parametrize("path", ["accept.train_error", "accept"])
def test_a_source_s_own_rule_is_the_one_that_holds(path):
    listed = [0.0, 0.25] if path != "accept" else [{"train_error": 0.0}, {"train_error": 0.25}]
    own = {"sgd": {"kind": "train", "runs": 1, "accept": {"train_error": 0.5}}}
    found = settings(sweep({f"sources.sgd.{path}": listed}, sources=own))
    assert [s.accept.train_error for s in found] == [0.0, 0.25]
