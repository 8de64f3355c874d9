"""Compare Arrow arrays over NumPy's buffers with those that `pyarrow.array` makes."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from sweep_engine.store import arrays
from sweep_engine.store.arrays import cells, column

LIST = pa.list_(pa.field("element", pa.float32()))
VALUES = {
    pa.int32(): np.arange(9, dtype=np.int32),
    pa.int64(): np.arange(9, dtype=np.int32),
    pa.float32(): np.array([1.5, np.nan, np.inf, -0.0, 1e-40, 2, 3, 4, 5]),
    pa.float64(): np.linspace(0, 1, 9)[::-1],
    pa.bool_(): np.arange(9) % 3 == 0,
    pa.string(): np.array(["a", "", "é", "b", "a", "long", "x", "y", "z"]),
    LIST: np.arange(18, dtype=np.float32).reshape(9, 2),
}


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_arrays_are_those_of_pyarrow(dtype, count):
    values = VALUES[dtype][:count]
    absent = np.arange(count) % 4 == 1
    plain = list(values) if dtype in {LIST, pa.string()} else values
    some = [None if gone else each for each, gone in zip(plain, absent, strict=True)]
    found, expected = column(values, dtype), pa.array(plain, dtype)
    found.validate(full=True)
    assert repr(found.to_pylist()) == repr(expected.to_pylist())  # so that nan is nan
    with_nulls = column(values, dtype, absent=absent)
    with_nulls.validate(full=True)
    assert with_nulls.null_count == absent.sum()
    assert repr(with_nulls.to_pylist()) == repr(pa.array(some, dtype).to_pylist())


def test_few_cells_may_be_null():
    few = {
        pa.int64(): [3, None], pa.string(): [None, "a"], pa.binary(): [], pa.bool_(): [True, None]
    }  # fmt: skip
    for dtype, values in few.items():
        assert cells(values, dtype).equals(pa.array(values, dtype))


def test_a_number_that_its_column_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="Cannot cast"):
        column(np.array([0.5]), pa.int64())
    with pytest.raises(OverflowError, match="int32 cannot hold 4294967297"):
        column(np.array([1, 2**32 + 1]), pa.int32())


def test_texts_longer_than_a_column_holds_are_refused(monkeypatch):
    monkeypatch.setattr(arrays.np, "iinfo", lambda _: SimpleNamespace(max=5))
    assert column(np.array(["abc", "de"]), pa.string()).to_pylist() == ["abc", "de"]
    for values, dtype in ((np.array(["abc", "def"]), pa.string()), (np.zeros((2, 3)), LIST)):
        with pytest.raises(OverflowError, match="6 bytes or numbers are more"):
            column(values, dtype)


def test_pandas_is_left_alone():
    lines = (
        "import sys, numpy, pyarrow",
        "from sweep_engine.store.arrays import column",
        "column(numpy.arange(3), pyarrow.int64())",
        "sys.exit('pandas' in sys.modules)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
