"""Rest no rank, no share and no effect on what is not known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from sweep_engine.atlas.analysis import TEST_ERROR, _bounds, _granulated
from sweep_engine.atlas.contrasts import Levels
from sweep_engine.atlas.shares import shares
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


def test_rows_that_differ_by_their_errors_alone_have_no_shares():
    found = shares(np.zeros(4), np.zeros(4), LEVELS, 0)
    assert all(math.isnan(end) for each in found for end in (each.value, each.low, each.high))


def test_a_resample_without_differences_leaves_any_share_open():
    """One row of twelve stands out: a third of the resamples lack it."""
    levels = Levels.of([{"rate": str(i % 2)} for i in range(12)])
    found = shares(np.eye(12)[0], np.zeros(12), levels, 0)
    assert all((each.low, each.high) == (0.0, 1.0) for each in found)


def bounds(*values):
    return _bounds([SimpleNamespace(optimiser=Response(value, 0.01)) for value in values])


def test_lower_bounds_that_are_all_0_tell_nothing():
    assert not any(each.is_known for each in bounds(0.0, 0.0, 0.0))
    assert all(each.is_known for each in bounds(0.0, 0.2, 0.0))
