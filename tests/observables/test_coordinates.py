"""Coordinates of theta: projections, and which columns they fill."""

import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from sweep_engine.models import build, canonicalise
from sweep_engine.observables import columns_of, fit_basis, observables
from sweep_engine.observables.coordinates import random_basis
from sweep_engine.spec.models import Mlp
from sweep_engine.spec.observables import Coordinates
from sweep_engine.tasks import SQUARED
from tests.observables.outcomes import outcome_at

RNG = np.random.default_rng(0)
NETWORK = build(Mlp(widths=(3,), activation="relu"), (2,), 1)
THETA = RNG.normal(size=NETWORK.layout.num_params)


def outcome(theta=THETA):
    return outcome_at(NETWORK, theta, SQUARED, np.ones((1, 2)), np.zeros(1, np.float32))


def permuted(theta):
    """The same function: the hidden units in reverse."""
    first, bias, last = theta[:6].reshape(2, 3)[:, ::-1], theta[6:9][::-1], theta[9:12][::-1]
    return np.concatenate([first.ravel(), bias, last, theta[12:]])


def compute(spec, theta=THETA, basis=None):
    (observable,) = observables((spec,))
    if basis is not None:
        observable = observable.on_basis(basis)
    found = observable.compute(outcome(theta))
    assert list(found) == [name for name, _ in columns_of(spec)]
    return np.array([float(value) for value in found.values()])


@pytest.mark.parametrize(("canonical", "scaling"), [(False, False), (True, False), (True, True)])
def test_a_random_projection(canonical, scaling):
    spec = Coordinates(method="random", components=3, canonical=canonical, scaling=scaling)
    basis = random_basis(len(THETA), 3)
    point = THETA
    if canonical:
        form = canonicalise(NETWORK, jnp.asarray(THETA, jnp.float32), scaling=scaling)
        point = np.asarray(form.theta, float)
    np.testing.assert_allclose(compute(spec), basis.components @ point, rtol=1e-4, atol=1e-5)
    moved = compute(spec, permuted(THETA))
    assert np.allclose(moved, compute(spec), atol=1e-5) == canonical


def test_principal_components():
    points = RNG.normal(size=(40, len(THETA))) * np.linspace(1, 5, len(THETA))
    basis = fit_basis(points, 2)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(basis.variances, values[::-1][:2])
    np.testing.assert_allclose(np.abs(basis.components), np.abs(vectors[:, ::-1][:, :2].T))
    assert np.all(basis.components.max(axis=1) == np.abs(basis.components).max(axis=1))
    spec = Coordinates(fitted_on="sgd", canonical=False)
    assert observables((spec,))[0].is_late
    expected = basis.components @ (THETA - basis.mean)
    np.testing.assert_allclose(compute(spec, basis=basis), expected, rtol=1e-4, atol=1e-5)


def test_random_directions_are_orthonormal_and_always_the_same():
    one, other = random_basis(20, 4), random_basis(20, 4)
    np.testing.assert_allclose(one.components @ one.components.T, np.eye(4), atol=1e-12)
    assert np.array_equal(one.components, other.components)
    with pytest.raises(ValueError, match="5 components of 4 parameters"):
        random_basis(4, 5)


def test_too_few_points_or_broken_ones():
    with pytest.raises(ValueError, match="2 components need more than 2 points"):
        fit_basis(RNG.normal(size=(2, 5)), 2)
    with pytest.raises(ValueError, match="not finite"):
        fit_basis(np.full((9, 5), np.nan), 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "pca needs the source"),
        ({"method": "random", "fitted_on": "sgd"}, "random none"),
        ({"method": "random", "canonical": False, "scaling": True}, "scaling goes with canonical"),
    ],
)
def test_settings_that_do_not_go_together(fields, message):
    with pytest.raises(ValidationError, match=message):
        Coordinates(**fields)


def test_the_columns_say_what_they_hold():
    names = [name for name, _ in columns_of(Coordinates(fitted_on="sgd", scaling=True))]
    assert names == ["scaled_pca_1", "scaled_pca_2"]
    (observable,) = observables((Coordinates(fitted_on="sgd"),))
    assert observable.columns[0].meaning == "coordinate 1 of pca of canonical theta, fitted on sgd"


def test_the_former_key_is_read_and_written():
    """Ids and stored bases are hashes of it."""
    former = Coordinates.model_validate({"kind": "coordinates", "reference": "sgd"})
    assert former == Coordinates(fitted_on="sgd")
    assert former.model_dump()["reference"] == "sgd"
    assert "fitted_on" not in former.model_dump()
    with pytest.raises(ValidationError, match="give one of them"):
        Coordinates.model_validate({"reference": "sgd", "fitted_on": "init"})
