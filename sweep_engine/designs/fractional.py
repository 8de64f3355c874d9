"""Regular fractions of two-level designs, of the fewest rows for a resolution."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

MAX_FACTORS = 12

Masks = tuple[int, ...]
"""Sets of basic factors, a bit a factor."""


def fraction(num_factors: int, resolution: int, rng: np.random.Generator) -> Int[np.ndarray, "n F"]:
    """Make a two-level fraction: levels 0 and 1, a row an experiment.

    k basic factors take all their 2^k combinations; each other factor is the product of a few of
    them. Of those generators the first are taken whose defining words all have `resolution`
    factors or more, with the smallest k for which there are such: so the rows are the fewest that
    a regular fraction has. Which factor is which column, and which level is which, is drawn.

    Example:
        >>> fraction(5, 5, np.random.default_rng(0)).shape
        (16, 5)

    Args:
        num_factors: Of two levels each.
        resolution: 3: main effects are aliased with no other main effect; 4: nor with two-way
            interactions; 5: nor are two-way interactions with each other.
        rng: Decides the names of columns and levels.

    Raises:
        ValueError: there are more than 12 factors.

    Source:
        Box & Hunter (1961), Technometrics 3(3) and 3(4).
    """
    if num_factors > MAX_FACTORS:
        raise ValueError(f"a fraction has at most {MAX_FACTORS} factors, got {num_factors}")
    for num_basic in range(1, num_factors + 1):
        generators = _generators(num_basic, num_factors - num_basic, resolution)
        if generators is not None:
            break
    bits = np.arange(2**num_basic)[:, None] >> np.arange(num_basic) & 1
    columns = [bits[:, i] for i in range(num_basic)]
    columns += [_parity(bits, word) for word in generators or ()]
    table = np.stack(columns, axis=1)[:, rng.permutation(num_factors)]
    return table ^ rng.integers(0, 2, num_factors)


def _parity(bits: Int[np.ndarray, "n k"], word: int) -> Int[np.ndarray, " n"]:
    chosen = [i for i in range(bits.shape[1]) if word >> i & 1]
    return bits[:, chosen].sum(axis=1) & 1


def _generators(num_basic: int, num_others: int, resolution: int) -> Masks | None:
    """Find products of basic factors, as bit masks, whose words are long enough; None if none."""
    long_enough = sorted(
        (word for word in range(2**num_basic) if word.bit_count() >= resolution - 1),
        key=lambda word: (word.bit_count(), word),
    )

    def extended(chosen: Masks, products: list[tuple[int, int]]) -> Iterator[Masks]:
        if len(chosen) == num_others:
            yield chosen
            return
        after = long_enough.index(chosen[-1]) + 1 if chosen else 0
        for word in itertools.islice(long_enough, after, None):
            # A product of j generators is a word of its own factors and those j others.
            new = [(word ^ mask, count + 1) for mask, count in [(0, 0), *products]]
            if all(mask.bit_count() + count >= resolution for mask, count in new):
                yield from extended((*chosen, word), products + new)

    return next(extended((), []), None)
