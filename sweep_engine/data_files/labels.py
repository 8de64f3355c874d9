"""Which classes a column of labels has."""

import numpy as np

from sweep_engine.data_files.columns import Columns
from sweep_engine.errors import FieldError

LABELS_MAX = 256
"""A label is a byte."""

_INTEGER_MAX = 2**53


def find_labels(data: Columns, *, at_most: int = LABELS_MAX) -> tuple[int, ...]:
    """List the labels of a task of classes, in increasing order: all that an example has.

    Raises:
        FieldError: they are no integers, or fewer than two, or more than `at_most`.
    """
    name, y = data.target, data.y
    y = y.astype(np.uint8) if y.dtype.kind == "b" else y
    if len(odd := y[(y != np.round(y)) | (np.abs(y) > _INTEGER_MAX)]):
        first = odd[0]
        allowed = "integers" if first != np.round(first) else "integers of at most 2^53"
        raise FieldError(
            ("y",), f"{name!r}: labels must be {allowed}, got {first} (values: loss: squared)"
        )
    found = np.unique(y)
    if len(found) < 2:
        raise FieldError(("y",), f"{name!r}: one class only: every example has label {found[0]:g}")
    if len(found) > at_most:
        some = ", ".join(f"{label:g}" for label in found[: min(at_most, 5) + 1])
        raise FieldError(
            ("y",),
            f"{name!r}: {len(found):,} labels ({some}, ...): this loss has at most {at_most}",
        )
    return tuple(int(label) for label in found)
