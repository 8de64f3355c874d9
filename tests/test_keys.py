"""Random streams: one for every (seed, run, purpose), and the same from everywhere."""

import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.random import threefry_2x32
from scipy import special, stats

from sweep_engine.keys import (
    MAX_PACKED,
    Purpose,
    data_rng,
    fold_in,
    halves,
    order_of_words,
    permutation,
    run_ids,
    run_key,
    sweep_key,
)
from sweep_engine.threefry import erfinv, normals, random_words, uniforms
from tests.statistics import assert_catches, assert_ks, assert_p_value

SEEDS = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33, 2**63 - 1]
SETTINGS = [0, 1, 2**30, 2**31 - 1]
INDICES = [0, 1, 2**31, 2**32 - 1]
IDS = np.array([(s << 32) + i for s, i in itertools.product(SETTINGS, INDICES)], np.int64)


def key_data(seed, ids, purpose=Purpose.PARAMS, shared=False):
    """The raw words of every run's key."""
    root = sweep_key(seed)
    keys = jax.vmap(lambda run: run_key(root, run, purpose, shared=shared))(halves(ids))
    return [tuple(words) for words in np.asarray(jax.random.key_data(keys)).tolist()]


def test_every_address_has_its_own_stream():
    words = [word for seed in SEEDS for purpose in Purpose for word in key_data(seed, IDS, purpose)]
    assert len(set(words)) == len(words) == len(SEEDS) * len(Purpose) * len(IDS)


def test_folding_in_64_bits_at_once_would_not_do():
    """Why ids are halved: `fold_in` takes the low 32 bits, and settings become one."""
    root = sweep_key(0)
    low = (IDS & 0xFFFFFFFF).astype(np.uint32)
    naive = jax.random.key_data(jax.vmap(lambda run: jax.random.fold_in(root, run))(low))
    assert len(set(map(tuple, np.asarray(naive).tolist()))) == len(INDICES)


def test_shared_streams_depend_on_the_index_only():
    shared = np.array(key_data(0, IDS, shared=True)).reshape(len(SETTINGS), len(INDICES), -1)
    assert np.all(shared == shared[0])
    words = set(map(tuple, shared[0].tolist()))
    assert len(words) == len(INDICES)
    assert not words & set(key_data(0, IDS))
    assert not words & set(key_data(1, IDS, shared=True))


def test_a_runs_key_does_not_depend_on_the_batch():
    whole = key_data(5, IDS)
    assert [key_data(5, IDS[i : i + 1])[0] for i in range(len(IDS))] == whole
    assert key_data(5, IDS[::-1]) == whole[::-1]


def test_streams_of_neighbours_are_independent_uniforms():
    ids = run_ids(3, 0, 4000)
    root = sweep_key(0)

    def draws(shared_key):
        key = (lambda run: root) if shared_key else (lambda run: run_key(root, run, Purpose.PARAMS))
        return np.asarray(jax.vmap(lambda run: jax.random.uniform(key(run)))(halves(ids)))

    def check(sample):
        assert_ks(sample, lambda x: np.clip(x, 0, 1))

    check(draws(shared_key=False))
    assert_catches(check, lambda: draws(shared_key=True))


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 10), st.integers(0, 9))
@settings(deadline=None, max_examples=100)
def test_run_ids_and_halves(setting, start, count):
    ids = run_ids(setting, start, start + count)
    assert ids.dtype == np.int64
    assert ids.tolist() == [setting * 2**32 + start + i for i in range(count)]
    words = halves(ids)
    assert words.dtype == np.uint32
    assert words.shape == (count, 2)
    assert words[:, 0].tolist() == [setting] * count
    assert words[:, 1].tolist() == list(range(start, start + count))


def test_purposes_are_never_renumbered():
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "PARAMS": 1,
        "MINIBATCH": 2,
        "SPLITTING": 10,
        "CHAIN_START": 20,
        "CHAIN_MOVES": 21,
        "TEACHER": 22,
        "TEACHER_LABELS": 23,
        "OPTIMIZER": 30,
        "LABEL_NOISE": 31,
    }


def test_data_streams():
    first = data_rng(0, "shuffle").random(4)
    assert np.array_equal(data_rng(0, "shuffle").random(4), first)
    others = [(1, "shuffle"), (2**32, "shuffle"), (2**63 - 1, "shuffle"), (0, "regression")]
    for seed, purpose in others:
        assert not np.any(data_rng(seed, purpose).random(4) == first)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_seed_makes_a_typed_key_as_jax_does(seed):
    key, by_jax = sweep_key(seed), jax.random.key(seed & 0xFFFFFFFF)
    by_jax = jax.random.fold_in(by_jax, np.uint32(seed >> 32))
    assert (key.dtype, key.shape) == (by_jax.dtype, by_jax.shape)
    assert np.array_equal(jax.random.key_data(key), jax.random.key_data(by_jax))


@pytest.mark.parametrize("count", [1, 2, 3, 64, 1437, MAX_PACKED, MAX_PACKED + 1])
def test_a_permutation_holds_every_number_once(count):
    order = np.asarray(permutation(jax.random.key(count), count))
    assert order.dtype == np.int32
    assert np.array_equal(np.sort(order), np.arange(count))


def _orders(draw, count, num_draws):
    keys = jax.random.split(jax.random.key(1), num_draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: draw(key, count)))(keys))


def _assert_uniform(orders):
    """All orders of a few numbers equally often: chi squared."""
    count = orders.shape[1]
    index = orders @ count ** np.arange(count)
    seen = np.unique(index, return_counts=True)[1]
    all_orders = math.factorial(count)
    seen = np.pad(seen, (0, all_orders - len(seen)))
    assert_p_value(stats.chisquare(seen).pvalue, f"orders of {count} numbers")


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_permutations_are_uniform(count):
    _assert_uniform(_orders(permutation, count, 24_000))


def test_shifts_are_not_uniform_orders():
    def shifted(key, count):
        return (np.arange(count) + jax.random.randint(key, (), 0, count)) % count

    assert_catches(_assert_uniform, lambda: _orders(shifted, 4, 24_000))


@pytest.mark.parametrize("count", [2, 5, 8, 13])
def test_of_two_whose_random_bits_tie_either_comes_first_equally_often(count):
    """Exhaustively, over the masks; without a mask the lower number would always be first."""
    masks = np.arange(2 ** (count - 1).bit_length(), dtype=np.uint32)
    tied = np.full(count, 7 << 20, np.uint32)
    orders = np.asarray(jax.vmap(lambda mask: order_of_words(tied, mask))(masks))
    position = np.argsort(orders, axis=1)
    first = np.sum(position[:, :, None] < position[:, None, :], axis=0)
    off_diagonal = ~np.eye(count, dtype=bool)
    assert np.all(first[off_diagonal] == len(masks) / 2)
    assert np.array_equal(orders[0], np.arange(count))


def test_random_bits_decide_before_the_number():
    words = np.array([9, 3, 5, 1], np.uint32) << 10
    assert order_of_words(words, np.uint32(2)).tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("count", [1, 2, 7, 2001])
def test_random_words_are_threefry(count):
    """Against JAX's own, which the published vectors hold to the paper."""
    key, blocks = jax.random.key(count), -(-count // 2)
    counters = np.concatenate([np.arange(blocks), np.zeros(blocks)]).astype(np.uint32)
    truth = threefry_2x32(jax.random.key_data(key), counters)
    assert np.array_equal(random_words(key, count), truth[:count])


@pytest.mark.parametrize("data", [0, 1, 2**31, 2**32 - 1])
def test_folding_in_is_jaxs(data):
    key = jax.random.key(3)
    truth = jax.random.key_data(jax.random.fold_in(key, np.uint32(data)))
    assert np.array_equal(jax.random.key_data(fold_in(key, np.uint32(data))), truth)


def test_erfinv_is_exact_to_rounding():
    x = np.linspace(-1, 1, 400_003)[1:-1].astype(np.float32)
    near_one = (1 - np.float32(2) ** -np.arange(1, 24)).astype(np.float32)
    x = np.concatenate([x, near_one, -near_one])
    truth = special.erfinv(x.astype(float))
    assert np.all(np.abs(np.asarray(erfinv(x)) - truth) <= 5e-7 * np.abs(truth) + 1e-9)


def test_uniforms_and_normals_have_their_laws():
    keys = jax.random.split(jax.random.key(5), 200)
    uniform = np.asarray(jax.vmap(lambda key: uniforms(key, 201, 0.5))(keys)).ravel()
    normal = np.asarray(jax.vmap(lambda key: normals(key, 201))(keys)).ravel()
    assert np.all(np.abs(uniform) < 0.5)
    assert np.all(np.isfinite(normal))
    assert_ks(uniform, stats.uniform(-0.5, 1.0).cdf)
    assert_ks(normal, stats.norm.cdf)
    assert_catches(lambda draws: assert_ks(draws, stats.norm.cdf), lambda: normal * 1.2)
