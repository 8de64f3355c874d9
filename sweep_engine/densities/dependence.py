"""Draws that depend on one another: clones of a repetition, states of a chain.

Draws of one *unit* are dependent, units are not. What m draws of a unit are worth is told by
how much more the units differ than independent draws would: with rho the correlation of two
draws of one unit (intraclass correlation), the *design effect* is 1 + (m - 1) rho, and n
draws count as n divided by it. It is estimated from the units themselves, so a few long
units tell it poorly; it is never taken below 1.

Source:
    Kish (1965), Survey Sampling, section 5.4; Fisher (1925) for the intraclass correlation.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from sweep_engine.errors import InsufficientSamples

MIN_UNITS = 2


def design_effect(values: Float[np.ndarray, "n k"], units: Int[np.ndarray, " n"]) -> float:
    """Estimate the design effect of draws of real numbers, the largest over the columns.

    Ranks stand for the values, so one far draw decides nothing and what is not finite has
    a place.

    Example:
        >>> unit = np.repeat(np.arange(50), 20)
        >>> clones = np.random.default_rng(0).normal(size=50)[unit]
        >>> round(design_effect(clones[:, None], unit))
        20

    Args:
        values: One draw a row.
        units: Which unit each belongs to.

    Raises:
        InsufficientSamples: There are fewer than 2 units.
    """
    sizes = _unit_sizes(units)
    if len(values) == len(sizes):
        return 1.0
    labels = np.unique(units, return_inverse=True)[1]
    finite = np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return max(_from_variances(stats.rankdata(column), labels, sizes) for column in finite.T)


def _from_variances(
    values: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " u"]
) -> float:
    """Compare the variance between unit means with that of all draws (one-way ANOVA)."""
    num_draws, num_units = len(values), len(sizes)
    means = np.bincount(labels, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (num_units - 1)
    within = float(((values - means[labels]) ** 2).sum()) / (num_draws - num_units)
    size = (num_draws - float((sizes**2).sum()) / num_draws) / (num_units - 1)
    total = between / size + within * (1 - 1 / size)
    return max(1.0, between / total) if total > 0 else 1.0


def design_effect_of_cells(cells: Int[np.ndarray, " n"], units: Int[np.ndarray, " n"]) -> float:
    """Estimate the design effect of draws of cells, such as functions.

    rho = (s - t) / (1 - t): s how often two draws of one unit are in one cell, t two draws
    of different units.

    Example:
        >>> unit = np.repeat(np.arange(50), 20)
        >>> round(design_effect_of_cells(unit, unit))
        20

    Args:
        cells: The cell of every draw, whole numbers.
        units: Which unit each draw belongs to.

    Raises:
        InsufficientSamples: There are fewer than 2 units.
    """
    sizes = _unit_sizes(units).astype(float)
    num_draws, squares = float(len(cells)), float((sizes**2).sum())
    if squares == num_draws:
        return 1.0
    in_units = np.unique(np.stack([units, cells]), axis=1, return_counts=True)[1].astype(float)
    in_all = np.unique(cells, return_counts=True)[1].astype(float)
    same_unit = float((in_units * (in_units - 1)).sum()) / (squares - num_draws)
    across = float((in_all**2).sum() - (in_units**2).sum()) / (num_draws**2 - squares)
    if across >= 1:
        return 1.0
    correlation = (same_unit - across) / (1 - across)
    return max(1.0, 1 + (squares / num_draws - 1) * correlation)


def _unit_sizes(units: Int[np.ndarray, " n"]) -> Int[np.ndarray, " u"]:
    sizes: Int[np.ndarray, " u"] = np.unique(units, return_counts=True)[1]
    if len(sizes) < MIN_UNITS:
        raise InsufficientSamples(
            f"draws of one unit depend on one another: at least {MIN_UNITS} units (repetitions "
            f"or chains) are needed to say how much, got {len(sizes)}"
        )
    return sizes


def effective_counts(
    ids: Shaped[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    units: Int[np.ndarray, " n"] | None,
    rng: np.random.Generator,
) -> tuple[Shaped[np.ndarray, " F"], Int[np.ndarray, " F"]]:
    """Count cells as if by independent draws of equal weight, as many as these are worth.

    A cell's share of the weight times the effective number is rounded to a whole number:
    all cells together by one random offset, so that each is right on average and the sum
    stays. Draws of equal weight without units give their plain counts.

    Example:
        >>> ids, counts = effective_counts(
        ...     np.array(["a", "b", "a"]), np.ones(3), None, np.random.default_rng(0))
        >>> ids.tolist(), counts.tolist()
        (['a', 'b'], [2, 1])

    Args:
        ids: The cell of every draw.
        weights: Not negative.
        units: Which unit each draw belongs to; None for independent draws.
        rng: Where the offset comes from.

    Raises:
        InsufficientSamples: There are fewer than 2 units.
    """
    cells, index = np.unique(ids, return_inverse=True)
    if not len(cells):
        return cells, np.zeros(0, np.int64)
    effect = 1.0 if units is None else design_effect_of_cells(index, units)
    total = float(weights.sum())
    worth = total**2 / float((weights**2).sum()) / effect
    ends = np.cumsum(np.bincount(index, weights)) / total * worth
    steps = np.floor(ends + rng.random() * (1 - 1e-9) + 1e-9).astype(np.int64)
    counts = np.diff(steps, prepend=0)
    return cells[counts > 0], counts[counts > 0]
