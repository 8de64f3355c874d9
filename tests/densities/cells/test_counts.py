import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep_engine.densities.cells.counts import CellCounts, align_counts
from sweep_engine.errors import InsufficientSamples

tables = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 10**9))


@given(source=tables, reference=tables)
@settings(deadline=None)
def test_alignment_is_a_join_of_dictionaries(source, reference):
    ids, counts = align_counts(*_arrays(source), *_arrays(reference))
    assert ids.tolist() == sorted(source.keys() | reference.keys())
    assert counts.source.tolist() == [source.get(i, 0) for i in ids.tolist()]
    assert counts.reference.tolist() == [reference.get(i, 0) for i in ids.tolist()]


def _arrays(table):
    return np.array(list(table), dtype="U3"), np.array(list(table.values()), dtype=np.int64)


def test_ids_may_be_bytes_and_repeat():
    ids, counts = align_counts(
        np.array([b"x", b"x"]), np.array([1, 2]), np.array([b"y"]), np.array([5])
    )
    assert ids.tolist() == [b"x", b"y"]
    assert (counts.source.tolist(), counts.reference.tolist()) == ([3, 0], [0, 5])


def test_counts_must_be_whole_and_one_an_id():
    ids = np.array(["a"])
    with pytest.raises(ValueError, match="integer count"):
        align_counts(ids, np.array([1.0]), ids, np.array([1]))
    with pytest.raises(ValueError, match="integer count"):
        align_counts(ids, np.array([1, 2]), ids, np.array([1]))


def test_shapes_and_signs_are_checked():
    with pytest.raises(ValueError, match="same cells"):
        CellCounts(np.array([1, 2]), np.array([1]))
    with pytest.raises(ValueError, match="not negative"):
        CellCounts(np.array([-1]), np.array([1]))


def test_too_few_draws_says_how_many():
    with pytest.raises(InsufficientSamples, match="at least 100 effective draws"):
        CellCounts(np.array([99]), np.array([500])).require(100)


def test_pooling_keeps_every_draw():
    pooled = CellCounts(np.array([1, 2, 3]), np.array([4, 5, 6])).pool(np.array([1, 0, 1]))
    assert (pooled.source.tolist(), pooled.reference.tolist()) == ([2, 4], [5, 10])
