"""Find which effects rows can tell, and each as a contrast of coefficients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.designs import (
    Structure,
    Term,
    model_matrix,
    structure,
    term_text,
    terms_of,
)
from sweep_engine.designs.coding import block
from sweep_engine.errors import IncomparableSources

MIN_DEGREES = 10
"""Rows beyond the effects that heterogeneity is estimated from, where interactions are fitted."""


@dataclass(frozen=True)
class Levels:
    """The levels of rows as numbers.

    Attributes:
        names: The levels of every factor; the first is the one that others are compared with.
        codes: The level of every row, by factor.
    """

    names: Mapping[str, tuple[str, ...]]
    codes: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, rows: Sequence[Mapping[str, str]], order: Mapping[str, Sequence[str]] | None = None
    ) -> "Levels":
        """Number the levels; factors of one level are left out.

        Args:
            rows: The level of every factor.
            order: Of levels, by factor; else as they are met.
        """
        found: dict[str, tuple[str, ...]] = {}
        for factor in dict.fromkeys(name for row in rows for name in row):
            met = list(dict.fromkeys(row.get(factor, "") for row in rows))
            known = [level for level in (order or {}).get(factor, ()) if level in met]
            found[factor] = (*known, *(level for level in met if level not in known))
        names = {factor: levels for factor, levels in found.items() if len(levels) > 1}
        codes = {
            factor: np.array([levels.index(row.get(factor, "")) for row in rows])
            for factor, levels in names.items()
        }
        return cls(names, codes)

    @property
    def sizes(self) -> dict[str, int]:
        """Count the levels of each factor."""
        return {factor: len(levels) for factor, levels in self.names.items()}

    def without(self, *factors: str) -> "Levels":
        """Leave factors out."""
        return Levels(
            {name: each for name, each in self.names.items() if name not in factors},
            {name: each for name, each in self.codes.items() if name not in factors},
        )

    def structure(self) -> Structure:
        """Name what the rows cannot tell apart."""
        return structure(self.codes, self.sizes)


@dataclass(frozen=True)
class Contrast:
    """An effect: what a change of levels does, as a combination of coefficients.

    Attributes:
        term: The factors.
        words: What is compared, such as `tanh - relu`.
        row: The combination.
        aliased_with: Effects that are this one as far as the rows tell.
    """

    term: Term
    words: str
    row: Float[np.ndarray, " p"]
    aliased_with: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Model:
    """The terms of a regression, its columns, and the contrasts that are read off them.

    Attributes:
        terms: Main effects, and the interactions that rows tell from them and from each other.
        matrix: The columns.
        contrasts: Every level against the base level; of interactions, how much that differs
            between levels of the other factor.
        left_out: Interactions that are not fitted, and why.
    """

    terms: tuple[Term, ...]
    matrix: Float[np.ndarray, "n p"]
    contrasts: tuple[Contrast, ...]
    left_out: tuple[str, ...]


def model_of(levels: Levels, order: int = 2) -> Model:
    """Choose the terms that rows can tell: all main effects, and interactions if there is room.

    Raises:
        IncomparableSources: main effects cannot be told apart.
    """
    mains, found = terms_of(levels.names, 1), levels.structure()
    matrix: Float[np.ndarray, "n p"] = model_matrix(levels.codes, levels.sizes, mains)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        named = "; ".join(str(each) for each in found.aliased_main_effects)
        raise IncomparableSources(
            f"main effects cannot be told apart with these rows ({named or 'too few rows'}): leave "
            "a factor out, or run the rows that are missing"
        )
    terms, left_out = list(mains), []
    for term in terms_of(levels.names, 2)[len(mains) :] if order > 1 else []:
        wider = np.hstack([matrix, block(levels.codes, levels.sizes, term)])
        if np.linalg.matrix_rank(wider) < wider.shape[1]:
            left_out.append(f"{term_text(term)} is mixed up with effects that are fitted")
        elif len(wider) - wider.shape[1] < MIN_DEGREES:
            left_out.append(f"{term_text(term)}: too few rows")
        else:
            matrix = wider
            terms.append(term)
    contrasts = _contrasts(levels, terms, found)
    return Model(tuple(terms), matrix, tuple(contrasts), tuple(left_out))


def _contrasts(levels: Levels, terms: Sequence[Term], found: Structure) -> list[Contrast]:
    sizes = [int(np.prod([levels.sizes[name] - 1 for name in term])) for term in terms]
    starts = 1 + np.cumsum([0, *sizes])
    contrasts = []
    for term, start in zip(terms, starts, strict=False):
        rows: Float[np.ndarray, "c k"] = np.ones((1, 1))
        words = [""]
        for name in term:
            base, *others = levels.names[name]
            # Level j lies at its coefficient, the base at minus the sum of all.
            rows = np.asarray(np.kron(rows, np.eye(len(others)) + 1))
            words = [f"{w}; {one} - {base}" for w in words for one in others]
        for row, text in zip(rows, words, strict=True):
            whole = np.zeros(starts[-1])
            whole[start : start + rows.shape[1]] = row
            contrasts.append(
                Contrast(term, text.removeprefix("; "), whole, found.with_effect(term))
            )
    return contrasts
