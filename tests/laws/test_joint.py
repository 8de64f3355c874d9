"""How parameters of one draw go together: directions, independence, scale, flat densities."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sweep_engine import laws
from sweep_engine.keys import halves, sweep_key
from sweep_engine.models import build
from sweep_engine.sources.bucket import draw_params
from sweep_engine.spec.laws import ModuleInit
from sweep_engine.spec.models import Mlp
from tests.laws.cases import (
    CASES,
    DRAWS,
    LAYOUT,
    PLANE,
    VARIANCES,
    N,
    entries,
    law_of,
    layout_of,
    log_density,
    name_of,
    sample,
)
from tests.statistics import assert_catches, assert_ks, assert_mean_within

INDEPENDENT = [case for case in CASES if case.independent and case.law.kind != "student_t"]
SPACE = layout_of(dense_kernel=(2, 1), dense_bias=(1,))


def _check_isotropic(theta):
    """Directions have mean 0 and second moments I/P, and one coordinate its Beta law."""
    unit = theta / np.linalg.norm(theta, axis=1, keepdims=True)
    assert_mean_within(unit, np.zeros(N))
    i, j = np.triu_indices(N)
    assert_mean_within(unit[:, i] * unit[:, j], (i == j) / N)
    assert_ks(unit[:, 0] ** 2, stats.beta(0.5, (N - 1) / 2).cdf)


def test_a_ball_is_isotropic_and_its_volume_uniform():
    """(|theta| / R)^P is uniform."""
    theta = sample(law_of("ball", radius=3.0), LAYOUT, DRAWS).astype(float)
    share = np.linalg.norm(theta, axis=1) / 3.0

    def check(volume):
        assert_ks(volume, stats.uniform.cdf)

    check(share**N)
    _check_isotropic(theta)
    radial = np.random.default_rng(0).random(DRAWS)
    assert_catches(check, lambda: radial**N)


def test_a_sphere_is_isotropic_at_its_radius():
    theta = sample(law_of("sphere", radius=0.7), LAYOUT, DRAWS).astype(float)
    np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 0.7, rtol=1e-6)
    _check_isotropic(theta)
    assert_catches(_check_isotropic, lambda: sample(law_of("box"), LAYOUT, DRAWS))


def _check_uncorrelated(theta):
    theta = theta[:, theta.any(axis=0)]  # biases that are fixed at 0
    standard = (theta - theta.mean(axis=0)) / theta.std(axis=0)
    i, j = np.triu_indices(theta.shape[1], 1)
    assert_mean_within(standard[:, i] * standard[:, j], np.zeros(len(i)))


@pytest.mark.parametrize("case", INDEPENDENT, ids=name_of)
def test_independent_parameters_are_uncorrelated(case):
    theta = sample(case.law, LAYOUT, DRAWS).astype(float)
    _check_uncorrelated(theta)
    assert_catches(_check_uncorrelated, lambda: theta + 0.3 * theta[:, :1])


@pytest.mark.parametrize("shape", ["normal", "uniform"])
@pytest.mark.parametrize("family", VARIANCES)
def test_every_familys_variance_is_that_of_its_fans(family, shape):
    theta = sample(law_of(f"{family}_{shape}", scale=1.7), LAYOUT, DRAWS)
    for leaf, values in entries(theta, LAYOUT):
        if leaf.is_bias:
            assert not values.any()
            continue
        variance = 1.7**2 * VARIANCES[family](*leaf.shape)
        squares = values.ravel().astype(float) ** 2

        def check(squares, variance=variance):
            assert_mean_within(squares, variance)

        check(squares)
        assert_catches(check, lambda squares=squares: 1.1 * squares)


def test_module_init_is_the_modules_own_times_scale():
    """Flax's default kernel: variance 1/fan_in, after truncation at two deviations."""
    network = build(Mlp(widths=(4,), activation="tanh"), (3,), 1)
    law, root = ModuleInit(scale=2.0), sweep_key(0)
    draw = jax.jit(jax.vmap(lambda run: draw_params(law, network, root, run)))
    theta = np.asarray(draw(halves(np.arange(DRAWS))), float)
    for leaf, values in entries(theta, network.layout):
        if leaf.is_bias:
            assert not values.any()
        else:
            assert_mean_within(values.ravel() ** 2, 4.0 / leaf.shape[0])


def test_the_modules_own_law_has_no_density():
    with pytest.raises(TypeError):
        laws.log_density(ModuleInit(), PLANE, jnp.zeros(2))


@pytest.mark.parametrize(
    ("kind", "field"),
    [("box", "half_width"), ("ball", "radius"), ("sphere", "radius"), ("gaussian", "std")],
)
def test_scale_multiplies_the_same_draws(kind, field):
    once, twice = (sample(law_of(kind, **{field: scale}), LAYOUT, DRAWS) for scale in (1.0, 2.0))
    np.testing.assert_array_equal(2 * once, twice)


@pytest.mark.parametrize(
    ("law", "layout", "size"),
    [
        (law_of("ball", radius=1.3), PLANE, math.pi * 1.3**2),
        (law_of("ball", radius=1.3), SPACE, 4 / 3 * math.pi * 1.3**3),
        (law_of("sphere", radius=1.3), PLANE, 2 * math.pi * 1.3),
        (law_of("sphere", radius=1.3), SPACE, 4 * math.pi * 1.3**2),
        (law_of("box", half_width=0.4), SPACE, 0.8**3),
    ],
)
def test_a_flat_density_is_one_over_its_supports_size(law, layout, size):
    theta = sample(law, layout, DRAWS)[:500]
    np.testing.assert_allclose(log_density(law, layout, theta), -math.log(size), rtol=1e-5)
    assert np.all(log_density(law, layout, theta + 5) == -np.inf)
