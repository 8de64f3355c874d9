"""Hold ids grouped as integers to NumPy's `unique` of the text itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.densities.cells import ids as grouping
from sweep_engine.densities.cells.ids import add_up_by_id, hex_words

halves = st.sampled_from(["0" * 16, "f" * 16, "0123456789abcdef", "fedcba9876543210", "9a" * 8])
hashes = st.tuples(halves, halves).map("".join)


def plainly(ids, counts):
    unique, place = np.unique(ids, return_inverse=True)
    sums = np.zeros(len(unique), int)
    np.add.at(sums, place, counts)
    return unique.tolist(), sums.tolist()


@given(st.lists(hashes | st.text("0123456789abcdef", min_size=32, max_size=32)))
@settings(deadline=None)
def test_hashes_are_sorted_and_added_up_as_text_is(names):
    ids, counts = np.array(names, "S32"), np.arange(len(names)) + 1
    found, (sums, again) = add_up_by_id(ids, [counts, 2 * counts])
    assert (found.tolist(), sums.tolist()) == plainly(ids, counts)
    assert again.tolist() == (2 * sums).tolist()
    first, last = hex_words(ids)
    values = [int(name, 16) for name in names]
    assert [(int(a) << 64) + int(b) for a, b in zip(first, last, strict=True)] == values


@pytest.mark.parametrize(
    "odd", [b"diverged", b"A" * 32, b"/" * 32, b":" * 32, b"`" * 32, b"g" * 32]
)
def test_other_ids_are_sorted_as_they_are(odd):
    ids = np.array([b"f" * 32, odd, b"0" * 32, odd], "S32")
    assert hex_words(ids) is None
    assert hex_words(np.array(["a" * 32])) is None
    found, (sums,) = add_up_by_id(ids, [np.ones(4, int)])
    assert (found.tolist(), sums.tolist()) == plainly(ids, np.ones(4, int))


def test_ids_of_many_chunks(monkeypatch):
    monkeypatch.setattr(grouping, "_CHUNK", 7)
    rng = np.random.default_rng(0)
    ids = np.array([rng.bytes(16).hex() for _ in range(50)], "S32")[rng.integers(0, 50, 200)]
    found, (sums,) = add_up_by_id(ids, [np.ones(200, int)])
    assert (found.tolist(), sums.tolist()) == plainly(ids, np.ones(200, int))


def test_the_first_half_alone_would_not_do(monkeypatch):
    ids = np.array(["0" * 31 + "1", "0" * 31 + "2", "0" * 31 + "1"], "S32")
    _, (sums,) = add_up_by_id(ids, [np.ones(3, int)])
    assert sums.tolist() == [2, 1]
    monkeypatch.setattr(grouping, "hex_words", lambda names: (hex_words(names)[0],) * 2)
    _, (sums,) = add_up_by_id(ids, [np.ones(3, int)])
    assert sums.tolist() == [3]
