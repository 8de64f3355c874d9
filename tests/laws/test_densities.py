"""Densities against SciPy, against counts of draws in cells, and their gradients."""

import math

import jax
import numpy as np
import pytest
from scipy import stats

from sweep_engine import laws
from tests.laws.cases import (
    CASES,
    LAYOUT,
    PLANE,
    Case,
    N,
    entries,
    from_normals,
    law_of,
    log_density,
    name_of,
    normals,
)
from tests.statistics import assert_catches, assert_frequencies

INDEPENDENT = [case for case in CASES if case.independent and not case.discrete]
FIXED_BIASES = Case(
    law_of("fan_in", weight_std=1.4),
    lambda leaf: None if leaf.is_bias else stats.norm(scale=1.4 / math.sqrt(leaf.shape[0])),
)
SMOOTH = [FIXED_BIASES, *(case for case in INDEPENDENT if "uniform" not in case.law.kind)]


def _scipy_log_density(case, theta):
    expected = np.zeros(len(theta))
    for leaf, values in entries(np.asarray(theta, float), LAYOUT):
        if (marginal := case.marginal(leaf)) is not None:
            expected += marginal.logpdf(values).sum(axis=1)
    return expected


@pytest.mark.parametrize("case", INDEPENDENT, ids=name_of)
def test_densities_of_independent_parameters_are_scipys(case):
    theta = np.zeros((100, N), np.float32)
    for leaf, values in entries(theta, LAYOUT):
        if (marginal := case.marginal(leaf)) is not None:
            values[:] = 0.99 * marginal.rvs(values.shape, random_state=0)  # not on the edge
    expected = _scipy_log_density(case, theta)
    np.testing.assert_allclose(log_density(case.law, LAYOUT, theta), expected, rtol=2e-5, atol=1e-4)
    biased = theta + np.array([0] * (N - 1) + [0.01])
    zero_biases = case.marginal(LAYOUT.leaves[-1]) is None
    assert np.all(np.isinf(log_density(case.law, LAYOUT, biased)) | (not zero_biases))


@pytest.mark.parametrize("case", SMOOTH, ids=name_of)
def test_gradients_are_those_of_scipys_densities(case):
    theta = from_normals(case.law, LAYOUT, normals(case.law, LAYOUT, 20))
    gradient = jax.jit(jax.vmap(jax.grad(lambda x: laws.log_density(case.law, LAYOUT, x))))
    for (leaf, got), (_, values) in zip(
        entries(gradient(theta), LAYOUT), entries(theta.astype(float), LAYOUT), strict=True
    ):
        if (marginal := case.marginal(leaf)) is None:
            assert not np.any(got)
        else:
            expected = (marginal.logpdf(values + 1e-6) - marginal.logpdf(values - 1e-6)) / 2e-6
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


CELLS, FINE, EDGE = 10, 30, 2.5


def _cell_probabilities(law):
    """Every cell's integral of the density over the plane, by the midpoint rule."""
    width = 2 * EDGE / (CELLS * FINE)
    middles = -EDGE + width * (np.arange(CELLS * FINE) + 0.5)
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(log_density(law, PLANE, points)).reshape(CELLS, FINE, CELLS, FINE)
    inside = density.sum(axis=(1, 3)).ravel() * width**2
    return np.append(inside, max(1 - inside.sum(), 0)), inside.sum()


def _cell_counts(theta):
    edges = np.linspace(-EDGE, EDGE, CELLS + 1)
    inside = np.histogram2d(theta[:, 0], theta[:, 1], [edges, edges])[0].ravel()
    return np.append(inside, len(theta) - inside.sum())


@pytest.mark.parametrize(
    "law",
    [
        law_of("ball", radius=2.2),
        law_of("box", half_width=2.0),
        law_of("laplace", scale=0.7),
        law_of("student_t", degrees_of_freedom=1, scale=0.5),
        law_of("glorot_truncated_normal", scale=1.2),
    ],
    ids=name_of,
)
def test_densities_are_those_of_the_draws(law):
    """In the plane, where theta can be counted in cells."""
    probabilities, total = _cell_probabilities(law)
    if law.kind not in {"laplace", "student_t"}:
        assert total == pytest.approx(1, abs=5e-3)  # half a fine cell along the edge
    theta = from_normals(law, PLANE, normals(law, PLANE, 20_000))

    def check(theta):
        counts, rare = _cell_counts(theta), probabilities * len(theta) < 5
        cells = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(probabilities[~rare], probabilities[rare].sum())
        enough = expected * len(theta) > 5
        assert cells[~enough].sum() <= 100
        expected = expected[enough] / expected[enough].sum()
        assert_frequencies(cells[enough], expected)

    check(theta)
    assert_catches(check, lambda: 0.9 * theta)
