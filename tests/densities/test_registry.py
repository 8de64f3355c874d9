"""The contract of every estimator: what it yields can be said, at any confidence, and nothing more.

Those that take all that is stored of a source: `stored/test_comparisons.py`, and of networks
`networks/test_stored.py`.
"""

from typing import get_args

import numpy as np
import pytest

from sweep_engine.densities.estimator import Estimator, Takes
from sweep_engine.densities.points import flow
from sweep_engine.densities.registry import ESTIMATORS, FUNCTIONS, QUANTITIES, SUITED
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec.sweep import EstimatorName
from tests.densities import gaussians
from tests.densities.read import assert_sayable

ALL = {**ESTIMATORS, "functions": FUNCTIONS, "suited": SUITED}
OF_SAMPLES = {name: each for name, each in ALL.items() if each.takes is not Takes.SIDES}
DIMENSIONS = {
    Takes.ONE_COLUMN: (1,),
    Takes.ONE_OR_TWO_COLUMNS: (1, 2),
    Takes.TWO_COLUMNS: (2,),
    Takes.TWO_COLUMNS_OR_MORE: (2,),
    Takes.COLUMNS: (1, 2, 3),
}


@pytest.fixture(autouse=True)
def no_flows(monkeypatch):
    """Any density will do for a flow's names, and one that is not fitted is fast."""
    monkeypatch.setattr(flow, "_require_extra", lambda: None)
    monkeypatch.setattr(flow, "fit_log_density", lambda cloud, seed: (
        lambda at: -((at - cloud.mean(axis=0)) ** 2).sum(axis=1)))  # fmt: skip


def samples(estimator, num=None):
    """Pairs of samples of all shapes that an estimator takes; as small as it trusts."""
    num = num or max(40, estimator.trust.min_draws)
    rng = np.random.default_rng(0)
    if estimator.takes is Takes.FUNCTIONS:
        yield np.array([num, num // 2, 7, 1]), np.array([num // 2, num, 9, 0])
        return
    for dimension in DIMENSIONS[estimator.takes]:
        yield gaussians.shifted(rng, num, dimension, 1.0)


def test_a_sweep_file_can_name_them_all_and_no_others():
    assert set(get_args(EstimatorName)) == set(ESTIMATORS)
    assert all(name == estimator.name for name, estimator in ESTIMATORS.items())


def test_a_quantity_has_one_meaning():
    for estimator in ALL.values():
        assert all(QUANTITIES[quantity.name] is quantity for quantity in estimator.quantities)


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_all_that_is_announced_is_estimated_and_can_be_said(name):
    estimator = OF_SAMPLES[name]
    yielded = set()
    for pair in samples(estimator):
        reading = estimator.look(*pair, 0)
        alone, wide = reading.at(0.95), reading.at(0.999)
        assert_sayable(estimator, alone)
        for estimate, at_once in zip(alone, wide, strict=True):
            np.testing.assert_equal(estimate.value, at_once.value)
            assert at_once.low <= estimate.low
            assert estimate.high <= at_once.high
            assert (estimate.confidence, at_once.confidence) == (0.95, 0.999)
            assert estimate.p_value == at_once.p_value
        yielded |= {estimate.name for estimate in alone}
    assert yielded == {quantity.name for quantity in estimator.quantities}


@pytest.mark.parametrize("name", [n for n, each in OF_SAMPLES.items() if each.trust.min_draws > 9])
def test_fewer_draws_than_it_trusts_are_refused_with_a_number(name):
    estimator = OF_SAMPLES[name]
    for pair in samples(estimator, estimator.trust.min_draws // 4):
        with pytest.raises(InsufficientSamples, match=str(estimator.trust.min_draws)):
            estimator.look(*pair, 0)


@pytest.mark.parametrize("name", [n for n, each in OF_SAMPLES.items() if each.takes in DIMENSIONS])
def test_columns_that_it_does_not_take_are_refused(name):
    estimator = OF_SAMPLES[name]
    for dimension in (
        {1, 2, 3}
        - set(DIMENSIONS[estimator.takes])
        - ({3} if estimator.takes is Takes.TWO_COLUMNS_OR_MORE else set())
    ):
        pair = gaussians.shifted(np.random.default_rng(0), 600, dimension, 1.0)
        with pytest.raises(IncomparableSources, match=f"{name} is for {estimator.takes.value}"):
            estimator.look(*pair, 0)


@pytest.mark.parametrize("part", ["name", "takes", "trust", "quantities"])
def test_a_class_that_lacks_a_part_cannot_be_loaded(part):
    parts = {name: getattr(SUITED, name) for name in ("name", "takes", "trust", "quantities")}
    type("Whole", (Estimator,), parts)
    with pytest.raises(TypeError, match=part):
        type("Lacking", (Estimator,), {k: v for k, v in parts.items() if k != part})
