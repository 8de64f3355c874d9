"""Intervals of what is made of several networks at once: they count networks, never pairs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from sweep_engine.densities.estimate import Interval

Units = Int[np.ndarray, " n"]


@dataclass(frozen=True)
class JackknifeError:
    """Standard errors of several numbers.

    Attributes:
        stderr: One a number.
        freedom: Degrees of freedom: the fewest units of a sample, less 1.
    """

    stderr: Float[np.ndarray, " k"]
    freedom: int


def leave_one_out(
    statistics: Callable[[Bool[np.ndarray, " n"]], Float[np.ndarray, " k"]], *samples: Units
) -> JackknifeError:
    """Estimate the standard errors of statistics by leaving out every unit of every sample.

    With U units and S_(-u) the statistic without unit u, the variance is (U - 1)/U times the sum
    of squares of S_(-u) about their mean, summed over the samples, which are independent.

    Args:
        statistics: Takes which networks are there, all samples one after the other.
        samples: The unit of every network, a sample at a time.

    Source:
        Arvesen (1969), Ann. Math. Statist. 40(6): the jackknife of U-statistics.
    """
    variances, start, total = [], 0, sum(map(len, samples))
    for units in samples:
        values = []
        for unit in np.unique(units):
            there = np.ones(total, bool)
            there[start : start + len(units)] = units != unit
            values.append(statistics(there))
        variances.append((len(values) - 1) * np.var(values, axis=0))
        start += len(units)
    fewest = min(len(np.unique(units)) for units in samples)
    return JackknifeError(np.sqrt(np.sum(variances, axis=0)), fewest - 1)


def t_interval(
    value: float, stderr: float, freedom: int, confidence: float, span: tuple[float, float]
) -> Interval:
    """Put a t interval around a value, inside of what there can be; NaN has all of it."""
    if not math.isfinite(value) or not math.isfinite(stderr):
        return Interval(math.nan, *span)
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * stderr
    # Rounding may put the value itself a last place outside.
    low, high = max(value - reach, span[0]), min(value + reach, span[1])
    return Interval(value, min(low, value), max(high, value))
