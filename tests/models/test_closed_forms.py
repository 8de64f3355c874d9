"""Closed forms of gradient flow against SciPy's integration of the flow itself."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sweep_engine.models import closed_forms

TIMES = np.array([0.1, 0.5, 1.0, 3.0])


def integrated(slope, start):
    """The solution at TIMES, one a row."""
    found = solve_ivp(
        lambda _, state: slope(state), (0, TIMES[-1]), start, "DOP853", TIMES, rtol=1e-10,
        atol=1e-12,
    )  # fmt: skip
    return found.y.T


def check(found, expected, wrong):
    """A closed form against the integration, which a wrong one does not meet."""
    tolerance = {"rtol": 1e-7, "atol": 1e-9}
    np.testing.assert_allclose(found, expected, **tolerance)
    assert not np.allclose(wrong, expected, **tolerance)


@pytest.mark.parametrize("start", [(0.3, 0.3), (1.5, -0.2), (-0.4, -1.1), (0.2, -0.9)])
@pytest.mark.parametrize("target", [1.0, 2.5, -0.7])
def test_two_factors_from_any_start(start, target):
    def slope(state):
        a, b = state
        return np.array([b, a]) * (target - a * b)

    def form(start):
        return np.transpose(closed_forms.scalar_product_flow(*start, target, TIMES))

    check(form(start), integrated(slope, start), wrong=form(np.array(start) + 1e-3))


@pytest.mark.parametrize("target", [1.5, -0.6])
def test_the_diagonal_network_on_the_way_and_where_it_lands(target):
    alpha = np.array([0.3, 1.0, 0.6])

    def slope(state):
        plus, minus = np.split(state, 2)
        gap = target - np.sum(plus**2 - minus**2)
        return 2 * gap * np.concatenate([plus, -minus])

    plus, minus = np.split(integrated(slope, np.tile(alpha, 2)), 2, axis=1)
    found, wrong = (closed_forms.diagonal_flow(alpha, target, c * TIMES) for c in (1, 1.01))
    check(found, plus**2 - minus**2, wrong)
    landed = closed_forms.diagonal_flow(alpha, target, np.array([50.0]))[0]
    np.testing.assert_allclose(landed, target * alpha**2 / np.sum(alpha**2))


@pytest.mark.parametrize("depth", [1, 2, 3, 8, math.inf])
def test_how_long_a_product_of_scalars_takes(depth):
    start, target = 0.2, 1.3
    rate = 1.0 if depth == math.inf else depth
    products = integrated(lambda s: rate * s ** (2 - 2 / depth) * (target - s), [start])[:, 0]
    early = products[:3]  # later it has landed, to rounding
    found = closed_forms.time_to_product(early, start, target, depth)
    other = 9 if depth == math.inf else depth + 1
    check(found, TIMES[:3], wrong=closed_forms.time_to_product(early, start, target, other))


def test_products_of_many_factors_tend_to_the_infinitely_deep_one():
    """Time times L; the gap falls as 1 / L."""
    limit = closed_forms.time_to_product(0.9, 0.2, 1.0, math.inf)
    gaps = [
        closed_forms.time_to_product(0.9, 0.2, 1.0, depth) * depth - limit for depth in (64, 128)
    ]
    assert 1.9 < gaps[0] / gaps[1] < 2.1


@pytest.mark.parametrize("count", [2, 5])
def test_least_squares(count):
    rng = np.random.default_rng(0)
    x, y, start = rng.normal(size=(count, 3)), rng.normal(size=count), rng.normal(size=3)
    expected = integrated(lambda w: x.T @ (y - x @ w) / count, start)

    def at(scale):
        maps = [closed_forms.least_squares_flow(x, y, scale * time) for time in TIMES]
        return np.array([matrix @ start + shift for matrix, shift in maps])

    check(at(1.0), expected, wrong=at(1.01))


def test_max_margin():
    for start in (0.0, -1.0, 2.0):
        expected = integrated(lambda w: 1 / (1 + np.exp(w)), [start])[:, 0]
        found, wrong = (closed_forms.max_margin_flow(s, TIMES) for s in (start, start + 0.01))
        check(found, expected, wrong)
    published = [0.442854, 2.177325, 4.568829]
    found = closed_forms.max_margin_flow(0.0, np.array([1.0, 10.0, 100.0]))
    np.testing.assert_allclose(found, published, atol=1e-6)
