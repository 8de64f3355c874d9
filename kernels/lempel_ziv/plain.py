"""The scan of Kaspar & Schuster (1987), on one string, as published."""

from collections.abc import Sequence


def count_words(symbols: Sequence[int]) -> int:
    """Count the words of the LZ76 exhaustive history of one string.

    A word is the shortest piece that does not occur earlier, where an occurrence may run
    into the word itself. The last word counts even when it is unfinished. In the paper's
    letters `words` is c, `start` l, `earlier` i and `longest` k_max.

    >>> count_words([0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1])  # 0.001.10.100.1000.101
    6

    Args:
        symbols: At least one.

    Raises:
        ValueError: The string is empty.

    Source:
        Lempel & Ziv (1976), IEEE Trans. Inf. Theory 22(1).
        Kaspar & Schuster (1987), Phys. Rev. A 36(2).
    """
    n = len(symbols)
    if n == 0:
        raise ValueError("expected at least one symbol, got an empty string")
    words, start, earlier, k, longest = 1, 1, 0, 1, 1
    while start + k <= n:
        if symbols[earlier + k - 1] == symbols[start + k - 1]:
            k += 1
            continue
        longest = max(longest, k)
        earlier, k = earlier + 1, 1
        if earlier == start:  # every earlier position was tried: the word is complete
            words, start, earlier, longest = words + 1, start + longest, 0, 1
    return words + (start < n)
