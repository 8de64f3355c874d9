"""Sort function ids and group those that are equal: millions of them as pairs of integers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt64

WIDTH = 32
"""Counts the characters of a function id: 16 bytes in hex."""

_CHUNK = 2**17
"""Counts the ids that are read at once, so that what is between stays in the cache."""

Words = UInt64[np.ndarray, " n"]


def add_up_by_id(
    ids: Shaped[np.ndarray, " n"], counts: Sequence[Int[np.ndarray, " n"]]
) -> tuple[Shaped[np.ndarray, " F"], list[Int[np.ndarray, " F"]]]:
    """Add up counts of equal ids: (the ids, sorted; the sums of each vector of counts).

    Example:
        >>> ids, (sums,) = add_up_by_id(np.array(["b", "a", "b"]), [np.array([1, 2, 4])])
        >>> ids.tolist(), sums.tolist()
        (['a', 'b'], [2, 5])

    Args:
        ids: Of any dtype that sorts.
        counts: Whole numbers, one an id.
    """
    order, is_first = _grouped(ids)
    (starts,) = np.nonzero(is_first)
    sums = [np.add.reduceat(each[order], starts, dtype=np.int64) for each in counts]
    return ids[order[starts]], sums


def _grouped(
    ids: Shaped[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Sort the ids: (their order, which of them is the first of its kind)."""
    words = hex_words(ids)
    if words is None:
        order = np.argsort(ids, kind="stable")
        return order, _is_new(ids[order])
    order = np.argsort(words[0], kind="stable")
    high, low = (_is_new(word[order]) for word in words)
    if (~high & low).any():  # two ids of one first half: sort by both
        order = np.lexsort(words[::-1])
        high, low = (_is_new(word[order]) for word in words)
    return order, high | low


def _is_new(ordered: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    is_new = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    return is_new


def hex_words(ids: Shaped[np.ndarray, " n"]) -> tuple[Words, Words] | None:
    """Read 32 small hexadecimal digits as two integers of the same order; None for other ids.

    Example:
        >>> first, last = hex_words(np.array([b"00000000000000ff00000000000000a0"]))
        >>> first.tolist(), last.tolist()
        ([255], [160])
        >>> hex_words(np.array([b"diverged"])) is None
        True
    """
    if ids.dtype != f"S{WIDTH}":
        return None
    words = np.empty((2, len(ids)), np.uint64)
    for start in range(0, len(ids), _CHUNK):
        letters = np.ascontiguousarray(ids[start : start + _CHUNK]).view(np.uint8)
        # Below "0" or "a" a difference of bytes wraps around to a large one.
        if not ((letters - np.uint8(48) < 10) | (letters - np.uint8(97) < 6)).all():
            return None
        eights = letters.view(">u8").astype(np.uint64).reshape(-1, 4)
        quarters = _value_of_eight_digits(eights)
        words[0, start : start + _CHUNK] = quarters[:, 0] << 32 | quarters[:, 1]
        words[1, start : start + _CHUNK] = quarters[:, 2] << 32 | quarters[:, 3]
    return words[0], words[1]


def _value_of_eight_digits(eights: UInt64[np.ndarray, "n 4"]) -> UInt64[np.ndarray, "n 4"]:
    """Read eight characters a word: each becomes half a byte, then halves are pushed together."""
    halves = (eights & 0x0F0F0F0F0F0F0F0F) + 9 * (eights >> 6 & 0x0101010101010101)
    halves = (halves | halves >> 4) & 0x00FF00FF00FF00FF
    halves = (halves | halves >> 8) & 0x0000FFFF0000FFFF
    value: UInt64[np.ndarray, "n 4"] = (halves | halves >> 16) & 0xFFFFFFFF
    return value
