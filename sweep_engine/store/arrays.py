"""Make Arrow arrays of NumPy's values and of lists, without pandas.

`pyarrow.array` looks whether it is given something of pandas, and imports pandas for that where it
is installed: a quarter of a second of a processor. Arrays over a buffer need not ask.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, Shaped

_NUMPY = {
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}


def numbers(
    values: Shaped[np.ndarray, " R"],
    dtype: pa.DataType,
    *,
    absent: Bool[np.ndarray, " R"] | None = None,
) -> pa.Array:
    """Make an array of numbers or truth values.

    >>> numbers(np.array([1, 2]), pa.float64(), absent=np.array([False, True])).to_pylist()
    [1.0, None]

    Args:
        values: One a row.
        dtype: The column's type.
        absent: Which rows have no value; none if not given.

    Raises:
        OverflowError: the column's type cannot hold a number.
        TypeError: they are of another kind, such as 0.5 in a column of integers.
    """
    if dtype == pa.bool_():
        data = _bits(values)
    else:
        data = np.ascontiguousarray(values.astype(_NUMPY[dtype], casting="same_kind", copy=False))
        if data.dtype.kind == "i" and (data != values).any():
            raise OverflowError(f"a column of {dtype} cannot hold {values[data != values][0]}")
    missing = 0 if absent is None else int(np.count_nonzero(absent))
    valid = None if absent is None or not missing else pa.py_buffer(_bits(~absent))
    return pa.Array.from_buffers(dtype, len(values), [valid, pa.py_buffer(data)], missing)


def lists(
    values: Shaped[np.ndarray, "R k"],
    dtype: pa.DataType,
    *,
    absent: Bool[np.ndarray, " R"] | None = None,
) -> pa.Array:
    """Make an array of lists of numbers, all of one length; see `numbers`.

    >>> lists(np.array([[1, 2], [3, 4]]), pa.list_(pa.float32())).to_pylist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    known = np.ones(len(values), bool) if absent is None else ~absent
    ends = _ends(known * values.shape[1])
    inside = numbers(values[known].ravel(), dtype.value_type)
    valid = None if known.all() else pa.py_buffer(_bits(known))
    return pa.Array.from_buffers(
        dtype, len(values), [valid, pa.py_buffer(ends)], int(np.sum(~known)), children=[inside]
    )


def texts(values: Sequence[str | bytes | None], dtype: pa.DataType) -> pa.Array:
    """Make an array of strings or bytes; None is no value.

    >>> texts(["a", None, "bc"], pa.string()).to_pylist()
    ['a', None, 'bc']
    """
    parts = [each.encode() if isinstance(each, str) else each or b"" for each in values]
    ends = _ends([len(part) for part in parts])
    absent = np.array([each is None for each in values], bool)
    valid = pa.py_buffer(_bits(~absent)) if absent.any() else None
    buffers = [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(dtype, len(parts), buffers, int(absent.sum()))


def column(
    values: Shaped[np.ndarray, "R ..."],
    dtype: pa.DataType,
    *,
    absent: Bool[np.ndarray, " R"] | None = None,
) -> pa.Array:
    """Make an array of numbers, of lists of them, or of texts; see `numbers`."""
    if values.ndim > 1:
        return lists(values, dtype, absent=absent)
    if values.dtype.kind in "biuf":
        return numbers(values, dtype, absent=absent)
    known = values.astype(object)
    if absent is not None:
        known[absent] = None
    return texts(known.tolist(), dtype)


def cells(values: Sequence[Any], dtype: pa.DataType) -> pa.Array:
    """Make an array of a few values of any kind; None is no value.

    >>> cells([1, None], pa.int64()).to_pylist()
    [1, None]
    """
    if dtype == pa.bool_() or dtype in _NUMPY:
        absent = np.array([each is None for each in values], bool)
        known = [0 if each is None else each for each in values]
        return numbers(np.array(known), dtype, absent=absent)
    return texts(values, dtype)


def _ends(lengths: Sequence[int] | Int[np.ndarray, " R"]) -> Int[np.ndarray, " R+1"]:
    """Say where each row's part begins and ends in the buffer of all, which has 2 GiB at most."""
    ends = np.cumsum([0, *lengths])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]:,} bytes or numbers are more than a shard's column holds")
    return ends.astype(np.int32)


def _bits(values: Shaped[np.ndarray, " R"]) -> np.ndarray:
    return np.packbits(np.asarray(values, bool), bitorder="little")
