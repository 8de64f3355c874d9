"""Which network is a MAP estimate, against minima in float64 by algebra and by SciPy."""

import jax
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import optimize

from sweep_engine.models import build
from sweep_engine.observables import observables
from sweep_engine.spec.laws import FanIn, Gaussian
from sweep_engine.spec.models import Linear
from sweep_engine.spec.observables import MapEstimate
from sweep_engine.tasks import LOGISTIC, SQUARED
from tests.observables.outcomes import outcome_at

EXAMPLES, SIZE, STD, TEMPERATURE = 12, 3, 0.8, 0.5
RNG = np.random.default_rng(0)
X = RNG.standard_normal((EXAMPLES, SIZE)).astype(np.float32).astype(float)
Y = (X @ [1.0, -2.0, 0.5] + 0.5 * RNG.standard_normal(EXAMPLES)).astype(np.float32).astype(float)
LABELS = (X @ [1.0, -0.5, 0.2] > 0).astype(int)
LINEAR = build(Linear(bias=False), (SIZE,), 1)
SPEC = MapEstimate(law=Gaussian(std=STD), temperature=TEMPERATURE)

# Of the gradient in float32: 16 roundings of numbers up to 100.
ROUNDING = 1e-4


def gap(theta, targets, loss=SQUARED, spec=SPEC):
    (observable,) = observables((spec,))
    outcome = outcome_at(LINEAR, theta, loss, X, np.asarray(targets, np.float32))
    found = jax.jit(lambda: observable.compute(outcome))()
    return float(found["map_gap_at_most"]), bool(found["is_map_estimate"])


HESSIAN = np.eye(SIZE) / STD**2 + X.T @ X / TEMPERATURE
RIDGE = np.linalg.solve(HESSIAN, X.T @ Y / TEMPERATURE)


def test_the_maximum_of_a_gaussian_posterior():
    assert gap(RIDGE, Y) == (pytest.approx(0, abs=ROUNDING), True)


@pytest.mark.parametrize("size", [0.01, 0.3, 3.0])
def test_the_gap_is_never_larger_than_said(size):
    """It is half the curvature times the square of the distance, which is known here."""
    for direction in [*np.eye(SIZE), *np.linalg.eigh(HESSIAN)[1].T]:
        offset = size * direction
        truth = offset @ HESSIAN @ offset / 2
        said, is_map = gap(RIDGE + offset, Y)
        assert said >= truth * (1 - 1e-4) - ROUNDING
        assert not is_map or truth <= 0.1
    steepest = size * np.linalg.eigh(HESSIAN)[1][:, 0]
    curvature = STD**2 * np.linalg.eigvalsh(HESSIAN)[0]
    truth = steepest @ HESSIAN @ steepest / 2
    assert gap(RIDGE + steepest, Y)[0] == pytest.approx(curvature * truth, rel=1e-2, abs=ROUNDING)


@pytest.mark.parametrize(
    "wrong",
    [
        MapEstimate(law=Gaussian(std=2 * STD), temperature=TEMPERATURE),
        MapEstimate(law=Gaussian(std=STD), temperature=2 * TEMPERATURE),
        MapEstimate(law=Gaussian(std=STD), temperature=0.5 * TEMPERATURE),
    ],
    ids=["std", "hotter", "colder"],
)
def test_the_maximum_of_another_posterior_is_none(wrong):
    said, is_map = gap(RIDGE, Y, spec=wrong)
    assert said > 0.1
    assert not is_map


def test_a_run_that_stops_at_zero_train_error_is_none():
    def energy(theta):
        losses = np.logaddexp(0, -(2 * LABELS - 1) * (X @ theta)).sum()
        return losses / TEMPERATURE + theta @ theta / (2 * STD**2)

    best = optimize.minimize(energy, np.zeros(SIZE), tol=1e-10).x
    assert gap(best, LABELS, LOGISTIC) == (pytest.approx(0, abs=ROUNDING), True)
    stopped = 5 * np.array([1.0, -0.5, 0.2])
    assert (((X @ stopped) > 0) == LABELS).all(), "it makes no error"
    said, is_map = gap(stopped, LABELS, LOGISTIC)
    assert said >= energy(stopped) - energy(best) > 0.1
    assert not is_map


def test_a_law_with_a_width_for_each_layer():
    law = FanIn(weight_std=STD * SIZE**0.5, bias_std=1.0)
    spec = MapEstimate(law=law, temperature=TEMPERATURE)
    assert gap(RIDGE, Y, spec=spec) == (pytest.approx(0, abs=ROUNDING), True)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_has_diverged_is_none(value):
    said, is_map = gap([value, 0, 0], Y)
    assert np.isnan(said)
    assert not is_map


def test_biases_without_a_density():
    with pytest.raises(ValidationError, match="bias_std must be > 0"):
        MapEstimate(law=FanIn(bias_std=0))
