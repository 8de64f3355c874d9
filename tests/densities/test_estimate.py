import json
import math

import numpy as np
import pytest
from scipy import stats

from sweep_engine.densities.estimate import (
    SMALLEST_P,
    Estimate,
    Interval,
    check_confidence,
    format_p,
    two_sample_estimate,
)
from sweep_engine.densities.points.witness import p_value


def _estimate(**changes):
    fields = {
        "name": "kl",
        "value": 0.5,
        "low": 0.4,
        "high": math.inf,
        "num_source": 10,
        "n_eff_source": 9.5,
        "unit": "nats",
        "method": "example",
        "warnings": ("inf",),
    }
    return Estimate(**{**fields, **changes})


@pytest.mark.parametrize("changes", [{}, {"value": math.inf}, {"low": -math.inf}, {"seed": 3}])
def test_to_json_and_back(changes):
    estimate = _estimate(**changes)
    text = json.dumps(estimate.to_dict(), allow_nan=False)
    assert Estimate.from_dict(json.loads(text)) == estimate


def test_nan_survives_json():
    text = json.dumps(_estimate(value=math.nan).to_dict(), allow_nan=False)
    assert math.isnan(Estimate.from_dict(json.loads(text)).value)


def test_the_null_stands_beside():
    estimate = _estimate().with_null(Interval(0.1, 0.0, 0.2))
    assert (estimate.null_value, estimate.null_low, estimate.null_high) == (0.1, 0.0, 0.2)


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="above high"):
        _estimate(low=0.6, high=0.5)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_is_a_probability(confidence):
    with pytest.raises(ValueError, match="confidence"):
        check_confidence(confidence)


def test_a_p_value_is_never_zero():
    """Two samples that nothing confuses: ln P is -13,859 nats, which no float holds as a P."""
    told_apart = p_value(np.ones(10_000), -np.ones(10_000))
    found = two_sample_estimate(
        "x", Interval(1.0, 0.0, 2.0), num_draws=(1, 1), n_eff=(1.0, 1.0), unit="1", method="m",
        confidence=0.95, p_value=told_apart,
    )  # fmt: skip
    assert found.p_value == SMALLEST_P
    assert format_p(SMALLEST_P) == format_p(1000 * SMALLEST_P) == "<1e-300"
    few = p_value(np.ones(300), -np.ones(300))
    assert few == pytest.approx(1 / math.comb(600, 300), rel=1e-9)
    assert format_p(few) == "7.4e-180"
    one, other = (np.where(np.arange(40) < hits, 1.0, -1.0) for hits in (30, 26))
    table = [[30, 10], [26, 14]]
    exact = stats.fisher_exact(table, alternative="greater").pvalue
    assert p_value(one, other) == pytest.approx(exact, rel=1e-9)
