"""What holds of every law: marginals, two ways of drawing, deviations, support, tails."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sweep_engine import laws
from sweep_engine.spec.base import traced_fields, with_traced
from tests.laws.cases import (
    CASES,
    CONTINUOUS,
    DRAWS,
    LAYOUT,
    ROWS,
    N,
    assert_smallest,
    entries,
    from_normals,
    law_of,
    log_density,
    name_of,
    normals,
    sample,
)
from tests.statistics import assert_catches

ONE_NORMAL_EACH = [x for x in CONTINUOUS if x.independent and x.law.kind != "student_t"]
every_law = pytest.mark.parametrize("case", CASES, ids=name_of)
every_continuous_law = pytest.mark.parametrize("case", CONTINUOUS, ids=name_of)


@functools.cache
def _sampled(law):
    return sample(law, LAYOUT, DRAWS)


@functools.cache
def _mapped(law):
    return from_normals(law, LAYOUT, normals(law, LAYOUT, DRAWS))


def _check_marginals(case, theta):
    """First and last entry of every array by SciPy's law."""
    p_values = []
    for leaf, values in entries(theta, LAYOUT):
        marginal = case.marginal(leaf)
        if marginal is None:
            assert not values.any()
        else:
            ends = values[:, [0, -1]].astype(float).T
            p_values += [stats.kstest(end, marginal.cdf).pvalue for end in ends]
    assert_smallest(p_values, "marginals")


@every_continuous_law
@pytest.mark.parametrize("draw", [_sampled, _mapped], ids=["sample", "from_normals"])
def test_marginals_are_scipys(case, draw):
    def check(theta):
        _check_marginals(case, theta)

    check(draw(case.law))
    assert_catches(check, lambda: 1.3 * draw(case.law))


def _check_same_law(pair):
    """Two-sample tests of projections, of the length, and of what two entries share."""
    weights = np.random.default_rng(0).normal(size=(N, 3))
    # Entries of one array in one row, in one column, and of two layers; fixed zeros are ties.
    shared = [(0, 1), (0, 4), (0, 16), (16, 18)]
    views = [
        [
            *(theta @ weights).T,
            np.linalg.norm(theta, axis=1),
            *(np.arctan(theta[:, i] * theta[:, j]) for i, j in shared),
            *(theta[:, i] ** 2 - theta[:, j] ** 2 for i, j in shared),
        ]
        for theta in (np.asarray(theta, float).round(5) for theta in pair)
    ]
    p_values = [stats.ks_2samp(a, b, method="asymp").pvalue for a, b in zip(*views, strict=True)]
    assert_smallest(p_values, "sample and from_normals")


@every_law
def test_both_ways_of_drawing_are_one_law(case):
    one, other = _sampled(case.law), _mapped(case.law)
    _check_same_law([one, other])
    assert_catches(_check_same_law, lambda: [one, 1.2 * other])
    # Normals that share a part: what is wrong is mostly how parameters depend on one another.
    z = normals(case.law, LAYOUT, DRAWS)
    correlated = (z + 0.7 * z[:, :1]) / np.sqrt(1.49)
    assert_catches(_check_same_law, lambda: [one, from_normals(case.law, LAYOUT, correlated)])


NESTED = law_of("layers", layers=[{"kind": "torch"}, {"kind": "constant", "value": 0.3}])
WITH_IMAGES = [law for law in (NESTED, *(x.law for x in CASES)) if laws.images(law, LAYOUT)]


def test_the_usual_laws_are_images_that_kernels_know():
    assert {law.kind for law in WITH_IMAGES} == {
        "box", "fan_in", "gaussian", "glorot_uniform", "he_normal", "layers", "torch",
    }  # fmt: skip


@pytest.mark.parametrize("law", WITH_IMAGES, ids=lambda law: law.kind)
def test_images_say_array_by_array_what_normals_become(law):
    z = np.random.default_rng(0).normal(size=laws.num_normals(law, LAYOUT))
    numbers = {"normal": lambda z: z, "uniform": lambda z: 2 * stats.norm.cdf(z) - 1}
    parts, first = [], 0
    for image in laws.images(law, LAYOUT):
        if image.numbers == "ones":
            parts.append(np.full(image.leaf.size, image.scale))
        else:
            own = z[first : first + image.leaf.size]
            parts.append(numbers[image.numbers](own) * image.scale)
            first += image.leaf.size
    assert first == len(z)
    truth = np.asarray(laws.from_normals(law, LAYOUT, jnp.asarray(z, jnp.float32)), np.float64)
    assert np.isfinite(truth).all()
    np.testing.assert_allclose(np.concatenate(parts), truth, rtol=2e-5, atol=1e-6, strict=True)
    assert len(np.unique(truth)) > 1, "a number in another's place would be seen"


@every_law
def test_deviations_are_scipys(case):
    deviations = np.asarray(laws.std(case.law, LAYOUT))
    assert deviations.shape == (N,)
    scale = case.law.scale if case.discrete else 1.0
    for leaf, (values,) in entries(deviations[None], LAYOUT):
        marginal = case.marginal(leaf)
        expected = 0.0 if marginal is None else scale * marginal.std()
        # SciPy's Cauchy law has NaN, ours the infinity that its integral is.
        expected = np.inf if np.isnan(expected) else expected
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@every_law
def test_draws_are_in_the_support_and_moved_ones_are_not(case):
    everywhere = {"gaussian", "laplace", "student_t", "fan_in"}
    for theta in (_sampled(case.law)[:ROWS], _mapped(case.law)[:ROWS]):
        assert np.all(np.isfinite(log_density(case.law, LAYOUT, theta)))
        moved = np.isfinite(log_density(case.law, LAYOUT, theta + 9))
        assert np.all(moved == (case.law.kind in everywhere))


@every_law
def test_extreme_normals_give_finite_draws_in_the_support(case):
    z = normals(case.law, LAYOUT, ROWS // 3)
    rng = np.random.default_rng(2)
    signs = rng.choice([-1, 1], size=z.shape)
    extreme = np.concatenate(
        [8 * signs, np.where(rng.random(z.shape) < 0.1, 8 * signs, z), 1e-6 * z]
    ).astype(np.float32)
    if case.law.kind == "orthogonal":  # columns that are equal up to sign have no Q
        extreme[: len(z)] = extreme[len(z) : 2 * len(z)]
    theta = from_normals(case.law, LAYOUT, extreme)
    assert np.all(np.isfinite(theta))
    assert np.all(np.isfinite(log_density(case.law, LAYOUT, theta)))


@pytest.mark.parametrize("case", ONE_NORMAL_EACH, ids=name_of)
def test_quantiles_in_the_tails(case):
    """One normal a parameter means quantile to quantile, to float32 rounding."""
    z = np.array([-8, -6, -4, -2, -1, -0.5, -0.1, -1e-3, 1e-3, 0.3, 0.9, 3, 5, 7, 8], np.float32)
    count = laws.num_normals(case.law, LAYOUT)
    theta = from_normals(case.law, LAYOUT, np.tile(z[:, None], count))
    for leaf, values in entries(theta, LAYOUT):
        if (marginal := case.marginal(leaf)) is not None:
            # By symmetry, from the tail, where a probability has all its digits.
            expected = np.sign(z) * marginal.isf(stats.norm.sf(np.abs(z.astype(float))))
            near = np.abs(z) < 0.01  # there the oracle itself cancels
            np.testing.assert_allclose(values[:, 0][~near], expected[~near], rtol=2e-5)
            slope = z[near] * stats.norm.pdf(0) / marginal.pdf(0)
            np.testing.assert_allclose(values[:, 0][near], slope, rtol=2e-3)


@every_law
def test_traced_scales_give_what_constants_give(case):
    """Lanes of one program whose scales are arrays; the last lane has the case's own."""
    factors = jnp.array([0.5, 2.0, 1.0])
    fields = dict(traced_fields(case.law))
    z, theta = normals(case.law, LAYOUT, DRAWS)[0], _sampled(case.law)[0]

    def everything(factor):
        law = with_traced(case.law, {path: value * factor for path, value in fields.items()})
        mapped, deviations = laws.from_normals(law, LAYOUT, z), laws.std(law, LAYOUT)
        return mapped, deviations, laws.log_density(law, LAYOUT, theta)

    traced = [lanes[-1] for lanes in jax.jit(jax.vmap(everything))(factors)]
    constants = [_mapped(case.law)[0], laws.std(case.law, LAYOUT)]
    constants.append(log_density(case.law, LAYOUT, _sampled(case.law)[:ROWS])[0])
    for got, expected in zip(traced, constants, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


def test_normals_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"expected z of shape \(26,\), got \(25,\)"):
        laws.from_normals(law_of("box"), LAYOUT, jnp.zeros(25))


@pytest.mark.parametrize("function", [laws.num_normals, laws.std])
def test_the_modules_own_law_is_not_known_here(function):
    with pytest.raises(TypeError, match="network's own"):
        function(law_of("module"), LAYOUT)
    assert laws.support(law_of("module")) == "the module's own"


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (law_of("box", half_width=2.0), "[-2.0, 2.0]^P"),
        (law_of("sphere", per_layer=True), "sphere of radius 1.0 per layer"),
        (law_of("student_t", degrees_of_freedom=2), "R^P"),
        (law_of("fan_in"), "R^P with biases 0"),
        (law_of("he_normal"), "R^P with biases 0"),
        (law_of("he_truncated_normal"), "box per layer with biases 0"),
        (law_of("ternary"), "{-1.0, 0, 1.0}^P"),
        (
            law_of("layers", layers=[{"kind": "ball"}, {"kind": "laplace"}]),
            "ball of radius 1.0; R^P",
        ),
    ],
)
def test_supports_in_words(law, words):
    assert laws.support(law) == words
