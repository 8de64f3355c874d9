"""A mean whose error is not known is not known: no rank rests on it."""

import math
from types import SimpleNamespace

import pytest

from sweep_engine.atlas.analysis import TEST_ERROR, _granulated
from sweep_engine.atlas.contrasts import Levels
from sweep_engine.atlas.standardised import UNKNOWN, Response

LEVELS = Levels.of([{"rate": rate} for rate in ("a", "b", "c", "d")])
NORMS = [1.0, 2.0, 3.0, 0.0]
ERRORS = [0.1, 0.2, 0.3, 0.4]


def tau(last):
    """Of four rows, of which the last goes against the others."""
    norms = [*(Response(each, 0.01) for each in NORMS[:3]), last]
    rows = [
        SimpleNamespace(means={"norm": norm, TEST_ERROR: Response(error, 0.001)})
        for norm, error in zip(norms, ERRORS, strict=True)
    ]
    return _granulated(rows, LEVELS, "norm", 0)


@pytest.mark.parametrize("stderr", [math.nan, math.inf])
def test_a_value_without_an_error_counts_as_no_value(stderr):
    assert repr(tau(Response(NORMS[3], stderr))) == repr(tau(UNKNOWN))


def test_a_value_with_an_error_counts():
    assert tau(Response(NORMS[3], 0.01)).value < tau(UNKNOWN).value == 1
