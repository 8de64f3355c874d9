"""What becomes of a number in float32, in which everything is computed: checked here alone.

A number beyond float32's range becomes infinite, one too small for it becomes 0 (and so does a
subnormal one, which XLA flushes), and two numbers that are close become one.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).tiny)
EXACT_INTEGERS = 2**24
"""Integers up to here are all float32 numbers."""

MOVED_AT_MOST = 1e-3
"""Rounding may move a number by this share of its column's span: more, and values merge."""

CONSTANT = 2.0**-40
"""A column that spans less than this share of its size is one number, up to double's rounding."""


def check_float32(value: float) -> float:
    """Return a number if float32 holds it.

    Raises:
        ValueError: it would become infinite or 0.

    >>> check_float32(0.1)
    0.1
    """
    size = abs(value)
    if size > LARGEST:
        raise ValueError(f"{value:g} is beyond float32, which ends at {LARGEST:.3g}")
    if 0 < size < SMALLEST:
        raise ValueError(f"{value:g} is 0 in float32, which begins at {SMALLEST:.3g}")
    return value


def check_below(value: float, limit: float) -> float:
    """Return a number if it stays below a limit in float32.

    Raises:
        ValueError: it would become the limit.
    """
    if value < limit <= np.float32(value):
        raise ValueError(f"{value!r} is {limit:g} in float32: give at most 0.9999999")
    return value


def float32_key(value: Any) -> Hashable:
    """What a number is in float32, to tell whether two numbers merge.

    >>> float32_key(0.1) == float32_key(0.1 + 1e-9)
    True
    """
    return float(np.float32(value))


class ColumnLost(ValueError):
    """A column of data that is another one in float32.

    Attributes:
        column: Its position among the numbers of one example.
        reason: What happens to it.
    """

    def __init__(self, column: int, reason: str) -> None:
        self.column, self.reason = column, reason
        super().__init__(f"column {column}: {reason}")


def check_columns(values: np.ndarray) -> None:
    """Check data, one column for every number of an example.

    Args:
        values: Finite numbers, shape (N, ...).

    Raises:
        ColumnLost: in a column numbers are beyond float32, or integers merge, or rounding moves
            numbers so far that the column is another one.
    """
    columns = values.reshape(len(values), -1)
    if columns.dtype.kind in "iu":
        _check_integers(columns)
    elif columns.dtype.itemsize > 4:
        _check_reals(columns)


def _check_integers(columns: np.ndarray) -> None:
    if columns.size == 0 or columns.dtype.itemsize <= 2:
        return
    beyond = np.maximum(columns.max(axis=0), -(columns.min(axis=0) + 1)) >= EXACT_INTEGERS
    for i in np.flatnonzero(beyond):
        before = len(np.unique(columns[:, i]))
        after = len(np.unique(columns[:, i].astype(np.float32)))
        if after < before:
            raise ColumnLost(
                int(i),
                f"its {before:,} integers are {after:,} numbers in float32, which holds all "
                f"integers up to {EXACT_INTEGERS:,} only: subtract the smallest, or leave out ids",
            )


def _check_reals(columns: np.ndarray) -> None:
    low, high = columns.min(axis=0), columns.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    for i in np.flatnonzero(size > LARGEST):
        raise ColumnLost(int(i), f"{size[i]:g} is beyond float32, which ends at {LARGEST:.3g}")
    single = columns.astype(np.float32)
    single[np.abs(single) < SMALLEST] = 0.0
    moved = np.abs(single - columns).max(axis=0)
    span = high / 2 - low / 2  # halves, so that it is finite
    lost = (moved / 2 > MOVED_AT_MOST * span) & (span > CONSTANT * size)
    for i in np.flatnonzero(lost):
        before, after = len(np.unique(columns[:, i])), len(np.unique(single[:, i]))
        raise ColumnLost(
            int(i),
            f"its {before:,} numbers from {low[i]:.10g} to {high[i]:.10g} are {after:,} in "
            "float32: subtract the mean and scale it",
        )
