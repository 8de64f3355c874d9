"""Blocks of lanes: compiled once, padded, and blind to their neighbours."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine import lanes as lanes_module
from sweep_engine.lanes import (
    SMALL_WINDOWS,
    STEADY,
    WIDE,
    Program,
    any_lane,
    choose_lanes,
    for_platform,
    over_lanes,
    pad,
    replace_if_any,
)

BLOCK = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_racing_threads_compile_once():
    traces = []

    def double(x):
        traces.append(threading.get_ident())
        return 2 * x

    program = Program(double)
    barrier = threading.Barrier(8)
    results = [None] * 8

    def call(i):
        barrier.wait()
        results[i] = np.asarray(program(BLOCK + i))

    before = Program.num_compilations
    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Program.num_compilations == before + 1
    assert len(traces) == 1
    for i, result in enumerate(results):
        assert np.array_equal(result, 2 * (BLOCK + i))


def test_values_do_not_compile_again():
    program = Program(lambda x, rate: x * rate)
    before = Program.num_compilations
    for rate in (0.1, 0.2, 0.3):
        program(BLOCK, np.float32(rate))
    assert Program.num_compilations == before + 1


@pytest.mark.parametrize("own", [None, WIDE, STEADY])
def test_options_are_those_of_the_platform(own):
    """Keep a program's own on a CPU, whose bits they are part of; no CPU knows those of a TPU."""
    told = {}
    for name in ("cpu", "gpu", "tpu"):
        with for_platform(name):
            told[name] = Program(lambda x: x, options=own).options
    assert told == {"cpu": own, "gpu": None, "tpu": SMALL_WINDOWS}


def test_another_shape_is_an_error():
    program = Program(jnp.sum)
    program(BLOCK)
    with pytest.raises(TypeError):
        program(BLOCK[:2])


def test_a_failed_compilation_leaves_the_program_usable():
    wrong = [True]

    def function(x):
        if wrong.pop() if wrong else False:
            raise RuntimeError("not yet")
        return x + 1

    program = Program(function)
    with pytest.raises(RuntimeError, match="not yet"):
        program(BLOCK)
    assert np.array_equal(program(BLOCK), BLOCK + 1)


@pytest.mark.parametrize(("name", "operation"), [("cpu", "cond["), ("gpu", "while[")])
def test_arrays_are_replaced_if_any_lane_wants_that(name, operation):
    """On a GPU by a loop of one turn, which leaves the array in its place."""

    def one(wanted, row):
        return replace_if_any(wanted, row, lambda row: jnp.where(wanted, 2 * row, row))

    some, none = np.array([False, True, False, True]), np.zeros(4, bool)
    with for_platform(name):
        assert operation in str(jax.make_jaxpr(over_lanes(one))(some, BLOCK))
        assert np.array_equal(over_lanes(one)(none, BLOCK), BLOCK)
        found = over_lanes(one)(some, BLOCK)
    assert np.array_equal(found, np.where(some[:, None], 2 * BLOCK, BLOCK))


def test_any_lane_is_the_same_in_all_lanes():
    found = over_lanes(lambda x: (any_lane(x > 3), jnp.where(any_lane(x > 3), x, -x)))
    some, values = found(jnp.arange(5.0))
    assert some.tolist() == [True] * 5
    assert values.tolist() == [0, 1, 2, 3, 4]
    none, values = found(jnp.arange(4.0))
    assert none.tolist() == [False] * 4
    assert values.tolist() == [0, -1, -2, -3]


def test_a_condition_over_lanes_skips_work():
    """`lax.cond` stays a branch: the result of `any_lane` has no axis of lanes."""

    def one(x):
        return jax.lax.cond(any_lane(x > 3), jnp.sin, lambda x: x, x)

    assert "cond" in str(jax.make_jaxpr(over_lanes(one))(jnp.arange(4.0)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_neighbour_changes_no_bit(bad):
    program = Program(over_lanes(lambda x: jnp.tanh(x @ x * 0.1) + any_lane(x[0] > 100)))
    clean = np.asarray(program(BLOCK))
    spoilt = BLOCK.copy()
    spoilt[1] = -abs(bad)
    result = np.asarray(program(spoilt))
    keep = [0, 2, 3]
    assert np.array_equal(result[keep], clean[keep])
    order = [2, 0, 3, 1]
    assert np.array_equal(np.asarray(program(BLOCK[order])), clean[order])


def test_a_program_that_donates_keeps_what_the_host_gave_or_looks_at():
    program = Program(lambda states, step: states + step, donates=True)
    given_states = BLOCK.copy()
    first = program(given_states, np.float32(1))
    seen = np.asarray(first)
    program(first, np.float32(1))
    second = program(program(given_states, np.float32(1)), np.float32(1))
    assert np.array_equal(given_states, BLOCK)
    assert np.array_equal(seen, BLOCK + 1)
    assert np.array_equal(second, BLOCK + 2)


def test_a_donated_block_has_no_second_copy():
    program = Program(lambda states, step: states + step, donates=True)
    states = program(BLOCK, np.float32(1))
    program(states, np.float32(1))
    assert states.is_deleted()


@given(st.integers(1, 9), st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_padding_repeats_the_last_row(rows, missing):
    given_rows = np.arange(2 * rows).reshape(rows, 2)
    padded = pad(given_rows, rows + missing)
    assert padded.shape == (rows + missing, 2)
    assert padded.dtype == given_rows.dtype
    assert np.array_equal(padded[:rows], given_rows)
    assert np.all(padded[rows:] == given_rows[-1])


@given(st.integers(1, 10**8), st.integers(1, 10**8))
@settings(deadline=None, max_examples=100)
def test_the_width_is_a_power_of_two_and_falls_with_size(num_params, values):
    lanes = choose_lanes("cpu", num_params, values)
    assert lanes in {4, 8, 16, 32, 64, 128, 256}
    assert choose_lanes("cpu", 2 * num_params, values) <= lanes
    assert choose_lanes("cpu", num_params, 2 * values) <= lanes
    assert choose_lanes("cpu", num_params, values) == lanes
    assert choose_lanes("cpu", num_params, values, trains=False) >= lanes
    assert choose_lanes("gpu", num_params, values) >= max(1024, lanes)


@pytest.mark.parametrize("num_params", [61, 2001, 10**6])
def test_a_block_fills_the_rows_of_a_tpu(num_params):
    assert choose_lanes("tpu", num_params, 1000) % 128 == 0


MIB = 2**20


@pytest.mark.parametrize(
    ("cache", "mib"), [(None, 4), (MIB, 4), (2 * MIB, 2), (3 * MIB, 3), (16 * MIB, 4)]
)
def test_a_block_on_a_cpu_stays_near_4_mib_or_in_a_large_second_level_cache(
    cache, mib, monkeypatch
):
    monkeypatch.setattr(lanes_module, "second_level_cache", lambda: cache)
    num_params, values = 2000, 3000
    lanes = choose_lanes("cpu", num_params, values)
    held = lanes * 4 * (4 * num_params + 3 * values)
    assert mib * MIB / 2**0.5 <= held <= mib * MIB * 2**0.5


def test_a_tpu_keeps_a_block_on_its_chip():
    """Hold up to 4,096 lanes where they fit, and a row of 128 where even they do not."""
    small, digits, yardstick = (41, 8 * 9), (2410, 32 * 42), (2001, 128 * 81)
    cnn, large = (5210, 32 * 860), (10**6, 10**6)
    found = [choose_lanes("tpu", *one) for one in (small, digits, yardstick, cnn, large)]
    assert found == [4096, 1024, 512, 128, 128]
    assert choose_lanes("tpu", *yardstick, trains=False) > 512


def test_a_step_on_a_gpu_moves_enough_for_its_launches():
    """Hold tiny networks by the ten thousand, and of dear ones no more than fill whole tiles."""
    tiny, yardstick, digits, large = (41, 8 * 9), (2001, 128 * 88), (2410, 32 * 42), (10**6, 10**6)
    found = [choose_lanes("gpu", *one) for one in (tiny, yardstick, digits, large)]
    assert found == [65_536, 4096, 8192, 1024]
    assert choose_lanes("gpu", *yardstick, trains=False) > 4096
