"""Two samples of a scalar observable: Kolmogorov-Smirnov distance, quantiles, range.

All assume independent draws. The order of the line is -inf, finite numbers, inf, NaN: a
draw that is not finite is an outcome like any other.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import (
    Estimate,
    Interval,
    check_confidence,
    two_sample_estimate,
)
from sweep_engine.densities.probabilities.proportions import clopper_pearson


def ks_distance(source: Draws, reference: Draws, *, confidence: float = 0.95) -> Estimate:
    """Estimate the Kolmogorov-Smirnov distance sup |F - G|, with the two-sample p-value.

    Interval: the statistic ± (e_n + e_m), e_n = √(ln(4/a)/(2n)), a = 1 - confidence: valid
    at any n by the Dvoretzky-Kiefer-Wolfowitz inequality, and wide. The p-value is
    that of one sample of nm/(n + m) draws, conservative with ties. Weighted draws use
    n_eff for n: approximate.

    Example:
        >>> ks_distance(Draws.of(np.array([1.0, 2.0])), Draws.of(np.array([3.0, 4.0]))).value
        1.0

    Args:
        source: Independent draws.
        reference: Independent draws.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: One side has no draw.

    Source:
        Massart (1990), Annals of Probability 18(3).
    """
    check_confidence(confidence)
    require_draws(source, reference)
    n_eff = source.n_eff, reference.n_eff
    distance = _ks_statistic(source, reference)
    reach = sum(math.sqrt(math.log(4 / (1 - confidence)) / (2 * n)) for n in n_eff)
    return two_sample_estimate(
        "ks_distance",
        Interval(distance, max(distance - reach, 0.0), min(distance + reach, 1.0)),
        num_draws=(len(source), len(reference)),
        n_eff=n_eff,
        unit="1",
        method="sup |F - G| of independent draws; Dvoretzky-Kiefer-Wolfowitz for both",
        confidence=confidence,
        p_value=_ks_p_value(distance, *n_eff),
        warnings=sample_warnings(source, reference),
    )


def quantiles(
    draws: Draws,
    levels: tuple[float, ...] = (0.05, 0.5, 0.95),
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
    order = np.argsort(draws.values, kind="stable")
    ordered, rank = draws.values[order], np.cumsum(draws.effective_weights[order])
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


def mass_outside_range(source: Draws, reference: Draws, *, confidence: float = 0.95) -> Estimate:
    """Estimate the source's mass outside the range that the reference's sample spans.

    Given the reference's sample it is a proportion of independent draws, with its exact
    interval. A source draw that is not finite is outside.

    Example:
        >>> mass_outside_range(Draws.of(np.array([0.5, 2.0])), Draws.of(np.array([0.0, 1.0]))).value
        0.5

    Args:
        source: Independent draws; weighted ones by their effective number.
        reference: Draws, at least one of them finite.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: No source draw, or no finite reference draw.
    """
    require_draws(source, reference.finite)
    low, high = reference.finite.values.min(), reference.finite.values.max()
    outside = ~((source.values >= low) & (source.values <= high))
    mass = float(source.effective_weights[outside].sum())
    ends = clopper_pearson(mass, source.n_eff, confidence)
    return two_sample_estimate(
        "mass_outside_range",
        Interval(mass / source.n_eff, float(ends[0]), float(ends[1])),
        num_draws=(len(source), len(reference)),
        n_eff=(source.n_eff, reference.n_eff),
        unit="1",
        method="share of independent source draws outside [min, max] of the reference's sample, "
        "given that sample; Clopper-Pearson",
        confidence=confidence,
        warnings=sample_warnings(source, reference),
    )


def _ks_statistic(source: Draws, reference: Draws) -> float:
    values = np.concatenate([source.values, reference.values])
    levels, code = np.unique(values, return_inverse=True)
    steps = np.concatenate(
        [source.weights / source.weights.sum(), -reference.weights / reference.weights.sum()]
    )
    gaps = np.cumsum(np.bincount(code, steps, len(levels)))
    return min(float(np.abs(gaps).max()), 1.0)


def _ks_p_value(distance: float, n: float, m: float) -> float:
    """Treat two samples as one of n m / (n + m) draws against a known law."""
    return float(stats.kstwo.sf(distance, max(round(n * m / (n + m)), 1)))


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
