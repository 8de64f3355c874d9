"""Singular values by rotations against LAPACK in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep_engine import singular_values as module
from sweep_engine.singular_values import singular_values

EPS = np.finfo(np.float32).eps
RNG = np.random.default_rng(0)


def graded(rows, columns):
    """Singular values from 1 down to 1e-6, as few matrices that are drawn have them."""
    u, _, v = np.linalg.svd(RNG.normal(size=(rows, columns)), full_matrices=False)
    return (u * np.logspace(0, -6, len(v))) @ v


def of_rank_two(rows, columns):
    return RNG.normal(size=(rows, 2)) @ RNG.normal(size=(2, columns))


def draws(make, shape, count=4):
    return np.stack([make(*shape) for _ in range(count)]).astype(np.float32)


def gaussian(rows, columns):
    return RNG.normal(size=(rows, columns))


SHAPES = [(1, 1), (2, 5), (9, 30), (12, 9)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.mark.parametrize("half", [1, 2, 3, 5])
def test_a_sweep_takes_every_pair_once(half):
    seats, met = jnp.arange(2 * half).reshape(2, half, 1), set()
    for _ in range(2 * half - 1):
        met |= {frozenset(pair) for pair in np.asarray(seats)[:, :, 0].T.tolist()}
        seats = module._next_pairs(seats)
    assert met == {frozenset(pair) for pair in itertools.combinations(range(2 * half), 2)}


@every_shape
def test_they_are_those_of_lapack(shape):
    """To some roundings of the largest, whatever their spread."""
    matrices = np.concatenate([draws(make, shape) for make in (gaussian, graded, of_rank_two)])
    found = jax.jit(jax.vmap(singular_values))(matrices)
    truth = np.linalg.svd(matrices.astype(float), compute_uv=False)
    assert np.all(found.converged)
    assert np.all(np.abs(found.values - truth) <= 16 * EPS * truth[:, :1])


def test_the_gram_matrix_loses_half_of_the_digits():
    """What the rotations are for: the same bound would catch eigenvalues of A'A."""
    (matrix,) = draws(graded, (12, 9), 1)
    truth = np.linalg.svd(matrix.astype(float), compute_uv=False)
    squares = np.linalg.eigvalsh(matrix.T @ matrix)[::-1]
    error = np.abs(np.sqrt(np.maximum(squares, 0)) - truth)
    assert np.max(error) > 16 * EPS * truth[0]


def test_scale_and_transposition():
    """Powers of two change no bit, near overflow and underflow of squares either."""
    (matrix,) = draws(gaussian, (12, 9), 1)
    found = jax.jit(singular_values)(matrix).values
    for exponent in (-100, 100):
        scaled = jax.jit(singular_values)(matrix * np.float32(2.0**exponent)).values
        assert np.array_equal(scaled * 2.0**-exponent, found)
    turned = jax.jit(singular_values)(matrix.T).values
    np.testing.assert_array_equal(turned, found)


def test_what_has_none_and_what_is_no_number():
    zero = singular_values(np.zeros((3, 3), np.float32))
    assert zero.values.tolist() == [0, 0, 0]
    assert zero.converged
    for bad in (np.nan, np.inf):
        matrix = np.eye(3, dtype=np.float32)
        matrix[1, 2] = bad
        found = singular_values(matrix)
        assert not found.converged
        assert np.all(np.isnan(found.values))


def test_rotations_that_do_not_end_are_said(monkeypatch):
    monkeypatch.setattr(module, "MAX_SWEEPS", 1)
    assert not singular_values(draws(gaussian, (8, 8), 1)[0]).converged
