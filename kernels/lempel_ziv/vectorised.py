"""The LZ76 parse of many strings of one length at once, in NumPy."""

import numpy as np
from jaxtyping import Int, UInt8, UInt16

MAX_LENGTH = 65535
_CHUNK_SYMBOLS = 2**18  # the working arrays stay in the processor's cache
_MIN_CHUNK = 64  # strings; at the greatest length the working arrays take 25 MB


def count_words(bits: UInt8[np.ndarray, "R n"]) -> Int[np.ndarray, " R"]:
    """Count the words of the LZ76 exhaustive history of every row.

    Equal to `plain.count_words` row by row. With match[i] the length of the longest
    piece from i on that also occurs from some j < i on, a word that starts at i ends after
    match[i] + 1 symbols. Time is quadratic in n.

    >>> count_words(np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.uint8))
    array([2, 3])

    Args:
        bits: One string a row, over any alphabet of at most 256 symbols.

    Raises:
        ValueError: Not a matrix of uint8, or its rows are empty or longer than 65535.

    Source:
        Lempel & Ziv (1976), IEEE Trans. Inf. Theory 22(1).
        Kaspar & Schuster (1987), Phys. Rev. A 36(2).
    """
    check_strings(bits)
    num_strings, length = bits.shape
    chunk = max(_MIN_CHUNK, _CHUNK_SYMBOLS // length)
    counts = np.empty(num_strings, np.int64)
    for start in range(0, num_strings, chunk):
        rows = slice(start, start + chunk)
        counts[rows] = _follow_words(_longest_matches(np.ascontiguousarray(bits[rows].T)))
    return counts


def check_strings(bits: UInt8[np.ndarray, "R n"]) -> None:
    """Raise ValueError unless `bits` is a matrix of strings that can be parsed."""
    if bits.ndim != 2 or bits.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 strings of shape (R, n), got {bits.dtype} of shape {bits.shape}"
        )
    if not 1 <= bits.shape[1] <= MAX_LENGTH:
        raise ValueError(f"expected strings of 1 to {MAX_LENGTH} symbols, got {bits.shape[1]}")


def _longest_matches(
    symbols: UInt8[np.ndarray, "n R"],
) -> UInt8[np.ndarray, "n R"] | UInt16[np.ndarray, "n R"]:
    """Length of the longest piece from each position on that also occurs from earlier on.

    The common extension of positions j and j + lag is
    E[j, lag] = (x[j] == x[j + lag]) (1 + E[j + 1, lag]);
    `extension` holds one j, from the last to the first.
    """
    length = len(symbols)
    extension = np.zeros(symbols.shape, np.uint8 if length <= 256 else np.uint16)
    longest = np.zeros_like(extension)
    equal = np.empty(symbols.shape, np.bool_)
    for j in range(length - 2, -1, -1):
        lags = slice(0, length - 1 - j)  # lag - 1
        np.equal(symbols[j + 1 :], symbols[j], out=equal[lags])
        extension[lags] += 1
        extension[lags] *= equal[lags]
        np.maximum(longest[j + 1 :], extension[lags], out=longest[j + 1 :])
    return longest


def _follow_words(
    longest: UInt8[np.ndarray, "n R"] | UInt16[np.ndarray, "n R"],
) -> Int[np.ndarray, " R"]:
    """Count the steps from word to word until every string is at its end."""
    length, num_strings = longest.shape
    counts = np.zeros(num_strings, np.int64)
    strings = np.arange(num_strings)
    position = np.zeros(num_strings, np.int64)
    while strings.size:
        counts[strings] += 1
        position = position + longest[position, strings] + 1
        unfinished = position < length
        strings, position = strings[unfinished], position[unfinished]
    return counts
