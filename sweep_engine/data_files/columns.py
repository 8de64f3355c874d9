"""Columns: inputs and targets as they stand in a file, and what is asked of all of them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep_engine.errors import FieldError
from sweep_engine.float32 import ColumnLost, check_columns

NUMBERS_MAX = 2**30
"""Numbers of a task at most: it is held in memory."""


@dataclass(frozen=True)
class Columns:
    """Hold what a file says of its examples.

    Attributes:
        x: Inputs, shape (N, ...).
        y: Targets, shape (N,).
        names: Of the columns of x, where each has a name of its own; else the name of all.
        target: The name of y.
    """

    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    target: str

    def check(self) -> None:
        """Check that all are finite numbers, at least one an example, and inputs in float32 too.

        Raises:
            FieldError: they are not; the message names the column.
        """
        if self.x.ndim < 2:
            raise FieldError(("x",), f"{self._all()}: expected shape (N, ...), got {self.x.shape}")
        if self.y.shape != (len(self.x),):
            raise FieldError(
                ("y",),
                f"{self.target!r}: expected {len(self.x):,} targets, one an example, got "
                f"shape {self.y.shape}",
            )
        if self.x.size == 0:
            missing = "columns" if len(self.x) else "examples"
            raise FieldError(("x",), f"{self._all()}: there are no {missing}: shape {self.x.shape}")
        self._check_numbers("x", self.x)
        self._check_numbers("y", self.y)
        self._check_float32("x", self.x)

    def check_values(self) -> None:
        """Check that float32 holds the targets of a task without labels.

        Raises:
            FieldError: it does not.
        """
        self._check_float32("y", self.y)

    def _check_numbers(self, field: str, values: np.ndarray) -> None:
        if values.dtype.kind not in "biuf":
            message = f"{self._name(field)}: expected real numbers, got {_words(values)}"
            raise FieldError((field,), message)
        columns = values.reshape(len(values), -1)
        finite = np.isfinite(columns)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            message = (
                f"{self._name(field, int(column))}: all must be finite numbers, "
                f"example {row:,} (from 0) has {columns[row, column]}"
            )
            raise FieldError((field,), message)

    def _check_float32(self, field: str, values: np.ndarray) -> None:
        try:
            check_columns(values)
        except ColumnLost as error:
            message = f"{self._name(field, error.column)}: {error.reason}"
            raise FieldError((field,), message) from None

    def _name(self, field: str, column: int | None = None) -> str:
        if field == "y":
            return repr(self.target)
        if column is None or self.x[0].size == 1:
            return self._all()
        if len(self.names) > 1:
            return repr(self.names[column])
        return f"{self.names[0]!r}, number {column} (from 0) of each example"

    def _all(self) -> str:
        return ", ".join(map(repr, self.names[:3])) + (", ..." if len(self.names) > 3 else "")


def sha256(path: Path) -> str:
    """Hash a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_size(field: str, name: str, shape: tuple[int, ...]) -> None:
    """Refuse, before anything is allocated, more numbers than a task may have.

    Raises:
        FieldError: there are more.
    """
    count = 1
    for size in shape:
        count *= int(size)
    if count > NUMBERS_MAX:
        raise FieldError(
            (field,),
            f"{name!r} says that it has {count:,} numbers: a task is held in memory, at most "
            f"{NUMBERS_MAX:,}",
        )


def _words(values: np.ndarray) -> str:
    kinds = {"U": "text", "S": "bytes", "O": "objects", "c": "complex numbers", "M": "dates",
             "m": "durations", "V": "records"}  # fmt: skip
    return kinds.get(values.dtype.kind, str(values.dtype))
