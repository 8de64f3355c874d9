"""Coordinates of theta: principal components and random directions."""

import numpy as np
import pytest

from sweep_engine.densities.coordinates import fit_coordinates, last_of_each
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec.sweep import Coordinates
from tests.statistics import NUM_STDERRS


def stretched(rng, num, size=30):
    """Networks of standard deviations 5, 3 along two directions, 1 along all others."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    spread = np.ones(size)
    spread[:2] = 5, 3
    return rng.normal(size=(num, size)) * spread @ axes.T + 7.0, axes


def test_principal_components_are_the_long_axes():
    theta, axes = stretched(np.random.default_rng(1), 2000)
    found = fit_coordinates(Coordinates(dimensions=2), theta, seed=0)
    for i, eigenvalue in enumerate((25.0, 9.0)):
        cosine = abs(float(found.directions[i] @ axes[:, i]))
        # Anderson (1963): the squared sine has mean sum over others of l l'/(l - l')² / n.
        others = [v for v in (25.0, 9.0, *[1.0] * 28) if v != eigenvalue]
        expected = sum(eigenvalue * v / (eigenvalue - v) ** 2 for v in others) / 2000
        assert 1 - cosine**2 < expected * (1 + NUM_STDERRS * np.sqrt(2 / len(others)))
    variance = found(theta).var(axis=0)
    assert variance == pytest.approx([25, 9], rel=NUM_STDERRS * np.sqrt(2 / 2000))
    assert "2 principal components" in found.words


def test_the_sign_does_not_hang_on_the_draws():
    theta, _ = stretched(np.random.default_rng(1), 500)
    found = [fit_coordinates(Coordinates(), part, 0) for part in (theta, -theta, theta[::-1])]
    for other in found[1:]:
        assert np.allclose(found[0].directions, other.directions)


def test_random_directions_come_from_the_seed_alone():
    theta, _ = stretched(np.random.default_rng(1), 50)
    asked = Coordinates(kind="random", dimensions=3)
    one, same, other = (fit_coordinates(asked, theta, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.directions, same.directions)
    assert not np.allclose(one.directions, other.directions)
    assert np.allclose(np.linalg.norm(one.directions, axis=1), 1)
    assert np.array_equal(fit_coordinates(asked, theta[:10], 0).directions, one.directions)


def test_the_last_parameters_of_every_run():
    run_id, step = np.array([5, 3, 5, 3, 4]), np.array([0, 9, 7, 2, 1])
    assert last_of_each(run_id, step).tolist() == [1, 4, 2]


def test_refusals():
    theta, _ = stretched(np.random.default_rng(1), 50)
    with pytest.raises(InsufficientSamples, match="need at least 6 networks"):
        fit_coordinates(Coordinates(), theta[:2], 0)
    with pytest.raises(IncomparableSources, match="30"):
        fit_coordinates(Coordinates(), theta, 0)(theta[:, :10])
