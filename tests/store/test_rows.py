"""From solutions to rows: what stands in a cell, and where a null belongs."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from sweep_engine.columns import Column
from sweep_engine.observables import observables
from sweep_engine.solutions import Curves, FunctionCounts, RunStatus, Solutions
from sweep_engine.spec import Sweep, axis_paths, settings
from sweep_engine.store.rows import (
    axis_columns,
    axis_value,
    curves_table,
    params_table,
    runs_table,
    tallies_table,
)
from sweep_engine.store.schema import curves_schema, observed_columns, runs_schema

RATE = "sources.sgd.optimizer.learning_rate"
STEPS = "sources.sgd.stop.max_steps"


def made(axes, source="sgd"):
    sweep = Sweep.model_validate(
        {
            "name": "rows",
            "task": {"kind": "boolean"},
            "model": {"kind": "mlp"},
            "sources": {
                "sgd": {"kind": "train", "runs": 3},
                "box": {"kind": "prior", "draws": 1},
            },
            "axes": axes,
        }
    )
    found = settings(sweep)
    return axis_columns(axis_paths(sweep), found), [s for s in found if s.source == source]


def solutions(setting, **changes):
    """A run that fitted, one that did not, one that diverged."""
    fields = {
        "run_id": (np.int64(setting) << 32) + np.arange(3),
        "setting": np.full(3, setting),
        "status": np.array([RunStatus.FIT, RunStatus.MAX_STEPS, RunStatus.DIVERGED]),
        "steps": np.array([7, 20, 5]),
        "fit": np.array([True, False, False]),
        "fit_step": np.array([4, -1, -1]),
        "log_weight": np.zeros(3),
        "theta": np.arange(6.0).reshape(3, 2),
    }
    return Solutions(**{**fields, **changes})


COLUMNS = {
    "train_loss": np.array([0.1, 0.7, np.nan], np.float32),
    "train_error": np.array([0.0, 0.5, 1.0], np.float32),
}


def table(axes=None, columns=COLUMNS, ids=("f", None, "f"), observables=(), setting=0):
    described, of_source = made(axes or {})
    chosen = of_source[setting]
    schema = runs_schema(axes=described, observables=observables)
    rows = runs_table(schema, solutions(chosen.id), columns, ids, {s.id: s for s in of_source})
    rows.validate(full=True)
    assert rows.schema.equals(schema, check_metadata=True)
    return rows.to_pydict(), chosen


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_is_a_row():
    rows, setting = table()
    assert rows["run_id"] == [setting.id * 2**32 + i for i in range(3)]
    assert rows["setting"] == [setting.id] * 3
    assert rows["seed"] == [0, 1, 2]
    assert rows["status"] == ["fit", "max_steps", "diverged"]
    assert rows["steps"] == [7, 20, 5]
    assert rows["fit"] == [True, False, False]
    assert rows["log_weight"] == [0.0, 0.0, 0.0]
    assert rows["function_id"] == ["f", None, "f"]


def test_nulls_stand_where_there_is_no_value():
    rows, _ = table()
    assert rows["fit_step"] == [4, None, None]
    assert rows["unit"] == rows["draw"] == [None] * 3
    assert rows["test_loss"] == rows["test_error"] == [None] * 3


def test_the_loss_of_a_diverged_run_stays_nan():
    rows, _ = table()
    assert rows["train_loss"][:2] == pytest.approx([0.1, 0.7])
    assert math.isnan(rows["train_loss"][2])
    assert rows["train_error"] == [0.0, 0.5, 1.0]


def test_a_task_without_labels_has_no_error():
    rows, _ = table(columns={**COLUMNS, "train_error": np.full(3, np.nan, np.float32)})
    assert rows["train_error"] == [None] * 3


def test_a_fit_at_step_0_is_a_step():
    described, (setting,) = made({})
    three = solutions(setting.id, fit_step=np.array([0, 0, -1]))
    rows = runs_table(
        runs_schema(axes=described), three, COLUMNS, [None] * 3, {setting.id: setting}
    )
    assert rows["fit_step"].to_pylist() == [0, 0, None]


def test_every_status_has_a_label():
    labels = [status.label for status in RunStatus]
    assert labels == [
        "running", "fit", "loss_reached", "max_steps", "diverged", "drawn", "max_time", "stalled",
    ]  # fmt: skip
    assert list(RunStatus) == list(range(len(labels))), "labels are looked up by value"


def test_observables():
    lists = np.arange(6, dtype=np.float32).reshape(3, 2)
    columns = {
        **COLUMNS,
        "l2_norm": np.array([1.0, np.inf, np.nan], np.float32),
        "layer_norms": lists,
        "function_bits": np.array(["00", "01", "ff"], object),
    }
    norms, function = observables(("norms", "function"))
    shown = (*norms.columns[:2], *function.columns)
    rows, _ = table(columns=columns, observables=shown)
    assert rows["layer_norms"] == lists.tolist()
    assert rows["l2_norm"][:2] == [1.0, math.inf]
    assert math.isnan(rows["l2_norm"][2])
    assert rows["function_bits"] == ["00", "01", "ff"]
    assert rows["function_ones"] == [None] * 3, "a column that the source does not fill"


def test_no_runs_make_no_rows():
    described, (setting,) = made({})
    none = solutions(setting.id).take(np.zeros(0, int))
    schema = runs_schema(axes=described, observables=observables(("norms",))[0].columns)
    rows = runs_table(schema, none, {}, [], {setting.id: setting})
    assert rows.num_rows == 0
    assert rows.schema.equals(schema)


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values", "dtype", "shown"),
    [
        (RATE, [0.1, 0.2], "float64", [0.1, 0.2]),
        (RATE, [1, 0.5], "float64", [1.0, 0.5]),
        (STEPS, [10, 20], "int64", [10, 20]),
        ("model.bias", [True, False], "string", ["true", "false"]),
        ("model.activation", ["relu", "tanh"], "string", ["relu", "tanh"]),
        ("model.widths", [[4], [5, 6]], "string", ["[4]", "[5,6]"]),
        ("sources.sgd.batch_size", [4, "full"], "string", ["4", "full"]),
        (
            "sources.sgd.optimizer",
            [{"kind": "sgd", "momentum": 0.5}, {"kind": "adam"}],
            "string",
            ['{"kind":"sgd","momentum":0.5}', '{"kind":"adam"}'],
        ),
    ],
)
def test_an_axis_is_a_column_of_its_type(path, values, dtype, shown):
    (column,), _ = made({path: values})
    assert (column.name, column.dtype, column.nullable) == (path, dtype, True)
    for i, value in enumerate(shown):
        rows, _ = table({path: values}, setting=i)
        assert rows[path] == [value] * 3


def test_values_in_text_can_be_read_back():
    for value in ([4, 5], True, None, {"kind": "sgd"}, 3):
        assert json.loads(axis_value(value, "string")) == value
    assert axis_value("relu", "string") == "relu"
    assert axis_value(3, "int64") == 3


def test_an_axis_that_does_not_touch_the_source_is_null():
    rows, _ = table({RATE: [0.1, 0.2], "sources.box.law.half_width": [1.0, 2.0]})
    assert rows[RATE] == [0.1] * 3
    assert rows["sources.box.law.half_width"] == [None] * 3


def test_runs_of_several_settings_each_have_their_own_value():
    described, of_source = made({RATE: [0.1, 0.2, 0.3]})
    ids = np.array([of_source[i].id for i in (2, 0, 2)])
    mixed = replace(solutions(0), setting=ids, run_id=(ids << 32) + np.arange(3))
    schema = runs_schema(axes=described)
    rows = runs_table(schema, mixed, COLUMNS, [None] * 3, {s.id: s for s in of_source})
    assert rows[RATE].to_pylist() == [0.3, 0.1, 0.3]


# --- params ---------------------------------------------------------------------------------------


def test_params_of_the_chosen_runs():
    rows = params_table(solutions(1), np.array([True, False, True]))
    assert rows["run_id"].to_pylist() == [2**32, 2**32 + 2]
    assert rows["step"].to_pylist() == [7, 5]
    assert rows["theta"].to_pylist() == [[0.0, 1.0], [4.0, 5.0]]
    assert rows.schema.field("theta").type.list_size == 2
    assert params_table(solutions(1), np.zeros(3, bool)).num_rows == 0


def test_every_state_of_a_run_stands_once_in_the_order_of_its_steps():
    three = solutions(
        1,
        first_fit=-np.ones((3, 2)),
        fit_step=np.array([4, 20, -1]),
        snapshots=np.arange(18.0).reshape(3, 3, 2),
        snapshot_steps=np.tile([0, 4, 7], (3, 1)),
    )
    params = params_table(three, np.array([True, False, True]))
    index = params["run_id"].to_numpy() & 0xFFFFFFFF
    assert index.tolist() == [0, 0, 0, 2, 2, 2]
    assert params["step"].to_pylist() == [0, 4, 7, 0, 4, 5]
    assert params["theta"].to_pylist() == [[0, 1], [-1, -1], [0, 1], [12, 13], [14, 15], [4, 5]]


def test_the_first_fit_stands_before_the_final_state():
    three = solutions(1, first_fit=-np.arange(6.0).reshape(3, 2), fit_step=np.array([4, 20, -1]))
    rows = params_table(three, np.ones(3, bool))
    assert rows["run_id"].to_pylist() == [2**32, 2**32, 2**32 + 1, 2**32 + 2]
    assert rows["step"].to_pylist() == [4, 7, 20, 5]
    assert rows["theta"].to_pylist() == [[0.0, -1.0], [0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


# --- curves ---------------------------------------------------------------------------------------


def curves(losses, errors):
    count = len(losses)
    recorded = Curves(
        run_id=np.arange(count),
        step=np.arange(count) * 4,
        train_loss=np.array(losses),
        train_error=np.array(errors),
        observed={"norm": np.array([7.0], np.float32)},
        place=np.where(np.arange(count) == count - 1, 0, -1),
    )
    observed = Column("norm", "float32", "", "a norm")
    unobserved = Column("other", "list<float32>", "", "of another source")
    return curves_table(curves_schema([observed, unobserved]), recorded).to_pydict()


def test_curves():
    rows = curves([0.5, np.nan], [0.25, 1.0])
    assert rows["run_id"] == [0, 1]
    assert rows["step"] == [0, 4]
    assert rows["train_loss"][0] == 0.5
    assert math.isnan(rows["train_loss"][1])
    assert rows["train_error"] == [0.25, 1.0]
    assert rows["norm"] == [None, 7.0]  # observed at the last of the steps
    assert rows["other"] == rows["test_loss"] == [None, None]


def test_curves_without_labels_have_no_error_even_where_a_run_diverged():
    rows = curves([0.5, np.nan], [np.nan, np.nan])
    assert rows["train_error"] == [None, None]
    assert math.isnan(rows["train_loss"][1])


# --- tallies --------------------------------------------------------------------------------------

TALLY = FunctionCounts(
    setting=3,
    draws=10,
    fits=4,
    functions=np.array([[1, 2], [255, 0], [7, 7]], np.uint8),
    counts=np.array([6, 3, 1]),
    fit_counts=np.array([0, 3, 1]),
)
ROWS = [
    ("draws", None, None, 10),
    ("fit", None, None, 4),
    ("function", "a", b"\x01\x02", 6),
    ("function", "b", b"\xff\x00", 3),
    ("function", "c", b"\x07\x07", 1),
    ("function_given_fit", "b", b"\xff\x00", 3),
    ("function_given_fit", "c", b"\x07\x07", 1),
]


def tally_rows(rows):
    return [(r["what"], r["function_id"], r["function"], r["count"]) for r in rows.to_pylist()]


def test_tallies():
    rows = tallies_table([TALLY], [["a", "b", "c"]], finite=True)
    assert tally_rows(rows) == ROWS
    assert rows["setting"].to_pylist() == [3] * len(ROWS)
    assert rows["value"].null_count == rows["stderr"].null_count == len(ROWS)


def test_outputs_on_some_inputs_are_not_the_function():
    rows = tallies_table([TALLY], [["a", "b", "c"]], finite=False)
    assert tally_rows(rows) == [(what, name, None, count) for what, name, _, count in ROWS]


def test_tallies_without_fits_or_functions_still_count_draws():
    empty = FunctionCounts(5, 10, 0, np.zeros((0, 0), np.uint8), np.zeros(0, int), np.zeros(0, int))
    rows = tallies_table([TALLY, empty], [["a", "b", "c"], []], finite=True)
    assert tally_rows(rows) == [*ROWS, ("draws", None, None, 10), ("fit", None, None, 0)]
    assert rows["setting"].to_pylist()[-2:] == [5, 5]


def test_the_observables_columns_are_those_behind_what_every_run_has():
    """Neither axes, nor what some sources alone fill, nor what paths tell."""
    observed = [column for one in observables(("norms", "spectrum")) for column in one.columns]
    axis = Column("width", "int64", "", "an axis")
    schema = runs_schema(axes=[axis], observables=observed, own=None)
    for each in (schema, schema.append(pa.field("source", pa.string()))):
        assert observed_columns(each) == [(column.name, column.dtype) for column in observed]
    assert observed_columns(runs_schema(axes=[axis], own=None)) == []
