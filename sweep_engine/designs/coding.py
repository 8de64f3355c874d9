"""Levels as numbers: effect coding, main effects and interactions."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

Term = tuple[str, ...]
"""The factors of an effect: one of a main effect, two of an interaction."""

Levels = Mapping[str, Int[np.ndarray, " n"]]
"""The level of every row, from 0, by factor."""


def terms_of(factors: Iterable[str], order: int) -> list[Term]:
    """List the main effects, and the interactions of up to `order` factors.

    Example:
        >>> terms_of(["a", "b", "c"], 2)
        [('a',), ('b',), ('c',), ('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    names = list(factors)
    sizes = range(1, order + 1)
    return [term for size in sizes for term in itertools.combinations(names, size)]


def term_text(term: Term) -> str:
    """Write a term as people do.

    Example:
        >>> term_text(("depth", "batch"))
        'depth × batch'
    """
    return " × ".join(term)


def effect_coded(levels: Int[np.ndarray, " n"], num_levels: int) -> Float[np.ndarray, "n k"]:
    """Code the levels of a factor so that the effects of all its levels sum to 0.

    Column j is 1 at level j + 1, -1 at level 0 and 0 elsewhere: its coefficient is how far level
    j + 1 lies from the mean of the levels, and level 0 lies at minus the sum of them.

    Example:
        >>> effect_coded(np.array([0, 1, 2]), 3).tolist()
        [[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    columns = levels[:, None] == np.arange(1, num_levels)
    return columns.astype(float) - (levels == 0)[:, None]


def block(levels: Levels, sizes: Mapping[str, int], term: Term) -> Float[np.ndarray, "n k"]:
    """Give the columns of a term: products of one column of each of its factors."""
    num_rows = len(next(iter(levels.values())))
    columns = np.ones((num_rows, 1))
    for factor in term:
        coded = effect_coded(np.asarray(levels[factor]), sizes[factor])
        columns = (columns[:, :, None] * coded[:, None, :]).reshape(num_rows, -1)
    return columns


def model_matrix(
    levels: Levels, sizes: Mapping[str, int], terms: Sequence[Term]
) -> Float[np.ndarray, "n p"]:
    """Give the columns of the mean and of some terms, in order.

    Example:
        >>> model_matrix({"a": np.array([0, 1])}, {"a": 2}, [("a",)]).tolist()
        [[1.0, -1.0], [1.0, 1.0]]
    """
    return np.hstack([block(levels, sizes, term) for term in [(), *terms]])
