"""The Walsh-Hadamard spectrum against its definition and known functions (SCIENCE.md, 5.7)."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.observables import Functions, observables, spectrum
from sweep_engine.spec.models import Mlp
from sweep_engine.tasks import LOGISTIC, all_inputs, make_task
from sweep_engine.tasks.boolean import truth_table

truth_tables = st.integers(1, 5).flatmap(
    lambda bits: st.lists(st.integers(0, 1), min_size=2**bits, max_size=2**bits)
)


def describe(*tables):
    tables = np.array(tables, np.uint8)
    functions = Functions(np.packbits(tables, axis=1), tables.shape[1])
    return observables(("spectrum",))[0].describe(functions)


def by_definition(table):
    """Weights by degree, and the entropy: one coefficient after the other."""
    num_bits = len(table).bit_length() - 1
    values, bits = 1 - 2 * np.array(table, float), all_inputs(num_bits).astype(int)
    by_degree, entropy = np.zeros(num_bits + 1), 0.0
    for chosen in itertools.product((0, 1), repeat=num_bits):
        parity = 1 - 2 * (bits @ np.array(chosen) % 2)
        weight = np.mean(values * parity) ** 2
        by_degree[sum(chosen)] += weight
        entropy -= weight * np.log2(weight) if weight else 0.0
    return by_degree, entropy


@given(truth_tables)
@settings(deadline=None, max_examples=60)
def test_the_definition(table):
    by_degree, entropy = by_definition(table)
    found = describe(table)
    np.testing.assert_allclose(found["walsh_weights"][0], by_degree, atol=1e-7)
    np.testing.assert_allclose(found["spectral_entropy"][0], entropy, atol=1e-12)


@given(truth_tables)
@settings(deadline=None, max_examples=60)
def test_parseval_and_the_sensitivity_as_a_sum_over_degrees(table):
    """Flips are counted; that they are the sum of d times the weight of degree d is a theorem."""
    found = describe(table)
    weights = found["walsh_weights"][0].astype(float)
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    degrees = np.arange(len(weights))
    assert found["average_sensitivity"][0] == pytest.approx(weights @ degrees, abs=1e-5)
    if 0 < sum(table) < len(table):
        mean = weights @ degrees / (1 - weights[0])
        assert found["mean_degree"][0] == pytest.approx(mean, rel=1e-4)
    else:
        assert np.isnan(found["mean_degree"][0])


def test_known_functions():
    """Parity: all at degree 7. A dictator: all at 1. Majority of 7: 7 C(6, 3) / 64."""
    targets = ("parity", "x3", "majority", "0", "x1 & x2")
    found = describe(*(truth_table(target, 7) for target in targets))
    assert found["average_sensitivity"].tolist() == [7, 1, 2.1875, 0, 1]
    weights = found["walsh_weights"]
    assert weights[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert weights[1].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert weights[2, ::2].tolist() == [0, 0, 0, 0], "majority is odd"
    assert weights[3].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert weights[4].tolist() == [0.25, 0.5, 0.25, 0, 0, 0, 0, 0]
    assert found["spectral_entropy"][[0, 1, 3, 4]].tolist() == [0, 0, 0, 2]


@given(st.integers(0, 2**16 - 1), st.permutations(range(4)), st.integers(0, 15), st.booleans())
@settings(deadline=None, max_examples=60)
def test_what_changes_no_spectrum(number, order, flipped, negated):
    """Bits in another order, bits negated, the label negated."""
    table = (number >> np.arange(16)) & 1
    moved = table.reshape(2, 2, 2, 2).transpose(order).ravel()[np.arange(16) ^ flipped] ^ negated
    for values in describe(table, moved).values():
        np.testing.assert_allclose(values[0], values[1], atol=1e-7)


def test_chunks_do_not_show(monkeypatch):
    tables = np.random.default_rng(0).integers(0, 2, (5, 8))
    whole = describe(*tables)
    monkeypatch.setattr(spectrum, "_CHUNK_INPUTS", 16)
    for name, values in describe(*tables).items():
        np.testing.assert_array_equal(values, whole[name])


BITS = all_inputs(2).astype(float)


@pytest.mark.parametrize(
    ("x", "finite", "is_boolean"),
    [
        (BITS, True, True),
        (2 * BITS - 1, True, True),
        (BITS, False, False),
        (BITS[::-1], True, False),
        (BITS + np.array([[0], [0], [1], [1]]), True, False),
        (BITS[:3], True, False),
        (BITS[:, :1], True, False),
    ],
    ids=["zero_one", "plus_minus", "not all", "other order", "three values", "three", "twice"],
)
def test_what_it_needs_of_the_inputs(x, finite, is_boolean):
    data = (x, np.zeros(len(x)))
    task = make_task(data, None, LOGISTIC, probe_inputs=np.arange(len(x)), finite=finite)
    problem = observables(("spectrum",))[0].problem(task, Mlp())
    assert (problem is None) == is_boolean
