"""From the record that every source fills to the rows of the tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sweep_engine.columns import Column
from sweep_engine.solutions import Curves, FunctionCounts, RunStatus, Solutions, UnitNumber
from sweep_engine.spec import Setting
from sweep_engine.spec.base import canonical_json
from sweep_engine.store.arrays import cells, column, numbers, texts
from sweep_engine.store.schema import AVERAGED, params_schema, tallies_schema


def axis_columns(paths: Sequence[str], settings: Sequence[Setting]) -> list[Column]:
    """Describe the columns of the swept axes: numbers where all values are, else text."""
    return [
        Column(path, _axis_dtype([s.values[path] for s in settings if path in s.values]),
               "", "swept; null where the axis does not touch the source")
        for path in paths
    ]  # fmt: skip


def _axis_dtype(values: Sequence[Any]) -> Any:
    if all(type(value) is int for value in values):
        return "int64"
    return "float64" if all(type(value) in {int, float} for value in values) else "string"


def axis_value(value: Any, dtype: str) -> Any:
    """Give an axis's value as it stands in its column."""
    if dtype == "string" and not isinstance(value, str):
        return canonical_json(value)
    return value


def runs_table(
    schema: pa.Schema,
    solutions: Solutions,
    columns: Mapping[str, np.ndarray],
    function_ids: Sequence[str | None] | pa.Array,
    settings: Mapping[int, Setting],
) -> pa.Table:
    """Make the rows of `runs`. A column that a source does not fill is null."""
    count = len(solutions)
    index = solutions.run_id & 0xFFFFFFFF
    labels = texts([status.label for status in RunStatus], pa.string())
    values: dict[str, Any] = {
        "run_id": solutions.run_id,
        "setting": solutions.setting,
        "seed": index,
        **_units(solutions, index, settings),
        "status": labels.take(numbers(solutions.status, pa.int32())),
        "steps": solutions.steps,
        "fit": solutions.fit,
        "fit_step": numbers(solutions.fit_step, pa.int64(), absent=solutions.fit_step < 0),
        "log_weight": solutions.log_weight,
        "function_id": function_ids,
    }
    values |= {name: _cells(name, column) for name, column in columns.items()}
    arrays = []
    for field in schema:
        if field.name in values:
            arrays.append(_filled(values[field.name], field.type, count))
        else:
            arrays.append(_axis_cells(field, solutions.setting, settings, count))
    return pa.Table.from_arrays(arrays, schema=schema)


def _units(
    solutions: Solutions, index: np.ndarray, settings: Mapping[int, Setting]
) -> dict[str, Any]:
    """The unit of dependent draws that a row belongs to; null where runs are independent."""
    size = settings[int(solutions.setting[0])].spec.unit_size if len(index) else 1
    return {
        "unit": index // size if size > 1 else None,
        "draw": index % size if size > 1 else None,
        "ancestor": solutions.ancestor,
    }


def _cells(name: str, column: np.ndarray) -> Any:
    if name in {"train_error", "test_error"}:
        # NaN in an error means that the task has no labels: the row has no such value.
        return numbers(column, pa.float32(), absent=np.isnan(column))
    return column


def _filled(values: Any, dtype: pa.DataType, count: int) -> pa.Array:
    """Make a column of what is known of it: an array, values or nothing."""
    if values is None:
        return pa.nulls(count, dtype)
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray):
        return column(values, dtype)
    return cells(values, dtype)


def observed_cells(
    values: np.ndarray | None,
    place: np.ndarray,
    known: np.ndarray,
    dtype: pa.DataType,
) -> pa.Array:
    """Make a column of `runs` of values for some of its rows; the others are null.

    Args:
        values: By the rows that have one; None where no row has.
        place: The position in `values` of each row.
        known: Which rows have one.
        dtype: The column's type.
    """
    if values is None:
        return pa.nulls(len(known), dtype)
    none = np.zeros((len(known), *values.shape[1:]), values.dtype)
    found = values[np.where(known, place, 0)] if len(values) else none
    return column(found, dtype, absent=~known)


def _axis_cells(
    field: pa.Field, setting: np.ndarray, settings: Mapping[int, Setting], count: int
) -> pa.Array:
    dtype = str(field.type)
    distinct, index = np.unique(setting, return_inverse=True)
    points = [settings[int(each)].values for each in distinct]
    if not any(field.name in point for point in points):
        return pa.nulls(count, field.type)
    found = [
        axis_value(point[field.name], dtype) if field.name in point else None for point in points
    ]
    return cells(found, field.type).take(numbers(index, pa.int64()))


def params_table(solutions: Solutions, chosen: np.ndarray) -> pa.Table:
    """Make the rows of `params`: the final state, and before it the other states kept.

    These are the first fit and snapshots; a state that is both, or the final one, is there
    once. An average, which is no state that the run was in, stands before them all.
    """
    kept = solutions.take(np.flatnonzero(chosen))
    run, step, theta = _states(kept)
    order = np.arange(len(run))
    if len(run) > len(kept):
        _, first = np.unique(np.stack([run, step]), axis=1, return_index=True)
        order = first[np.lexsort((step[first], run[first]))]
    run_id, step, theta = kept.run_id[run[order]], step[order], theta[order]
    schema = params_schema(theta.shape[1])
    values = numbers(theta.ravel(), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(values, type=schema.field("theta").type)
    columns = [numbers(run_id, pa.int64()), numbers(step, pa.int64()), vectors]
    return pa.Table.from_arrays(columns, schema=schema)


def _states(kept: Solutions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, step, theta) of every state of every run, the final one first."""
    rows = np.arange(len(kept))
    states = [(rows, kept.steps, kept.theta)]
    if kept.first_fit is not None:
        both = np.flatnonzero((kept.fit_step >= 0) & (kept.fit_step < kept.steps))
        states.append((both, kept.fit_step[both], kept.first_fit[both]))
    if kept.snapshots is not None and kept.snapshot_steps is not None:
        run, slot = np.nonzero(kept.snapshot_steps < kept.steps[:, None])
        states.append((run, kept.snapshot_steps[run, slot], kept.snapshots[run, slot]))
    if kept.average is not None:
        states.append((rows, np.full(len(kept), AVERAGED), kept.average))
    run, step, theta = (np.concatenate(parts) for parts in zip(*states, strict=True))
    return run, step, theta


def curves_table(schema: pa.Schema, curves: Curves) -> pa.Table:
    """Make the rows of `curves`. What was not observed at a step is null."""
    no_labels = np.isnan(curves.train_error)  # a NaN output is wrong, so an error is never NaN
    known = curves.place >= 0
    checked = [
        numbers(curves.run_id, pa.int64()),
        numbers(curves.step, pa.int64()),
        numbers(curves.train_loss, pa.float32()),
        numbers(curves.train_error, pa.float32(), absent=no_labels),
    ]
    if "time" in schema.names:
        checked.append(_filled(curves.time, pa.float32(), len(known)))
    observed = [
        observed_cells(curves.observed.get(field.name), curves.place, known, field.type)
        for field in list(schema)[len(checked) :]
    ]
    return pa.Table.from_arrays([*checked, *observed], schema=schema)


def tallies_table(
    tallies: Sequence[FunctionCounts],
    ids: Sequence[Sequence[str]],
    measured: Sequence[tuple[UnitNumber, str | None]] = (),
    *,
    finite: bool,
) -> pa.Table:
    """Make the rows of `tallies`.

    Args:
        tallies: Counts per setting.
        ids: The function ids of each one's functions.
        measured: Numbers that are no counts, and the id of the function each is about.
        finite: Whether the packed outputs are the function, and so are stored.
    """
    found: list[dict[str, Any]] = []
    for tally, names in zip(tallies, ids, strict=True):
        found.append({"setting": tally.setting, "what": "draws", "count": tally.draws})
        found.append({"setting": tally.setting, "what": "fit", "count": tally.fits})
        packed = [row.tobytes() if finite else None for row in tally.functions]
        for what, counts in (("function", tally.counts), ("function_given_fit", tally.fit_counts)):
            found += [
                {
                    "setting": tally.setting,
                    "what": what,
                    "function_id": names[int(i)],
                    "function": packed[i],
                    "count": int(counts[i]),
                }
                for i in np.flatnonzero(counts)
            ]
    found += [_measured_row(*one, finite=finite) for one in measured]
    schema = tallies_schema()
    columns = [cells([row.get(field.name) for row in found], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _measured_row(one: UnitNumber, name: str | None, *, finite: bool) -> dict[str, Any]:
    return {
        "setting": one.setting,
        "unit": None if one.unit < 0 else one.unit,
        "what": one.what,
        "function_id": name,
        "function": one.function.tobytes() if finite and one.function is not None else None,
        "count": 0,
        "value": one.value,
        "stderr": None if math.isnan(one.stderr) else one.stderr,
    }
