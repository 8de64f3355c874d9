"""Measures of star domains against their exact values (SCIENCE 3.8)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from sweep_engine.observables.local_volume.preconditioners import diagonal, none
from sweep_engine.observables.local_volume.star_domain import first_crossing, measure
from tests.statistics import StatisticalFailure, assert_mean_within

REPEATS = 200


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def ball_log_volume(size):
    return size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)


def found(inside, centre, transform=none, *, law="box", directions=64, seed=0):
    centre = jnp.asarray(centre, jnp.float64)

    def run(key):
        return measure(inside, centre, transform, key, law=law, directions=directions)

    return jax.tree.map(float, jax.jit(run)(jax.random.key(seed)))


def shares_of(inside, centre, transform=none, *, law="box", directions=256):
    """Repeated estimates of the measure itself."""
    centre = jnp.asarray(centre, jnp.float64)

    def run(key):
        return measure(inside, centre, transform, key, law=law, directions=directions).log_measure

    return np.exp(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), REPEATS)))


def assert_unbiased(shares, truth, spread):
    """The mean is within its standard error; `spread` bounds that, so that the test can fail."""
    assert_mean_within(shares, truth)
    assert shares.std() < spread * truth
    with pytest.raises(StatisticalFailure):
        assert_mean_within(shares, truth * (1 + spread))


# --- ellipsoids {sum h x^2 / 2 < e} --------------------------------------------------------------


def ellipsoid(size, condition=1e3):
    """Curvatures over a range of `condition`, and e so small that the box does not cut it."""
    curvature = np.geomspace(1.0, condition, size)
    threshold = 0.5 * 0.9**2
    log_volume = (
        ball_log_volume(size) + size / 2 * math.log(2 * threshold) - np.log(curvature).sum() / 2
    )
    return curvature, threshold, log_volume - size * math.log(2)


def inside_ellipsoid(curvature, threshold):
    return lambda z: 0.5 * jnp.sum(curvature * z**2) <= threshold


@pytest.mark.parametrize("size", [1, 10, 100, 1000])
def test_an_ellipsoid_with_the_exact_preconditioner(size):
    """No variance: a single line tells it."""
    curvature, threshold, truth = ellipsoid(size)
    widths = curvature**-0.5 / math.exp(-np.log(curvature).mean() / 2)
    one = found(inside_ellipsoid(curvature, threshold), np.zeros(size), lambda v: widths * v,
                directions=4)  # fmt: skip
    assert one.log_measure == pytest.approx(truth, abs=1e-6)
    assert one.n_eff == pytest.approx(4, abs=1e-5)


@pytest.mark.parametrize(("size", "short"), [(10, 1.0), (100, 30.0), (1000, 500.0)])
def test_without_a_preconditioner_it_is_short_and_flagged(size, short):
    """SCIENCE 4: short by about 1.6, 43 and 676 nats; and n_eff says so."""
    curvature, threshold, truth = ellipsoid(size)
    one = found(inside_ellipsoid(curvature, threshold), np.zeros(size))
    assert one.log_measure < truth - short
    assert one.n_eff < 32


def test_it_is_unbiased():
    """In three dimensions few lines suffice: the mean of repeated estimates is the volume."""
    curvature, threshold, truth = ellipsoid(3, condition=10)
    shares = shares_of(inside_ellipsoid(curvature, threshold), np.zeros(3))
    assert_unbiased(shares, math.exp(truth), 0.2)


# --- P(|prod w| < delta) under U[-1, 1]^d --------------------------------------------------------


@pytest.mark.parametrize(("size", "delta"), [(2, 0.1), (3, 0.1), (4, 0.01)])
def test_the_product_of_uniforms(size, delta):
    """Star-shaped about 0, with arms along the axes that end at the box alone."""
    truth = delta * sum((-math.log(delta)) ** k / math.factorial(k) for k in range(size))
    shares = shares_of(lambda z: jnp.abs(jnp.prod(z)) <= delta, np.zeros(size))
    assert_unbiased(shares, truth, 0.3)
    with pytest.raises(StatisticalFailure):
        assert_mean_within(shares, delta)  # the arms left out


# --- Gaussian measure ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 10, 300])
def test_the_gaussian_measure_of_a_ball_about_0(size):
    """Of three radii, in one program."""
    radii = np.array([0.3, 1.0, 2.0]) * math.sqrt(size)

    def run(radius):
        def inside(z):
            return z @ z <= radius**2

        key, centre = jax.random.key(0), jnp.zeros(size, jnp.float64)
        return measure(inside, centre, none, key, law="gaussian", directions=2).log_measure

    for radius, log_measure in zip(radii, jax.jit(jax.vmap(run))(radii), strict=True):
        half, truth = size / 2, stats.chi2.logcdf(radius**2, size)
        if not np.isfinite(truth) or truth < -600:
            x = radius**2 / 2  # the leading terms of the incomplete gamma function's series
            series = special.hyp1f1(1, half + 1, x)
            truth = half * math.log(x) - x - math.lgamma(half + 1) + math.log(series)
        assert float(log_measure) == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize("offset", [0.5, 3.0])
def test_the_gaussian_measure_of_a_ball_elsewhere(offset):
    """Noncentral chi^2; the lines differ, so that the mean has an error."""
    centre = np.array([offset, 0.0, 0.0, 0.0])
    truth = stats.ncx2.cdf(1.5**2, 4, offset**2)
    shares = shares_of(lambda z: jnp.sum((z - centre) ** 2) <= 1.5**2, centre, law="gaussian")
    assert_unbiased(shares, truth, 0.5)


def test_the_gaussian_measure_of_everything_is_1():
    """Whatever the centre and the map: all of R^D is star-shaped about every point."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=6)
    transform = diagonal(jnp.asarray(rng.uniform(0, 3, 6)), 0.5)
    shares = shares_of(lambda z: jnp.bool_(True), centre, transform, law="gaussian")
    assert_unbiased(shares, 1.0, 0.5)


@pytest.mark.parametrize("law", ["gaussian", "box"])
def test_lines_through_draws_of_the_law_tell_wide_domains(law):
    """All of 200 dimensions from a centre in the bulk: no variance, where uniform lines fail."""
    centre = np.random.default_rng(0).uniform(-1, 1, 200)
    everything = found(lambda z: jnp.bool_(True), centre, None, law=law, directions=4)
    assert everything.log_measure == pytest.approx(0.0, abs=1e-9)
    assert everything.n_eff == pytest.approx(4)
    assert found(lambda z: jnp.bool_(True), centre, law=law).log_measure < -20


def test_lines_through_draws_are_unbiased():
    """Of a half-space 1/2, of a ball elsewhere as by uniform lines."""
    centre = np.full(20, 0.5)
    half = shares_of(lambda z: z[0] >= 0, centre, None, law="gaussian", directions=64)
    assert_unbiased(half, 0.5, 0.2)
    box = shares_of(lambda z: z[0] >= 0, centre, None, directions=64)
    assert_unbiased(box, 0.5, 0.2)
    centre = np.array([0.5, 0.0, 0.0, 0.0])
    ball = shares_of(lambda z: jnp.sum((z - centre) ** 2) <= 1.5**2, centre, None, law="gaussian")
    assert_unbiased(ball, stats.ncx2.cdf(1.5**2, 4, 0.25), 0.3)


# --- lines ---------------------------------------------------------------------------------------


def test_the_first_of_several_crossings_is_found():
    def inside(s):
        return (s < 0.31) | ((s > 0.5) & (s < 2.0))

    assert float(first_crossing(inside, jnp.float64(5.0))) == pytest.approx(0.31, rel=1e-12)


def test_ends_of_lines():
    end = jnp.float64(5.0)
    assert float(first_crossing(lambda s: s >= 0, end)) == 5.0
    assert float(first_crossing(lambda s: s < 1e-9, end)) == pytest.approx(1e-9, abs=1e-15)
    assert float(first_crossing(lambda s: s < 4.9, end)) == pytest.approx(4.9, rel=1e-12)
    nan = float(first_crossing(lambda s: jnp.where(s < 1, s, jnp.nan) <= 2, end))
    assert nan == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("transform", [none, None])
def test_a_solution_outside_the_box_has_no_measure(transform):
    outside = found(lambda z: jnp.bool_(True), np.array([1.5, 0.0]), transform)
    assert outside.log_measure == -math.inf
