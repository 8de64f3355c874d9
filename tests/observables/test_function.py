"""Functions: packed labels, ids, and what is said of a function."""

import bz2
import gzip

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.kernels.lempel_ziv import plain
from sweep_engine.observables import (
    Functions,
    distinct,
    function_ids,
    observables,
    pack,
    unpack,
)
from sweep_engine.tasks import LOGISTIC, SQUARED_LABELS, LabelRule, cross_entropy
from sweep_engine.tasks.boolean import truth_table

labels_of_one_size = st.integers(1, 40).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 1), min_size=size, max_size=size), min_size=1, max_size=6
    )
)


def describe(name, tables):
    tables = np.asarray(tables, np.uint8)
    functions = Functions(np.packbits(tables, axis=1), tables.shape[1])
    return observables((name,))[0].describe(functions)


@given(labels_of_one_size)
@settings(deadline=None, max_examples=40)
def test_packing_is_that_of_numpy(tables):
    tables = np.array(tables, np.uint8)
    for loss in (LOGISTIC, SQUARED_LABELS):
        rule = LabelRule(loss.num_labels, loss.labels)
        packed = np.stack([pack(rule, jnp.asarray(2.0 * row - 1)[:, None]) for row in tables])
        assert packed.dtype == np.uint8
        assert np.array_equal(packed, np.packbits(tables, axis=1))
        assert np.array_equal(unpack(packed, tables.shape[1]), tables)


def test_packing_of_classes_and_of_reals():
    outputs = jnp.eye(5)[jnp.array([4, 0, 2])]
    packed = pack(LabelRule(5, cross_entropy(5).labels), outputs)
    assert (packed.dtype, packed.tolist()) == (jnp.uint8, [4, 0, 2])
    assert unpack(np.asarray(packed)[None], 3, 5).tolist() == [[4, 0, 2]]
    assert pack(None, outputs[:, :1]).shape == (0,)


@given(labels_of_one_size)
@settings(deadline=None, max_examples=60)
def test_ids_are_equal_exactly_where_functions_are(tables):
    packed = np.packbits(np.array(tables, np.uint8), axis=1)
    ids = function_ids(packed)
    for one, id_one in zip(tables, ids, strict=True):
        for other, id_other in zip(tables, ids, strict=True):
            assert (one == other) == (id_one == id_other)
    assert all(len(i) == 32 and int(i, 16) >= 0 for i in ids)


def test_all_functions_of_four_bits_have_their_own_id():
    everything = (np.arange(2**16)[:, None] >> np.arange(15, -1, -1)) & 1
    packed = np.packbits(everything.astype(np.uint8), axis=1)
    assert len(set(function_ids(packed))) == 2**16


@given(labels_of_one_size)
@settings(deadline=None, max_examples=40)
def test_distinct_functions(tables):
    packed = np.packbits(np.array(tables, np.uint8), axis=1)
    unique, index = distinct(packed)
    assert np.array_equal(unique[index], packed)
    assert len(unique) == len(set(map(tuple, tables)))


def test_real_outputs_and_no_rows_have_no_functions():
    unique, index = distinct(np.zeros((3, 0), np.uint8))
    assert (unique.shape, index.tolist()) == ((0, 0), [0, 0, 0])
    unique, index = distinct(np.zeros((0, 4), np.uint8))
    assert (unique.shape, index.shape) == ((0, 4), (0,))


# --- T and K_LZ of functions of 7 bits (SCIENCE.md, section 2) ------------------------------------

KNOWN = {
    "0": (0, 7.0),
    "1": (128, 7.0),
    "1" + "0" * 127: (1, 17.5),
    "01" * 64: (64, 21.0),
    "0" * 64 + "1" * 64: (64, 21.0),
    "parity": (64, 91.0),
    "x1": (64, 21.0),
    "x7": (64, 21.0),
}


@pytest.mark.parametrize("target", KNOWN)
def test_ones_and_complexity_of_known_functions(target):
    ones, complexity = KNOWN[target]
    table = truth_table(target, 7)[None]
    assert describe("function", table)["function_ones"].tolist() == [ones]
    assert describe("complexity", table)["complexity_lz"].tolist() == [complexity]


def test_the_bits_of_a_function_in_hex():
    table = np.zeros((2, 12), np.uint8)
    table[0, [0, 11]] = 1
    assert describe("function", table)["function_bits"].tolist() == ["8010", "0000"]


# --- more than two labels, and other judges of simplicity -----------------------------------------


def of_classes(name, rows, num_labels=3):
    rows = np.asarray(rows, np.uint8)
    return observables((name,))[0].describe(Functions(rows, rows.shape[1], num_labels))


def test_complexity_of_classes():
    """0 | 1 | 2 | 012... has four words, read from either end; a constant string has one."""
    found = of_classes("complexity", [[2] * 81, [0, 1, 2] * 27])["complexity_lz"]
    assert found.tolist() == pytest.approx([np.log2(81), 4 * np.log2(81)])
    rows = np.random.default_rng(0).integers(0, 10, (3, 50))
    words = [[plain.count_words(row), plain.count_words(row[::-1])] for row in rows.tolist()]
    expected = np.mean(words, axis=1) * np.log2(50)
    assert of_classes("complexity", rows, 10)["complexity_lz"].tolist() == pytest.approx(expected)


@given(labels_of_one_size)
@settings(deadline=None, max_examples=40)
def test_a_string_is_as_simple_however_it_is_packed(tables):
    """Two labels stand in bits, more in bytes."""
    for name in ("complexity", "compression"):
        bits, bytewise = describe(name, tables), of_classes(name, tables)
        assert all(np.array_equal(bits[column], bytewise[column]) for column in bits)


def test_compressed_sizes():
    """Against whole files, of which gzip's header and checksum take 18 bytes."""
    rng = np.random.default_rng(0)
    rows = np.stack([np.zeros(128), np.arange(128) % 2, rng.integers(0, 2, 128)]).astype(np.uint8)
    found = describe("compression", rows)
    files = [gzip.compress(row.tobytes(), 9) for row in rows]
    assert found["deflate_bits"].tolist() == [8 * (len(file) - 18) for file in files]
    assert found["bz2_bits"].tolist() == [8 * len(bz2.compress(row.tobytes())) for row in rows]
    for simplest, simple, random in found.values():
        assert simplest < random
        assert simple < random
