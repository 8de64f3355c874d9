import json
import math

import pytest

from sweep_engine.densities.estimate import Estimate, Interval, check_confidence


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
