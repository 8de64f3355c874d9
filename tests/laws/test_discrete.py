"""Discrete laws: probabilities, and the list of all points where it is short."""

import numpy as np
import pytest

from sweep_engine import laws
from tests.laws.cases import (
    DISCRETE,
    DRAWS,
    LAYOUT,
    PLANE,
    from_normals,
    law_of,
    layout_of,
    log_density,
    name_of,
    normals,
    sample,
)
from tests.statistics import assert_catches, assert_frequencies

SMALL = layout_of(first_kernel=(2, 1), second_kernel=(1, 1))
MIXED = law_of(
    "layers",
    layers=[
        {"kind": "binary", "scale": 0.1},
        {"kind": "ternary", "scale": 2.0, "zero_probability": 0.6},
    ],
)
ENUMERATED = [*(case.law for case in DISCRETE), MIXED]
every_enumerated = pytest.mark.parametrize("law", ENUMERATED, ids=name_of)


@every_enumerated
def test_the_list_has_all_points_once_and_their_probabilities(law):
    points, log_probabilities = laws.enumerate_support(law, SMALL)
    assert len(np.unique(points, axis=0)) == len(points)
    assert np.exp(log_probabilities).sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(log_density(law, SMALL, points), log_probabilities, rtol=1e-6)


@pytest.mark.parametrize(
    ("law", "way"),
    [(MIXED, "sample"), *((law, "from_normals") for law in ENUMERATED)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_draws_are_points_of_the_list_as_often_as_it_says(law, way):
    points, log_probabilities = laws.enumerate_support(law, SMALL)
    if way == "sample":
        theta = sample(law, SMALL, DRAWS)
    else:
        theta = from_normals(law, SMALL, normals(law, SMALL, DRAWS))
    same = (theta[:, None] == points).all(axis=2)  # bit for bit
    assert np.all(same.sum(axis=1) == 1)

    def check(index):
        counts = np.bincount(index, minlength=len(points))
        assert_frequencies(counts, np.exp(log_probabilities))

    index = same.argmax(axis=1)
    check(index)
    assert_catches(check, lambda: np.where(np.arange(DRAWS) % 10, index, 0))


def test_the_list_in_order():
    points, log_probabilities = laws.enumerate_support(law_of("binary", scale=2.0), PLANE)
    np.testing.assert_array_equal(points, [[-2, -2], [-2, 2], [2, -2], [2, 2]])
    np.testing.assert_allclose(log_probabilities, -2 * np.log(2))


def test_ternary_without_zeros_is_binary():
    ternary = law_of("ternary", scale=0.3, zero_probability=0.0)
    binary = law_of("binary", scale=0.3)
    for one, other in zip(
        laws.enumerate_support(ternary, SMALL), laws.enumerate_support(binary, SMALL), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    z = normals(binary, LAYOUT, 50)
    np.testing.assert_array_equal(from_normals(ternary, LAYOUT, z), from_normals(binary, LAYOUT, z))


def test_too_long_a_list_is_refused():
    law, four, five = law_of("binary"), *(layout_of(dense_kernel=(n, 1)) for n in (4, 5))
    points, _ = laws.enumerate_support(law, four, max_points=16)
    assert len(points) == 16
    with pytest.raises(ValueError, match="32 points, more than max_points = 16"):
        laws.enumerate_support(law, five, max_points=16)


@pytest.mark.parametrize(
    "law",
    [
        law_of("gaussian"),
        law_of("orthogonal"),
        law_of("sphere"),
        law_of("ball", per_layer=True),
        law_of("layers", layers=[{"kind": "binary"}, {"kind": "box"}]),
    ],
    ids=name_of,
)
def test_continuous_laws_have_no_list(law):
    with pytest.raises(ValueError, match="not discrete"):
        laws.enumerate_support(law, SMALL)


def test_values_beside_the_atoms_have_probability_zero():
    law = law_of("ternary", scale=0.5)
    beside = np.array([[0.5, 0.4], [1e-3, 0.5], [0.0, 0.5]])
    assert np.isfinite(log_density(law, PLANE, beside)).tolist() == [False, False, True]
