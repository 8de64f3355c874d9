"""Columns of a Parquet file: their types are looked at before any is read."""

from pathlib import Path
from typing import Any

import numpy as np

from sweep_engine.data_files.columns import check_size
from sweep_engine.errors import FieldError


def read_parquet(path: Path, x: tuple[str, ...], y: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the inputs and the targets.

    Raises:
        FieldError: a column is missing or holds no numbers.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        for field, name in [("x", name) for name in x] + [("y", y)]:
            _check_column(schema, field, name, path.name)
        check_size("x", x[0], (rows, len(x)))
        table = file.read(columns=list(dict.fromkeys((*x, y))))
    return _inputs(table, x), _numbers(table, "y", y)


def _check_column(schema: Any, field: str, name: str, file: str) -> None:
    import pyarrow as pa

    count = schema.names.count(name)
    if count != 1:
        there = ", ".join(map(repr, schema.names[:20])) + (", ..." if len(schema) > 20 else "")
        what = f"{count} columns of the name" if count else "no column"
        only = f", only {there}" if not count else ""
        raise FieldError((field,), f"{file} has {what} {name!r}{only}")
    kind = schema.field(name).type
    while field == "x" and _is_list(kind):
        kind = kind.value_type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not is_number:
        raise FieldError((field,), f"{name!r}: expected real numbers, got {kind}")


def _inputs(table: Any, names: tuple[str, ...]) -> np.ndarray:
    if len(names) == 1 and _is_list(table.schema.field(names[0]).type):
        return _of_lists(table, names[0])
    if any(_is_list(table.schema.field(name).type) for name in names):
        raise FieldError(("x",), "name one column of lists, or several columns of numbers")
    return np.stack([_numbers(table, "x", name) for name in names], axis=1)


def _of_lists(table: Any, name: str) -> np.ndarray:
    column = table[name]
    check_size("x", name, (column.nbytes,))
    try:
        return np.array(column.to_pylist(), dtype=_number_type(column.type))
    except (TypeError, ValueError):
        message = f"{name!r}: all rows must be lists of numbers of one length, without nulls"
        raise FieldError(("x",), message) from None


def _numbers(table: Any, field: str, name: str) -> np.ndarray:
    column = table[name]
    if column.null_count:
        message = f"{name!r}: all must be finite numbers, {column.null_count:,} are null"
        raise FieldError((field,), message)
    found: np.ndarray = column.to_numpy()
    return found


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _number_type(kind: Any) -> Any:
    while _is_list(kind):
        kind = kind.value_type
    return kind.to_pandas_dtype()
