"""Granulated rank correlation: whether a property foretells the test error, factor by factor."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.atlas.contrasts import Levels

NUM_REDRAWS = 200


@dataclass(frozen=True)
class Granulated:
    """Kendall's tau of a property with the test error, one factor varied at a time.

    Attributes:
        value: Mean of the factors' taus; NaN where no two rows differ in one factor alone.
        low: Lower end of the 95 % interval: both sides drawn anew within their sampling errors.
        high: Upper end.
        by_factor: The mean tau over groups of rows that differ in this factor alone.
    """

    value: float
    low: float
    high: float
    by_factor: Mapping[str, float]


def granulated(
    values: Float[np.ndarray, " n"],
    errors: Float[np.ndarray, " n"],
    stderrs: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    levels: Levels,
    seed: int,
) -> Granulated:
    """Correlate a property with the test error over rows that differ in one factor alone.

    The taus of all groups of such rows, and then those of all factors, are averaged: what both
    sides owe to the task, or to any one factor that is not varied, does not count.

    Example:
        >>> levels = Levels.of([{"a": a, "b": b} for a in "xy" for b in "xyz"])
        >>> rows = np.arange(6.0)
        >>> granulated(rows, rows, (np.zeros(6), np.zeros(6)), levels, 0).value
        1.0

    Args:
        values: The property of every row.
        errors: The test error of every row.
        stderrs: Of both.
        levels: Of the factors.
        seed: Of the redraws.

    Source:
        Jiang et al. (2020), Fantastic generalization measures, ICLR, section 3.
    """
    groups = {factor: _groups(levels, factor) for factor in levels.names}
    point = _taus(values, errors, groups)
    rng = np.random.default_rng([seed, 21])
    redrawn = [
        _mean(
            _taus(
                values + stderrs[0] * rng.standard_normal(len(values)),
                errors + stderrs[1] * rng.standard_normal(len(errors)),
                groups,
            ).values()
        )
        for _ in range(NUM_REDRAWS)
    ]
    value = _mean(point.values())
    if math.isnan(value):
        return Granulated(value, value, value, point)
    low, high = np.quantile(redrawn, [0.025, 0.975])
    return Granulated(value, min(value, float(low)), max(value, float(high)), point)


def _groups(levels: Levels, factor: str) -> list[np.ndarray]:
    """Rows that differ in this factor alone."""
    others = [codes for name, codes in levels.codes.items() if name != factor]
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in range(len(levels.codes[factor])):
        found[tuple(int(codes[i]) for codes in others)].append(i)
    return [np.array(rows) for rows in found.values() if len(rows) > 1]


def _taus(
    values: np.ndarray, errors: np.ndarray, groups: Mapping[str, list[np.ndarray]]
) -> dict[str, float]:
    return {
        factor: _mean(_tau(values[rows], errors[rows]) for rows in each)
        for factor, each in groups.items()
    }


def _tau(one: np.ndarray, other: np.ndarray) -> float:
    """Concordant less discordant pairs, over all pairs (tau a): a tie agrees with nothing."""
    i, j = np.triu_indices(len(one), 1)
    known = np.isfinite(one[i] + one[j] + other[i] + other[j])
    signs = np.sign(one[i] - one[j]) * np.sign(other[i] - other[j])
    return float(signs[known].mean()) if known.any() else math.nan


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
