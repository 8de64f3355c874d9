"""Parts of tests/benchmarks/tpu_parts.py compute what they should; none is compiled for a TPU."""

import numpy as np
import pytest

from tests.benchmarks import tpu_parts

SUMS = "dh,dn->hn"


def error(product, terms):
    """The largest error of a product of random matrices, by the sum of the sizes of its terms."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(terms, n)).astype(np.float32) for n in (5, 6))
    exact, sizes = (np.einsum(SUMS, f(a), f(b), dtype=float) for f in (np.asarray, np.abs))
    return np.max(np.abs(np.asarray(product(SUMS, a, b), float) - exact) / sizes)


@pytest.mark.parametrize("terms", [7, 1437])
@pytest.mark.parametrize("product", [tpu_parts._by_one, tpu_parts._by_six])
def test_products_of_pieces_are_as_exact_as_float32(product, terms, monkeypatch):
    """See that without the three smallest products of pieces they are not."""
    bound = 4 * np.finfo(np.float32).eps / 2  # a product's rounding is u, and that of a few sums
    assert error(product, terms) <= bound
    for name in ("FIRST", "SECOND"):
        monkeypatch.setattr(tpu_parts, name, getattr(tpu_parts, name)[3:])
    assert error(product, terms) > bound
