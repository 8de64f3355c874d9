"""What the rows of a design cannot tell apart."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep_engine.designs.coding import Levels, Term, block, model_matrix, term_text, terms_of

ALIASED = 1 - 1e-9
"""Correlation from which two effects are one."""

CLOSE = 0.7
"""Correlation from which two effects are told apart poorly."""

MAX_WORD_FACTORS = 12
"""Two-level factors whose products are looked at: 2^12 of them."""


@dataclass(frozen=True)
class Alias:
    """Two effects that rows tell apart poorly or not at all.

    Attributes:
        one: A main effect or an interaction.
        other: Another.
        correlation: The largest between a column of one and a column of the other, over all ways
            to code them: 1 where they are the same.
    """

    one: Term
    other: Term
    correlation: float

    @property
    def is_full(self) -> bool:
        """Say whether some part of one is some part of the other."""
        return self.correlation >= ALIASED

    def __str__(self) -> str:
        """Write it as people do."""
        one, other = term_text(self.one), term_text(self.other)
        return f"{one} = {other}" if self.is_full else f"{one} ~ {other} ({self.correlation:.2f})"


@dataclass(frozen=True)
class Structure:
    """Hold what a design's rows tell of main effects and two-way interactions.

    Attributes:
        num_rows: Of the design.
        num_effects: Main effects, two-way interactions and the mean, each of all its columns.
        rank: How many of them the rows tell apart, at most.
        words: Products of two-level factors that are constant: every effect is aliased with its
            product with each of them.
        aliases: Pairs of effects with a correlation of `CLOSE` or more.
    """

    num_rows: int
    num_effects: int
    rank: int
    words: tuple[Term, ...]
    aliases: tuple[Alias, ...]

    @property
    def aliased_main_effects(self) -> tuple[Alias, ...]:
        """The main effects that are other main effects."""
        return tuple(
            each for each in self.aliases if each.is_full and len(each.one) == len(each.other) == 1
        )

    def with_effect(self, term: Term) -> tuple[Term, ...]:
        """List the effects that are this one as far as the rows tell."""
        full = [each for each in self.aliases if each.is_full and term in (each.one, each.other)]
        return tuple(each.other if each.one == term else each.one for each in full)


def structure(levels: Levels, sizes: Mapping[str, int]) -> Structure:
    """Find what rows tell apart.

    Example:
        >>> half = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0, 1]),
        ...         "c": np.array([1, 0, 0, 1])}
        >>> found = structure(half, dict.fromkeys(half, 2))
        >>> found.words, str(found.aliases[0])
        ((('a', 'b', 'c'),), 'a = b × c')

    Args:
        levels: Of every row, by factor.
        sizes: How many levels each factor has.
    """
    terms = terms_of(levels, 2)
    matrix = model_matrix(levels, sizes, terms)
    bases = {term: _basis(block(levels, sizes, term)) for term in terms}
    pairs = (
        Alias(one, other, _correlation(bases[one], bases[other]))
        for one, other in itertools.combinations(terms, 2)
    )
    return Structure(
        num_rows=len(matrix),
        num_effects=matrix.shape[1],
        rank=int(np.linalg.matrix_rank(matrix)),
        words=_words(levels, sizes),
        aliases=tuple(each for each in pairs if each.correlation >= CLOSE),
    )


def _basis(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the columns add to the mean."""
    left, values, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return left[:, values > 1e-9 * max(1.0, values[0])]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if not one.shape[1] or not other.shape[1]:
        return 0.0
    return float(np.linalg.svd(one.T @ other, compute_uv=False)[0])


def _words(levels: Levels, sizes: Mapping[str, int]) -> tuple[Term, ...]:
    """List the products of two-level factors that are constant over the rows, short ones first."""
    names = [name for name in levels if sizes[name] == 2][:MAX_WORD_FACTORS]
    signs = {name: 1 - 2 * np.asarray(levels[name]) for name in names}
    found: list[Term] = []
    for size in range(2, len(names) + 1):
        found += [word for word in itertools.combinations(names, size) if _is_constant(signs, word)]
    return tuple(found)


def _is_constant(signs: Mapping[str, np.ndarray], word: Sequence[str]) -> bool:
    product = np.prod([signs[name] for name in word], axis=0)
    return bool(np.all(product == product[0]))
