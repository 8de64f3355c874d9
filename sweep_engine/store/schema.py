"""The columns of every table, their units and their meaning.

A column's unit and meaning stand in its field's metadata; what holds for a whole file (versions,
device kind, lane width, precision, the layout of theta) stands as JSON in the file's, under
`sweep_engine`.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from sweep_engine.columns import Column, DType

METADATA_KEY = b"sweep_engine"

_ARROW_TYPES: dict[DType, pa.DataType] = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "list<float32>": pa.list_(pa.field("element", pa.float32())),
}


def _field(column: Column) -> pa.Field:
    metadata = {"unit": column.unit, "meaning": column.meaning}
    return pa.field(column.name, _ARROW_TYPES[column.dtype], column.nullable, metadata)


_RUN_ID = Column("run_id", "int64", "", "the run's id; it alone seeds the run", nullable=False)
_SETTING = Column(
    "setting", "int64", "", "id of the point of the axes, a 31-bit hash", nullable=False
)
_STEP = Column("step", "int64", "steps", "optimiser steps taken", nullable=False)
_TIME = Column("time", "float32", "time", "how far a flow has come; null where runs have no time")
_REJECTED = Column(
    "rejected_steps", "int64", "steps", "of a flow, the solver steps that were taken back"
)

_OF_SOME = (
    _TIME,
    _REJECTED,
    Column("learning_rate", "float32", "", "of a run whose rate is a share of its edge"),
)
"""Columns of `runs` that some sources alone fill."""

_RUN_ADDRESS = (
    _RUN_ID,
    _SETTING,
    Column("seed", "int64", "", "index of the run in its setting"),
    Column("unit", "int64", "", "unit of dependent runs; null where runs are independent"),
    Column("draw", "int64", "", "index of the draw in its unit"),
    Column("ancestor", "int64", "", "index in the unit of the first draw that it descends from"),
)
_RUN_OUTCOME = (
    Column("status", "string", "", "how the run ended", nullable=False),
    Column("steps", "int64", "steps", "optimiser steps taken", nullable=False),
    Column("fit", "bool", "", "passes the acceptance rule"),
    Column("fit_step", "int64", "steps", "first checked step that passed the acceptance rule"),
    Column("log_weight", "float64", "nats", "log importance weight; 0: unweighted", nullable=False),
    Column("train_loss", "float32", "", "mean loss over the training examples"),
    Column("train_error", "float32", "fraction", "training examples got wrong"),
    Column("test_loss", "float32", "", "mean loss over the test examples"),
    Column("test_error", "float32", "fraction", "test examples got wrong"),
    Column("function_id", "string", "", "hash of the outputs; null where they are not discrete"),
)
_TALLIES = (
    _SETTING,
    Column("unit", "int64", "", "unit of dependent runs that `value` is about"),
    Column("what", "string", "", "what is counted, or what `value` is", nullable=False),
    Column("function_id", "string", "", "the function counted; null for draws and fit"),
    Column("function", "binary", "", "its outputs as packed bits, where the inputs are finite"),
    Column("count", "int64", "draws", "draws, kept as rows or not; 0 beside a value", False),
    Column("value", "float64", "", "a number that is no count, such as log_p_fit in nats"),
    Column("stderr", "float64", "", "standard error of value"),
)
_CURVES = (
    _RUN_ID,
    _STEP,
    Column("train_loss", "float32", "", "mean loss over the training examples"),
    Column("train_error", "float32", "fraction", "training examples got wrong"),
)


def runs_schema(
    axes: Iterable[Column] = (),
    observables: Iterable[Column] = (),
    own: Collection[str] | None = (),
) -> pa.Schema:
    """The schema of `runs`, one for a whole sweep: the address, the axes, the outcome, where to.

    Args:
        axes: Columns of the swept axes.
        observables: Columns of the observables.
        own: Names of the columns that some sources alone fill; None for all that there are.
    """
    of_some = tuple(column for column in _OF_SOME if own is None or column.name in own)
    return _schema((*_RUN_ADDRESS, *axes, *_RUN_OUTCOME, *of_some, *observables))


def observed_columns(schema: pa.Schema) -> list[tuple[str, DType]]:
    """List (name, dtype) of the observables' columns in a schema of `runs`: the last ones."""
    of_others = {column.name for column in _OF_SOME} | {"source", "bucket"}
    last = schema.get_field_index(_RUN_OUTCOME[-1].name)
    dtypes = {arrow: dtype for dtype, arrow in _ARROW_TYPES.items()}
    behind = [schema.field(i) for i in range(last + 1, len(schema))]
    return [(field.name, dtypes[field.type]) for field in behind if field.name not in of_others]


def tallies_schema() -> pa.Schema:
    """The schema of `tallies`: counts over all draws of a source, kept or not."""
    return _schema(_TALLIES)


def curves_schema(recorded: Iterable[Column] = (), *, has_time: bool = False) -> pa.Schema:
    """The schema of `curves`: what was recorded of a run on its way.

    Args:
        recorded: Columns of observables; the test set's loss and error stand before them.
        has_time: Whether a source of the sweep has a time beside its steps.
    """
    recorded = tuple(recorded)
    tested = [c for c in _RUN_OUTCOME if c.name in {"test_loss", "test_error"}]
    times = (_TIME,) if has_time else ()
    return _schema((*_CURVES, *times, *(tested if recorded else ()), *recorded))


AVERAGED = -1
"""The `step` of a row of `params` that holds an average along the run."""


def params_schema(num_params: int) -> pa.Schema:
    """The schema of `params`: theta as a fixed-size list of P = `num_params` float32."""
    theta = pa.list_(pa.field("element", pa.float32(), nullable=False), num_params)
    meaning = {"unit": "", "meaning": "parameters layer by layer, weights before biases"}
    which = "optimiser steps taken; -1: the average along the run"
    schema = _schema((_RUN_ID, replace(_STEP, meaning=which)))
    return schema.append(pa.field("theta", theta, nullable=False, metadata=meaning))


def bases_schema(num_params: int) -> pa.Schema:
    """The schema of `bases`: what coordinates are projected on, in the space of theta."""
    schema = _schema(
        (
            Column("component", "int32", "", "0: the mean; from 1: the components", nullable=False),
            Column("variance", "float64", "", "of the reference along it; null for the mean"),
        )
    )
    return schema.append(params_schema(num_params).field("theta"))


def observable_fields(columns: Iterable[Column]) -> list[pa.Field]:
    """The fields of observables' columns, as they stand in `runs`."""
    return [_field(column) for column in columns]


def with_file_metadata(schema: pa.Schema, metadata: Mapping[str, Any]) -> pa.Schema:
    """The schema with what holds for the whole file; the values must be plain JSON."""
    return schema.with_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def file_metadata(schema: pa.Schema) -> dict[str, Any]:
    """What `with_file_metadata` wrote; empty where it did not."""
    loaded: dict[str, Any] = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    return loaded


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    names = [column.name for column in columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"columns given twice: {repeated}")
    return pa.schema([_field(column) for column in columns])
