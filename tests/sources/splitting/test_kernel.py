"""Test that moves by the kernel are XLA's, on the sweep's own data, and what is wrong is caught."""

import functools

import jax
import numpy as np
import pytest

from sweep_engine.kernels import splitting_move
from sweep_engine.sources import Disagrees, kind_of
from tests.kernels.compilers import needs_compiler
from tests.sources.splitting.cases import open_sweep, repetitions

pytestmark = needs_compiler

TASK = {"kind": "boolean", "bits": 4, "target": "x1 ^ x2", "train": 9}
SOURCE = {"particles": 250, "moves": 2, "repetitions": 2}
MODEL = {"kind": "mlp", "widths": [6], "activation": "tanh"}
CASES = {
    "errors one by one": {
        "model": MODEL,
        "law": {"kind": "box", "half_width": 2.0},
        "climb": "error",
        "accept": {"train_error": 0.2},
    },
    "functions, biases fixed, a rule that is not climbed": {
        "model": MODEL | {"widths": [5, 3], "activation": "relu"},
        "law": {"kind": "lecun_normal", "scale": 2.0},
        "functions": ["0011" * 4],
        "accept": {"train_loss": 0.5},
    },
    "normalised margins": {
        "model": MODEL,
        "law": {"kind": "gaussian"},
        "accept": {"margin": {"above": -0.02, "below": 0.1}, "normalise": "path"},
    },
}


@functools.cache
def opened(name):
    """Open three blocks of particles, the last padded, for both implementations."""
    options = dict(CASES[name])
    (setting,), xla = open_sweep(TASK, options.pop("model"), lanes=100, **SOURCE, **options)
    return setting, xla, xla.by("cpu")


def self_test(kernel, xla):
    return kind_of(xla).trial.self_test(kernel, xla)


@pytest.mark.parametrize("name", CASES)
def test_moves_are_those_of_xla(name):
    _, xla, kernel = opened(name)
    assert self_test(kernel, xla).startswith("agreed with XLA in all but ")
    arguments = xla.first_level()
    (particles, moved), (others, other) = (one.move(*arguments) for one in (kernel, xla))
    np.testing.assert_array_equal(particles.ancestor, others.ancestor)
    assert abs(int(moved.accepted) - int(other.accepted)) <= 2
    assert 50 < int(moved.accepted) < 250
    np.testing.assert_allclose(moved.width, other.width, rtol=0.01)


def test_a_repetition_depends_on_its_address_alone():
    setting, _, kernel = opened("errors one by one")
    both, second = repetitions(setting, kernel, 0, 2), repetitions(setting, kernel, 1, 2)
    for one, other in zip(second.solutions.theta, both.solutions.theta[250:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(both.solutions.theta[:250], both.solutions.theta[250:])
    assert both.solutions.fit.all()


def other_scales(case, rule, normals, level, draws, scales, *rest):
    larger = scales.at[-2].multiply(1.01)
    return splitting_move.plain.move(case, rule, normals, level, draws, larger, *rest)


def other_keys(case, rule, normals, level, draws, *rest):
    draws = draws._replace(keys=jax.vmap(lambda key: jax.random.fold_in(key, 1))(draws.keys))
    return splitting_move.plain.move(case, rule, normals, level, draws, *rest)


def last_angle_too_many(case, rule, normals, level, draws, *rest):
    draws = draws._replace(shares=draws.shares.at[:, -1].multiply(0.5))
    return splitting_move.plain.move(case, rule, normals, level, draws, *rest)


def unwritten(case, rule, normals, level, *rest):
    moved = splitting_move.plain.move(case, rule, normals, level, *rest)
    return moved._replace(level=moved.level.at[100:110].set(0.0))


@pytest.mark.parametrize("wrong", [other_scales, other_keys, last_angle_too_many, unwritten])
def test_the_self_test_catches_a_wrong_kernel(wrong, monkeypatch):
    _, xla, _ = opened("errors one by one")
    monkeypatch.setitem(splitting_move.MOVE, "cpu", wrong)
    kernel = xla.by("cpu")
    with pytest.raises(Disagrees, match="differs from XLA in the moves of"):
        self_test(kernel, xla)
