"""Test standard normals by the kernel: jax.random's words exactly, and what is made of them."""

import ctypes
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from sweep_engine.kernels import native
from sweep_engine.kernels.normals import NORMALS, cpu
from tests.kernels.compilers import needs_compiler
from tests.statistics import assert_catches, assert_ks

pytestmark = needs_compiler

COUNTS = [1, 15, 16, 17, 512, 513, 2001]
"""Covers sizes about those of vectors, 4 to 16 lanes, and of pieces of 512 words."""

ULPS = 5
"""Limits the distance from float64, wherever a number lies; 4.2 at most were seen in four
million."""

LOWEST = float(np.nextafter(np.float32(-1), np.float32(0)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def drawn(implementation: str, count: int, keys: jax.Array) -> jax.Array:
    return jax.vmap(lambda key: NORMALS[implementation](key, count))(keys)


def keys_of(count: int) -> jax.Array:
    return jax.random.split(jax.random.key(5), count)


def by_the_library(function: str, *given: np.ndarray, count: int, dtype: type) -> np.ndarray:
    """Call one of the functions that stand beside the kernel for the tests."""
    found = np.full(count + 1, 0x7B, dtype)
    pointers = [ctypes.c_void_p(np.ascontiguousarray(array).ctypes.data) for array in given]
    call = getattr(native.load(cpu.build()), function)
    call(*pointers, ctypes.c_int32(count), ctypes.c_void_p(found.ctypes.data))
    assert found[count] == 0x7B
    return found[:count]


def in_float64(words: np.ndarray) -> np.ndarray:
    """Compute what jax.random.normal makes of words, but for rounding after the uniform number."""
    uniform = np.float32((words >> 9).astype(np.float64) * 2.0**-22 + LOWEST)
    return np.sqrt(2) * special.erfinv(uniform.astype(np.float64))


def check_numbers(found: np.ndarray, words: np.ndarray) -> None:
    truth = in_float64(words)
    assert np.max(np.abs(found - truth) / np.spacing(np.abs(truth.astype(np.float32)))) <= ULPS


@pytest.mark.parametrize("count", [1, 17, 512])
def test_words_are_jax_randoms_bit_for_bit(count):
    for key in keys_of(3):
        words = by_the_library(
            "draw_words", np.asarray(jax.random.key_data(key)), count=count, dtype=np.uint32
        )
        np.testing.assert_array_equal(words, jax.random.bits(key, (count,)))


def test_numbers_of_words_are_those_of_float64_in_both_tails():
    """Take the first and last words there are, too: 5.4 deviations from 0."""
    ends = np.arange(128, dtype=np.uint32) << 9
    words = np.concatenate([ends, ~ends, np.arange(256, dtype=np.uint32) << 24])
    found = by_the_library("numbers_of", words, count=512, dtype=np.float32)
    check_numbers(found, words)
    assert found[0] < -5.4
    assert found[128] > 5


@pytest.mark.parametrize("count", COUNTS)
def test_every_key_has_its_own_numbers_whatever_the_others_and_the_size(count):
    keys = keys_of(5)
    found = np.asarray(drawn("cpu", count, keys))
    check_numbers(found, np.asarray(jax.vmap(lambda key: jax.random.bits(key, (count,)))(keys)))
    np.testing.assert_array_equal(found[2:4], drawn("cpu", count, keys[2:4]))
    longer = np.asarray(drawn("cpu", count + 3, keys))
    np.testing.assert_array_equal(found, longer[:, :count])


def test_they_are_the_plain_twins_to_rounding():
    """XLA's inverse error function is up to 91 units off between 3 and 4 deviations."""
    found, truth = (np.asarray(drawn(name, 2001, keys_of(50))) for name in ("cpu", "plain"))
    gap = np.abs(found - truth) / np.spacing(np.abs(truth))
    assert gap[np.abs(truth) < 2].max() <= 2 * ULPS
    assert gap.max() <= 150


def test_one_key_and_several_axes_of_keys():
    keys = keys_of(6).reshape(2, 3)
    grid = jax.vmap(jax.vmap(lambda key: cpu.normals(key, 9)))(keys)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(grid[i, j], cpu.normals(keys[i, j], 9))


def test_they_have_their_law_and_others_are_caught():
    found = np.asarray(drawn("cpu", 2001, keys_of(20))).ravel()
    assert_ks(found, stats.norm.cdf)
    assert_catches(lambda sample: assert_ks(sample, stats.norm.cdf), lambda: 1.1 * found)


def test_wrong_numbers_are_caught():
    words = np.arange(512, dtype=np.uint32) << 23
    found = by_the_library("numbers_of", words, count=512, dtype=np.float32)
    with pytest.raises(AssertionError):
        check_numbers(found * np.float32(1 + 1e-6), words)
    with pytest.raises(AssertionError):
        check_numbers(found, words[::-1].copy())


def test_keys_of_another_generator_and_other_words_are_refused():
    with pytest.raises(ValueError, match="threefry2x32"):
        cpu.normals(jax.random.key(0, impl="rbg"), 3)
    call = jax.ffi.ffi_call(
        native.register(cpu.build(), "normals"), jax.ShapeDtypeStruct((4,), jnp.float32)
    )
    with pytest.raises(jax.errors.JaxRuntimeError, match="another type than the kernel's"):
        call(jnp.zeros(2, jnp.int32))
