"""Which numbers float32 holds."""

import importlib
import pkgutil
from typing import get_args

import numpy as np
import pytest

from sweep_engine import spec
from sweep_engine.float32 import (
    LARGEST,
    SMALLEST,
    ColumnLost,
    check_below,
    check_columns,
    check_float32,
)
from sweep_engine.spec.base import Spec, _in_float32


@pytest.mark.parametrize("value", [0.0, 1.0, -LARGEST, LARGEST, SMALLEST, -SMALLEST])
def test_what_it_holds(value):
    assert check_float32(value) == value
    assert value == 0 or np.float32(value) != 0
    assert np.isfinite(np.float32(value))


@pytest.mark.parametrize(
    ("value", "word"),
    [(1e39, "beyond"), (-1e300, "beyond"), (3.41e38, "beyond"), (1e-46, "is 0"),
     (-1e-320, "is 0"), (1e-38, "is 0")],
)  # fmt: skip
def test_what_it_does_not(value, word):
    with pytest.raises(ValueError, match=word):
        check_float32(value)


def test_a_number_below_a_limit_stays_there():
    assert check_below(0.9999999, 1.0) == 0.9999999
    with pytest.raises(ValueError, match="is 1 in float32"):
        check_below(0.99999999, 1.0)


rng = np.random.default_rng(0)
KEPT = {
    "many draws, of which some merge by chance": rng.normal(size=(200_000, 1)),
    "small and large numbers together": np.array([[1e-300], [0.0], [1.0]]),
    "a constant column": np.full((5, 1), 2.0**24 + 1),
    "a constant but for the rounding of doubles": 1 + 2e-16 * np.arange(5)[:, None],
    "years of seconds": 1.7e9 + 3e7 * rng.random((1000, 1)),
    "all integers that are exact": np.arange(2**24 - 3, 2**24 + 1)[:, None],
    "integers that are far apart": np.array([[0], [2**40 + 1]]),
    "bytes": np.arange(256, dtype=np.uint8)[:, None],
    "the least integer": np.array([[-(2**63)], [0]]),
}
LOST = {
    "ids": (16777217.0 + np.arange(60)[:, None], "60 numbers .* are 31 in"),
    "integer ids": (16777217 + np.arange(60)[:, None], "60 integers are 31 numbers"),
    "negative ids": (-16777217 - np.arange(60)[:, None], "60 integers are 31 numbers"),
    "an hour of seconds": (1.7e9 + 3600 * rng.random((1000, 1)), "1,000 numbers"),
    "all below float32": (np.array([[1e-50], [2e-50]]), "2 numbers .* are 1"),
    "one beyond": (np.array([[0.0], [-1e39]]), "1e.39 is beyond"),
    "as wide as doubles are": (np.array([[-1.7e308], [1.7e308]]), "is beyond"),
}


@pytest.mark.parametrize("values", KEPT.values(), ids=KEPT.keys())
def test_columns_that_it_holds(values):
    check_columns(values)


@pytest.mark.parametrize(("values", "message"), LOST.values(), ids=LOST.keys())
def test_columns_that_it_loses(values, message):
    with pytest.raises(ColumnLost, match=f"column 1: .*{message}"):
        check_columns(np.hstack([np.zeros_like(values), values]))


# --- who is checked -----------------------------------------------------------------------

ON_THE_HOST = {("Mask", "keep"), ("Comparison", "where")}
"""Are a share that is made a count, and the ends of a range of stored numbers."""


def numbers_of(annotation, checks=()):
    """List what checks every real number that a field can hold."""
    if annotation is float:
        yield checks
    checks = (*checks, *getattr(annotation, "__metadata__", ()))
    inner = getattr(annotation, "__origin__", None)
    parts = (inner,) if hasattr(annotation, "__metadata__") else get_args(annotation)
    for part in parts:
        yield from numbers_of(part, checks if part is inner else ())


def test_every_number_of_a_sweep_file_is_checked():
    for module in pkgutil.walk_packages(spec.__path__, f"{spec.__name__}."):
        importlib.import_module(module.name)
    kinds, left = set(), [Spec]
    while left:
        kinds |= set(new := left.pop().__subclasses__())
        left += new
    found = {
        (kind.__name__, name): [
            any(getattr(check, "func", None) is _in_float32 for check in checks)
            for checks in numbers_of(field.annotation, tuple(field.metadata))
        ]
        for kind in kinds
        if kind.__module__.startswith(spec.__name__)
        for name, field in kind.model_fields.items()
    }
    assert sum(map(len, found.values())) > 100
    assert {place for place, checked in found.items() if not all(checked)} == ON_THE_HOST
