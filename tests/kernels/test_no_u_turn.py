"""A transition of the no-U-turn sampler by the kernel is blackjax's, number for number."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine.kernels.chain_moves import cpu, mapped, plain
from sweep_engine.kernels.chain_moves.case import Data, Density, Phase, Place, Transition
from sweep_engine.kernels.fused_training.case import Case
from tests.kernels.test_leapfrog import call_here, poisoned

CASE, DOUBLINGS, CHAINS = Case((3, 5, 1), "tanh", num_examples=16), 5, 24
TOLERANCE = 1e-4
"""Allows for float32: up to 31 steps of a smooth network, the longest of which are half
unstable."""


@functools.cache
def example():
    """Give step sizes from far too short to far too long, so that trajectories end in every way."""
    rng = np.random.default_rng(0)
    shape = CHAINS, CASE.num_params
    x, y = rng.normal(size=(1, 16, 3)), rng.integers(0, 2, (1, 16))
    data = Data(*(jnp.asarray(array, jnp.float32) for array in (x, y)))
    density = Density(jnp.full((1, shape[1]), 0.8), jnp.full(CHAINS, 16.0), jnp.ones(CHAINS))
    z, momentum = jnp.asarray(rng.normal(size=(2, *shape)), jnp.float32)

    def log_density(z):
        of_one = Density(density.scale[0], density.by_loss[0], density.by_square[0])
        return plain.log_density_of(CASE, of_one, Data(data.x[0], data.y[0]), z)

    values, slope = jax.jit(jax.vmap(jax.value_and_grad(log_density)))(z)
    key = jax.random.key_data(jax.random.split(jax.random.key(1), CHAINS))
    place = Place(Phase(z, momentum, slope), values, key)
    return place, density, data, jnp.asarray(np.geomspace(0.02, 2.0, CHAINS), jnp.float32)


@functools.cache
def program(implementation):
    by = mapped.IMPLEMENTATIONS[implementation].transition
    return jax.jit(functools.partial(by, CASE, DOUBLINGS))


@functools.cache
def by_blackjax():
    return jax.tree.map(np.asarray, program("plain")(*example()))


def assert_alike(found):
    """Allow rounding to decide otherwise in one chain of these, no more."""
    truth = by_blackjax()
    same = np.all(np.asarray(found.counts) == truth.counts, axis=1)
    for one, other in zip(found[:4], truth[:4], strict=True):
        one, other = (np.asarray(a, float).reshape(CHAINS, -1) for a in (one, other))
        same &= np.abs(one - other).max(axis=1) <= TOLERANCE * np.abs(other).max()
    assert same.sum() >= CHAINS - 1


def test_transitions_are_those_of_blackjax():
    diverged, turned, doublings, _ = by_blackjax().counts.T
    assert 0 < diverged.sum() < CHAINS
    assert 0 < turned.sum() < CHAINS
    assert set(doublings) == set(range(1, DOUBLINGS + 1))
    assert_alike(program("cpu")(*example()))


def test_wrong_transitions_are_caught():
    place, density, data, size = example()
    wrong = [
        (place._replace(key=place.key + 1), density, data, size),
        (place._replace(log_density=place.log_density + 0.5), density, data, size),
        (place, density._replace(by_square=1.01 * density.by_square), data, size),
        (place, density, data, 1.01 * size),
    ]
    for given in wrong:
        found = program("cpu")(*given)
        with pytest.raises(AssertionError):
            assert_alike(found)


def test_a_chain_does_not_depend_on_the_others_and_nan_ends_it_alone():
    place, density, data, size = example()
    bad = place._replace(phase=place.phase._replace(z=place.phase.z.at[3, 0].set(jnp.nan)))
    found, truth = program("cpu")(bad, density, data, size), program("cpu")(*example())
    assert np.isnan(found.z[3, 0])
    np.testing.assert_array_equal(found.counts[3], [1, 0, 1, 1])
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_array_equal(np.delete(one, 3, axis=0), np.delete(other, 3, axis=0))
    last = slice(CHAINS - 1, CHAINS)
    some, own, step = jax.tree.map(
        lambda a: a[last], (place, density._replace(scale=jnp.zeros(CHAINS)), size)
    )
    alone = program("cpu")(some, own._replace(scale=density.scale), data, step)
    for one, other in zip(alone, truth, strict=True):
        np.testing.assert_array_equal(one, other[last])


def test_every_number_is_written():
    arrays = [np.asarray(a) for a in cpu.transition_operands(*example())]
    rows = CHAINS, CASE.num_params
    found = poisoned(rows, rows, (CHAINS,), (CHAINS,), (CHAINS, 4))
    call_here(CASE, "transitions_here", CHAINS, arrays, (4, 7, 8), found, DOUBLINGS)
    *floats, counts = found
    assert_alike(Transition(*floats, counts.view(np.int32)))


def test_a_mapped_transition_is_that_of_the_block():
    place, density, data, size = example()
    one = mapped.transition(CASE, "cpu", DOUBLINGS)
    shared = Density(density.scale[0], jnp.float32(16), jnp.float32(1))
    of_lanes = jax.vmap(lambda p, h: one(p, shared, Data(data.x[0], data.y[0]), h))
    found, truth = of_lanes(place, size), program("cpu")(*example())
    for mine, other in zip(found, truth, strict=True):
        np.testing.assert_array_equal(mine, other)
