"""Moves of splitting: the kernel against plain JAX, and both against what is known."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels.splitting_move import MOVE, cpu
from sweep_engine.kernels.splitting_move.case import PROPOSALS, Case, Draws, Moved, Rule
from tests.kernels.compilers import needs_compiler

pytestmark = needs_compiler

CASES = {
    "one input more than a vector": (
        Case((3, 9, 1), ("uniform", "normal", "uniform", "ones"), "tanh", num_inputs=17),
        Rule(allowed=3),
    ),
    "tiles, no biases": (
        Case((2, 5, 1), ("normal", "uniform"), "gelu", bias=False, num_inputs=300),
        Rule(allowed=20, climbs_errors=True),
    ),
    "three labels in a bin": (
        Case((4, 12, 6, 3), ("normal", "ones", *("normal",) * 4), num_inputs=5, norm="path"),
        Rule(allowed=3, margin=(-0.05, 0.02)),
    ),
    "one layer": (
        Case((5, 1), ("normal", "ones"), "linear", num_inputs=1),
        Rule(allowed=None, margin=(0.0, np.inf)),
    ),
}  # fmt: skip
NUM_PARTICLES = 64


def given(case: Case, *, threshold: float = -0.3, seed: int = 0) -> tuple:
    """Make particles with windows of all lengths, and what their moves draw."""
    rng, size = np.random.default_rng(seed), case.num_normals
    first = rng.integers(0, size, NUM_PARTICLES)
    count = np.linspace(1, size, NUM_PARTICLES).astype(int)
    draws = Draws(
        jax.random.split(jax.random.key(seed), NUM_PARTICLES),
        jnp.asarray(rng.uniform(size=(NUM_PARTICLES, 1 + PROPOSALS)), jnp.float32),
        jnp.asarray(np.stack([first, count], axis=1), jnp.int32),
    )
    scales = [0.0 if image == "ones" else 0.4 + 0.2 * i for i, image in enumerate(case.images)]
    x = rng.normal(size=(case.num_inputs, case.widths[0]))
    targets = rng.integers(0, max(2, case.widths[-1]), case.num_inputs)
    return (
        jnp.asarray(rng.normal(size=(NUM_PARTICLES, size)), jnp.float32),
        jnp.full(NUM_PARTICLES, 7.0),
        draws,
        jnp.asarray(scales, jnp.float32),
        jnp.asarray(x, jnp.float32),
        jnp.asarray(targets, jnp.int32),
        jnp.float32(threshold),
        jnp.float32(2 * np.pi),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def move(implementation: str, case: Case, rule: Rule, *arguments) -> Moved:
    return MOVE[implementation](case, rule, *arguments)


def check(found: Moved, truth: Moved) -> None:
    """Agree in all but one particle, whose level may lie within rounding of the threshold."""
    assert found.found.shape == truth.found.shape == (NUM_PARTICLES,)
    same = np.asarray(found.found == truth.found)
    assert same.sum() >= NUM_PARTICLES - 1
    assert np.isfinite(truth.normals).all()
    assert not np.isnan(truth.level).any()
    np.testing.assert_allclose(found.normals[same], truth.normals[same], atol=5e-5, strict=True)
    np.testing.assert_allclose(
        found.level[same], truth.level[same], rtol=1e-4, atol=2e-5, strict=True
    )


def between(levels: jax.Array) -> float:
    """Choose a threshold that about half of them are above."""
    return float(np.median(levels))


@pytest.mark.parametrize("name", CASES)
def test_a_move_is_that_of_the_plain_twin(name):
    case, rule = CASES[name]
    everywhere = given(case, threshold=-np.inf)
    anywhere = move("plain", case, rule, *everywhere)
    reachable = np.asarray(anywhere.level) > -np.inf
    assert reachable.mean() > 0.9
    check(move("cpu", case, rule, *everywhere), anywhere)
    halfway = given(case, threshold=between(anywhere.level))
    found, truth = (move(one, case, rule, *halfway) for one in ("cpu", "plain"))
    assert 0.3 < np.asarray(truth.found).mean() <= 1
    check(found, truth)


def test_where_nothing_is_above_the_threshold_particles_stay():
    case, rule = CASES["three labels in a bin"]
    arguments = given(case, threshold=np.inf)
    found = move("cpu", case, rule, *arguments)
    np.testing.assert_array_equal(found.normals, arguments[0])
    np.testing.assert_array_equal(found.level, arguments[1])
    assert not found.found.any()


def test_coordinates_outside_the_window_stay_as_they_are():
    case, rule = CASES["one input more than a vector"]
    arguments = given(case, threshold=-np.inf)
    changed = np.asarray(move("cpu", case, rule, *arguments).normals != arguments[0])
    place = np.arange(case.num_normals)
    first, count = np.asarray(arguments[2].windows).T[:, :, None]
    np.testing.assert_array_equal(changed, (place - first) % case.num_normals < count)


def test_angles_all_round_and_levels_are_those_of_float64():
    """Take one layer and input: the level is w . x with the label's sign."""
    case, _ = CASES["one layer"]
    arguments = given(case, threshold=-np.inf)
    whole = jnp.tile(jnp.array([[3, 5]], jnp.int32), (NUM_PARTICLES, 1))
    draws = arguments[2]._replace(windows=whole)
    found = move("cpu", case, Rule(), *arguments[:2], draws, *arguments[3:])
    nu = jax.vmap(lambda key: jax.random.normal(key, (5,)))(draws.keys)
    begins, share = np.asarray(draws.shares, np.float64).T[:2, :, None]
    angle = 2 * np.pi * (share - begins)
    assert np.ptp(angle) > 3 * np.pi
    z, turned = np.asarray(arguments[0]) * np.cos(angle), np.asarray(nu) * np.sin(angle)
    truth = z + turned
    assert np.isfinite(truth).all()
    np.testing.assert_allclose(np.asarray(found.normals, np.float64), truth, atol=5e-6, strict=True)
    assert np.abs(found.normals - (z - turned)).max() > 0.1, "the other way round is seen"
    sign = 2.0 * np.asarray(arguments[5]) - 1
    level = 0.4 * truth @ np.asarray(arguments[4], np.float64)[0] * sign
    np.testing.assert_allclose(
        np.asarray(found.level, np.float64), level, rtol=2e-5, atol=1e-5, strict=True
    )


def test_a_particle_does_not_depend_on_the_others():
    case, rule = CASES["three labels in a bin"]
    arguments = given(case)
    together = move("cpu", case, rule, *arguments)
    some = jax.tree.map(lambda leaf: leaf[5:8], arguments[:3])
    alone = move("cpu", case, rule, *some, *arguments[3:])
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other[5:8])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.parametrize(
    "rule", [Rule(), Rule(climbs_errors=True), Rule(None, margin=(-np.inf, 1.0))]
)
def test_outputs_of_zero_and_nan_have_the_plain_twins_level(value, rule):
    """Make the bias the output; the label of 0 and of NaN is 0."""
    case, _ = CASES["one layer"]
    arguments = list(given(case, threshold=-np.inf))
    arguments[3] = jnp.array([0.0, value], jnp.float32)
    for target in (0, 1):
        arguments[5] = jnp.array([target], jnp.int32)
        found, truth = (move(name, case, rule, *arguments) for name in ("cpu", "plain"))
        np.testing.assert_array_equal(found.found, truth.found)
        assert not np.isnan(truth.level).any()
        np.testing.assert_allclose(found.level, truth.level, rtol=1e-6, strict=True)


def wrong_scale(case, rule, normals, level, draws, scales, *rest):
    return MOVE["plain"](case, rule, normals, level, draws, scales.at[-2].multiply(1.01), *rest)


def wrong_window(case, rule, normals, level, draws, *rest):
    windows = draws.windows.at[:, 1].add(1)
    return MOVE["plain"](case, rule, normals, level, draws._replace(windows=windows), *rest)


def wrong_keys(case, rule, normals, level, draws, *rest):
    return MOVE["plain"](case, rule, normals, level, draws._replace(keys=draws.keys[::-1]), *rest)


def wrong_rule(case, rule, *rest):
    return MOVE["plain"](case, dataclasses.replace(rule, allowed=rule.allowed + 1), *rest)


def wrong_norm(case, *rest):
    return MOVE["plain"](dataclasses.replace(case, norm="frobenius"), *rest)


@pytest.mark.parametrize("wrong", [wrong_scale, wrong_window, wrong_keys, wrong_rule, wrong_norm])
def test_a_wrong_move_is_caught(wrong):
    case, rule = CASES["three labels in a bin"]
    arguments = given(case, threshold=-np.inf)
    with pytest.raises(AssertionError):
        check(jax.jit(wrong, static_argnums=(0, 1))(case, rule, *arguments),
              move("plain", case, rule, *arguments))  # fmt: skip


def test_what_a_kernel_cannot_be_built_for_is_refused():
    with pytest.raises(ValueError, match="images of 4 arrays, not all of them ones"):
        Case((3, 4, 2), ("ones",) * 4)
    with pytest.raises(ValueError, match="of at least 1, got"):
        Case((3,), ())
    case, rule = CASES["one layer"]
    arguments = given(case)
    keys = jax.random.split(jax.random.key(0, impl="rbg"), NUM_PARTICLES)
    with pytest.raises(ValueError, match="threefry2x32"):
        cpu.move(case, rule, *arguments[:2], arguments[2]._replace(keys=keys), *arguments[3:])
