"""Quantiles of one column.

A draw that is not finite is an outcome like any other: what is NaN, as where a run diverged, is
beyond all numbers, as infinity is.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, check_confidence

LEVELS = (0.05, 0.5, 0.95)


def quantiles(
    draws: Draws,
    levels: tuple[float, ...] = LEVELS,
    *,
    unit: str = "1",
    confidence: float = 0.95,
) -> tuple[Estimate, ...]:
    """Estimate quantiles, each with the exact interval between two order statistics.

    The t-quantile lies in [X_(l), X_(u)], l the a/2 quantile of Binomial(n, t) and u - 1
    its 1 - a/2 quantile; X_(0) = -∞ and X_(n+1) = ∞, where n draws are too few. It needs
    no density and bears ties. Weighted draws use n_eff for n: approximate.

    Example:
        >>> (median,) = quantiles(Draws.of(np.arange(1.0, 100.0)), (0.5,))
        >>> median.value, median.low, median.high
        (50.0, 40.0, 60.0)

    Args:
        draws: Independent draws.
        levels: Each in (0, 1).
        unit: Of the observable.
        confidence: Of each interval by itself.

    Raises:
        InsufficientSamples: There is no draw.
        ValueError: A level is outside (0, 1).
    """
    check_confidence(confidence)
    require_draws(draws)
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"expected levels in (0, 1), got {levels}")
    values = np.where(np.isnan(draws.values), np.inf, draws.values)
    order = np.argsort(values, kind="stable")
    ordered, rank = values[order], np.cumsum(draws.effective_weights[order])
    warnings = sample_warnings(draws, draws)[:1]
    intervals = [_order_interval(ordered, rank, level, confidence) for level in levels]
    return tuple(
        Estimate(
            name=f"quantile_{level:g}",
            value=interval.value,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            num_source=len(draws),
            n_eff_source=draws.n_eff,
            unit=unit,
            method="order statistic of independent draws; exact binomial interval",
            warnings=warnings,
        )
        for level, interval in zip(levels, intervals, strict=True)
    )


def _order_interval(
    ordered: Float[np.ndarray, " n"],
    rank: Float[np.ndarray, " n"],
    level: float,
    confidence: float,
) -> Interval:
    trials, tail = math.floor(rank[-1] + 1e-9), (1 - confidence) / 2
    low = stats.binom.ppf(tail, trials, level)
    high = stats.binom.ppf(1 - tail, trials, level) + 1

    def at(position: float) -> float:
        index = int(np.searchsorted(rank, position - 1e-9))
        return float(ordered[min(index, len(ordered) - 1)])

    return Interval(
        at(max(math.ceil(level * trials - 1e-9), 1)),
        at(low) if low >= 1 else -math.inf,
        at(high) if high <= trials else math.inf,
    )
