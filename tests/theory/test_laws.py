"""Laws over parameters: marginals, moments and densities, against SciPy and formulas."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import integrate, stats

from sweep_engine import laws
from sweep_engine.keys import halves, sweep_key
from sweep_engine.models import build
from sweep_engine.sources.bucket import draw_params
from sweep_engine.spec.laws import LawSpec, ModuleInit
from sweep_engine.spec.models import Linear, Mlp
from tests.statistics import assert_catches, assert_ks, assert_mean_within

NUM_DRAWS = 20_000
SCALE = 1.7
ADAPTER = TypeAdapter(LawSpec)
LAYOUT = build(Mlp(widths=(4,), activation="tanh"), (3,), 1).layout
NUM_PARAMS = LAYOUT.num_params
FANS = {"Dense_0": (3, 4), "Dense_1": (4, 1)}

VARIANCES = {
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
}


def _law(kind, **fields):
    return ADAPTER.validate_python({"kind": kind, **fields})


@functools.cache
def _sample(law, layout=LAYOUT, draws=NUM_DRAWS):
    keys = jax.random.split(jax.random.key(0), draws)
    drawn = jax.jit(jax.vmap(lambda key: laws.sample(law, layout, key)))(keys)
    return np.asarray(drawn, float)


def _log_density(law, theta, layout):
    density = jax.jit(jax.vmap(lambda one: laws.log_density(law, layout, one)))
    return np.asarray(density(jnp.asarray(theta, jnp.float32)), float)


def _leaves(theta):
    for leaf in LAYOUT.leaves:
        yield leaf, theta[:, leaf.offset : leaf.offset + leaf.size]


def _check_isotropic(theta):
    """Directions have mean 0 and second moments I/P, and one coordinate its Beta law."""
    radius = np.linalg.norm(theta, axis=1, keepdims=True)
    unit = theta / radius
    assert_mean_within(unit, np.zeros(NUM_PARAMS))
    i, j = np.triu_indices(NUM_PARAMS)
    assert_mean_within(unit[:, i] * unit[:, j], (i == j) / NUM_PARAMS)
    assert_ks(unit[:, 0] ** 2, stats.beta(0.5, (NUM_PARAMS - 1) / 2).cdf)


def _check_independent(theta):
    standard = (theta - theta.mean(axis=0)) / theta.std(axis=0)
    i, j = np.triu_indices(theta.shape[1], 1)
    assert_mean_within(standard[:, i] * standard[:, j], np.zeros(len(i)))


@pytest.mark.parametrize(
    ("law", "marginal"),
    [
        (_law("box", half_width=2.5), stats.uniform(-2.5, 5)),
        (_law("gaussian", std=0.3), stats.norm(scale=0.3)),
    ],
)
def test_laws_of_independent_parameters(law, marginal):
    theta = _sample(law)
    assert_ks(theta.ravel(), marginal.cdf)
    _check_independent(theta)
    assert_catches(lambda x: assert_ks(x, marginal.cdf), lambda: 1.02 * theta.ravel())
    assert_catches(_check_independent, lambda: theta + 0.1 * theta[:, :1])


def test_ball():
    """(|theta| / R)^P is uniform."""
    theta = _sample(_law("ball", radius=3.0))
    share = np.linalg.norm(theta, axis=1) / 3.0

    def check(volume):
        assert_ks(volume, stats.uniform.cdf)

    check(share**NUM_PARAMS)
    _check_isotropic(theta)
    radial = np.random.default_rng(0).random(NUM_DRAWS)
    assert_catches(check, lambda: radial**NUM_PARAMS)


def test_sphere():
    theta = _sample(_law("sphere", radius=0.7))
    np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 0.7, rtol=1e-6)
    _check_isotropic(theta)
    assert_catches(_check_isotropic, lambda: _sample(_law("box")))


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("family", VARIANCES)
def test_initialisers(family, kind):
    theta = _sample(_law(f"{family}_{kind}", scale=SCALE))
    for leaf, values in _leaves(theta):
        if leaf.is_bias:
            assert not values.any()
            continue
        std = SCALE * math.sqrt(VARIANCES[family](*FANS[leaf.path[0]]))
        half = std * math.sqrt(3)
        marginal = stats.norm(scale=std) if kind == "normal" else stats.uniform(-half, 2 * half)
        assert_ks(values.ravel(), marginal.cdf)
        assert_mean_within(values.ravel() ** 2, std**2)
        wrong = 1.1 * values.ravel()
        assert_catches(lambda x, cdf=marginal.cdf: assert_ks(x, cdf), lambda wrong=wrong: wrong)
    _check_independent(theta[:, theta.any(axis=0)])


def test_fan_in():
    theta = _sample(_law("fan_in", weight_std=1.4, bias_std=0.2))
    for leaf, values in _leaves(theta):
        std = 0.2 if leaf.is_bias else 1.4 / math.sqrt(FANS[leaf.path[0]][0])
        assert_ks(values.ravel(), stats.norm(scale=std).cdf)
    _check_independent(theta)
    without = _sample(_law("fan_in", weight_std=1.4))
    assert all(not values.any() for leaf, values in _leaves(without) if leaf.is_bias)


def test_module_init_is_the_modules_own_times_scale():
    network = build(Mlp(widths=(4,), activation="tanh"), (3,), 1)
    runs = halves(np.arange(NUM_DRAWS))
    law, root = ModuleInit(scale=2.0), sweep_key(0)
    draw = jax.jit(jax.vmap(lambda run: draw_params(law, network, root, run)))
    theta = np.asarray(draw(runs), float)
    for leaf, values in _leaves(theta):
        if leaf.is_bias:
            assert not values.any()
        else:
            # flax's default kernel: variance 1/fan_in, after truncation at two deviations.
            assert_mean_within(values.ravel() ** 2, 4.0 / FANS[leaf.path[0]][0])


@pytest.mark.parametrize(
    ("law", "field"),
    [("box", "half_width"), ("ball", "radius"), ("sphere", "radius"), ("gaussian", "std")],
)
def test_scale_multiplies_the_same_draws(law, field):
    once, twice = (_sample(_law(law, **{field: scale}), draws=8) for scale in (1.0, 2.0))
    np.testing.assert_array_equal(2 * once, twice)


# Two and three parameters: a linear model without and with a bias.
PLANE = build(Linear(bias=False), (2,), 1).layout
SPACE = build(Linear(bias=True), (2,), 1).layout


@pytest.mark.parametrize(
    ("law", "layout", "size"),
    [
        (_law("ball", radius=1.3), PLANE, math.pi * 1.3**2),
        (_law("ball", radius=1.3), SPACE, 4 / 3 * math.pi * 1.3**3),
        (_law("sphere", radius=1.3), PLANE, 2 * math.pi * 1.3),
        (_law("sphere", radius=1.3), SPACE, 4 * math.pi * 1.3**2),
        (_law("box", half_width=0.4), SPACE, 0.8**3),
    ],
)
def test_flat_densities(law, layout, size):
    theta = _sample(law, layout, 500)
    np.testing.assert_allclose(_log_density(law, theta, layout), -math.log(size), rtol=1e-5)
    assert np.all(_log_density(law, theta + 5, layout) == -np.inf)


@pytest.mark.parametrize(
    ("law", "scales"),
    [
        (_law("gaussian", std=0.6), np.full(NUM_PARAMS, 0.6)),
        (
            _law("fan_in", weight_std=1.4, bias_std=0.2),
            np.repeat([1.4 / math.sqrt(3), 0.2, 0.7, 0.2], [12, 4, 4, 1]),
        ),
    ],
)
def test_normal_densities_are_scipys(law, scales):
    theta = np.random.default_rng(0).normal(size=(50, NUM_PARAMS))
    expected = stats.norm(scale=scales).logpdf(theta).sum(axis=1)
    np.testing.assert_allclose(_log_density(law, theta, LAYOUT), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("family", VARIANCES)
def test_densities_of_initialisers_are_scipys(family, kind):
    law = _law(f"{family}_{kind}", scale=SCALE)
    theta = _sample(law)[:50]
    expected = np.zeros(len(theta))
    for leaf, values in _leaves(theta):
        if not leaf.is_bias:
            std = SCALE * math.sqrt(VARIANCES[family](*FANS[leaf.path[0]]))
            half = std * math.sqrt(3)
            marginal = stats.norm(scale=std) if kind == "normal" else stats.uniform(-half, 2 * half)
            expected += marginal.logpdf(values).sum(axis=1)
    np.testing.assert_allclose(_log_density(law, theta, LAYOUT), expected, rtol=1e-5)
    with_biases = theta + np.array([0.01 * (i >= NUM_PARAMS - 1) for i in range(NUM_PARAMS)])
    assert np.all(_log_density(law, with_biases, LAYOUT) == -np.inf)
    if kind == "uniform":
        assert np.all(_log_density(law, 10 * theta, LAYOUT) == -np.inf)


@pytest.mark.parametrize(
    "law",
    [_law("box", half_width=0.8), _law("gaussian", std=0.5), _law("fan_in", weight_std=0.9)],
)
def test_densities_integrate_to_one(law):
    grid = np.linspace(-4, 4, 401)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = np.exp(_log_density(law, points, PLANE)).reshape(401, 401)
    mass = integrate.trapezoid(integrate.trapezoid(density, grid), grid)
    # Exact for the smooth laws; half a cell at each edge of the box.
    assert mass == pytest.approx(1, abs=0.03 if law.kind == "box" else 1e-4)


def test_the_modules_own_law_has_no_density():
    with pytest.raises(TypeError):
        laws.log_density(ModuleInit(), PLANE, jnp.zeros(2))
