"""Lempel-Ziv complexity: the number of words in a string's LZ76 parse, and K_LZ.

`plain` is the published scan of one string, `vectorised` parses many at once.
"""

import math

import numpy as np
from jaxtyping import Float, UInt8

from sweep_engine.kernels.lempel_ziv.vectorised import check_strings, count_words

__all__ = ["complexity", "count_words"]


def complexity(bits: UInt8[np.ndarray, "R n"]) -> Float[np.ndarray, " R"]:
    """Compute the Lempel-Ziv complexity K_LZ of every row, in bits.

    K_LZ(x) = log2(n) for a constant x, else log2(n) (N(x) + N(reverse of x)) / 2, with N the
    number of words (`count_words`).

    >>> complexity(np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]], np.uint8))
    array([2., 5., 6.])

    Args:
        bits: One string a row: a function's outputs on all inputs, in their order.

    Raises:
        ValueError: As `count_words`.

    Source:
        Dingle, Camargo & Louis (2018), Nature Communications 9:761.
        Lempel & Ziv (1976), IEEE Trans. Inf. Theory 22(1).
        Kaspar & Schuster (1987), Phys. Rev. A 36(2).
    """
    check_strings(bits)
    mean_words = (count_words(bits) + count_words(bits[:, ::-1])) / 2
    is_constant = (bits == bits[:, :1]).all(axis=1)
    words: Float[np.ndarray, " R"] = np.where(is_constant, 1.0, mean_words)
    return words * math.log2(bits.shape[1])
