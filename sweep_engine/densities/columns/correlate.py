"""Spearman's rank correlation of two columns of one source, and how two sources differ in it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import LEFT_OUT, Draws, require_finite, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Estimator, Quantity, Table, Takes, Verdict
from sweep_engine.densities.trust import Trust


def _words(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "One of the two columns has one value only: there is no order to compare."
    if estimate.low <= 0 <= estimate.high:
        return "No order of the one column by the other is shown."
    more = "more" if estimate.value > 0 else "less"
    return f"Networks with more of the first column have {more} of the second."


CORRELATION = Quantity("column_correlation", _words, Table.HEADLINES)
DIFFERENCE = Quantity(
    "column_correlation_difference",
    "The source's rank correlation of the two columns less the reference's.".format,
    Table.HEADLINES,
    Verdict.INTERVAL,
)


class Correlate(Estimator[Draws]):
    """Estimates Spearman's rank correlation of two columns: Pearson's, of the midranks.

    The interval is artanh ρ ± t s / (1 - ρ²), taken back. s² sums the squares of the influence
    function over runs, or over whole units where runs depend on one another, and t has one degree
    of freedom less than there are of them: it holds for any joint law, ties and weights among
    them. Of two sources also the difference, with the interval that both intervals give (Zou);
    data sets that both met make it too wide.

    Example:
        >>> rising = Draws.of(np.stack([np.arange(20.0), np.arange(20.0) ** 3], axis=1))
        >>> (found,) = Correlate().look(rising, rising, 0).at(0.95)
        >>> round(found.value, 6), found.low > 0.9
        (1.0, True)

    Source:
        Croux & Dehon (2010), Stat. Methods Appl. 19(4) (the influence function); Zou (2007),
        Psychol. Methods 12(4).
    """

    name = "correlate"
    takes = Takes.TWO_COLUMNS
    trust = Trust(name, 8)
    quantities = (CORRELATION, DIFFERENCE)

    def look(self, source: Draws, reference: Draws, seed: int) -> "CorrelateReading":
        """Rank both sides; one source against itself is read once. Nothing is random."""
        self.takes.check(self.name, source)
        sides = (source,) if reference is source else (source, reference)
        require_finite(*sides)
        found = [_correlation(side.finite) for side in sides]
        self.trust.require(found[0].num_units, found[-1].num_units)
        return CorrelateReading(sides, tuple(found))


@dataclass(frozen=True)
class CorrelateReading:
    """The correlation of each side, with its standard error."""

    sides: tuple[Draws, ...]
    found: tuple["_Correlation", ...]

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Put an interval around the source's, and around the difference where there are two."""
        intervals = [each.interval(confidence) for each in self.found]
        alone = self._alone(intervals[0], confidence)
        if len(intervals) == 1:
            return (alone,)
        return alone, self._difference(intervals[0], intervals[1], confidence)

    def _alone(self, interval: Interval, confidence: float) -> Estimate:
        source, found = self.sides[0], self.found[0]
        return Estimate(
            name=CORRELATION.name,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            num_source=len(source),
            n_eff_source=source.finite.n_eff,
            unit="1",
            method=f"Spearman, midranks; artanh interval from the influence function over "
            f"{found.num_units:,} runs or units",
            warnings=(*sample_warnings(source, _NOTHING, LEFT_OUT), *found.warnings),
        )

    def _difference(self, one: Interval, other: Interval, confidence: float) -> Estimate:
        value = one.value - other.value
        interval = Interval(
            value,
            value - math.hypot(one.value - one.low, other.high - other.value),
            value + math.hypot(one.high - one.value, other.value - other.low),
        )
        source, reference = self.sides
        return two_sample_estimate(
            DIFFERENCE.name,
            interval if not math.isnan(value) else Interval(math.nan, -2.0, 2.0),
            num_draws=(len(source), len(reference)),
            n_eff=(source.finite.n_eff, reference.finite.n_eff),
            unit="1",
            method="difference of Spearman's rank correlations; Zou's interval from both",
            confidence=confidence,
            warnings=(
                *sample_warnings(source, reference, LEFT_OUT),
                *dict.fromkeys((*self.found[0].warnings, *self.found[1].warnings)),
            ),
        )


_NOTHING = Draws.of(np.empty(0))


@dataclass(frozen=True)
class _Correlation:
    """A rank correlation with its standard error.

    Attributes:
        value: NaN where a column has one value only.
        stderr: From the influence of every unit.
        num_units: Units, or runs where runs are independent.
    """

    value: float
    stderr: float
    num_units: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say where there is nothing to rank."""
        return ("a column has one value only",) if math.isnan(self.value) else ()

    def interval(self, confidence: float) -> Interval:
        """Give the t interval on the artanh scale."""
        if math.isnan(self.value):
            return Interval(self.value, -1.0, 1.0)
        # |ρ| = 1 would have no error at all: step back by the least change of two ranks, with
        # the error of a normal law's ρ on this scale (Bonett & Wright).
        n = self.num_units
        largest = 1 - 12 / (n * (n**2 - 1))
        if abs(self.value) < largest:
            centre, scale = math.atanh(self.value), self.stderr / (1 - self.value**2)
        else:
            centre = math.copysign(math.atanh(largest), self.value)
            scale = math.sqrt(1.5 / (n - 3))
        reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * scale
        low, high = math.tanh(centre - reach), math.tanh(centre + reach)
        return Interval(self.value, min(low, self.value), max(high, self.value))


def _correlation(draws: Draws) -> _Correlation:
    groups = np.arange(len(draws)) if draws.units is None else draws.units
    labels = np.unique(groups, return_inverse=True)[1]
    num_units = int(labels.max(initial=-1)) + 1
    weights = draws.weights / draws.weights.sum() if len(draws) else draws.weights
    x, y = (_Ranks(column, weights) for column in draws.values.T)
    covariance = float(weights @ (x.rank * y.rank))
    variances = [float(weights @ side.rank**2) for side in (x, y)]
    if not all(variances) or num_units < 2:
        return _Correlation(math.nan, math.nan, num_units)
    scale = math.sqrt(variances[0] * variances[1])
    value = min(max(covariance / scale, -1.0), 1.0)
    of_covariance = (
        x.rank * y.rank + x.mass_above(y.rank) + y.mass_above(x.rank) - 3 * covariance
    )  # fmt: skip
    of_variances = [
        side.rank**2 + 2 * side.mass_above(side.rank) - 3 * variance
        for side, variance in zip((x, y), variances, strict=True)
    ]
    relative = [of / variance for of, variance in zip(of_variances, variances, strict=True)]
    influence = of_covariance / scale - value / 2 * (relative[0] + relative[1])
    of_units = np.bincount(labels, weights * influence)
    # Once for the mean that they are taken from, once for each unit's own part in the ranks, which
    # pulls its influence towards 0: what a jackknife over units would give, to first order.
    variance = float((of_units**2).sum()) * (num_units / (num_units - 1)) ** 2
    return _Correlation(value, math.sqrt(variance), num_units)


class _Ranks:
    """The midranks of a column, from -1/2 to 1/2, and sums over what lies above a value."""

    def __init__(self, values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> None:
        self._weights = weights
        self._level = np.unique(values, return_inverse=True)[1]
        masses = np.bincount(self._level, weights)
        self.rank = (np.cumsum(masses) - masses / 2)[self._level] - 0.5

    def mass_above(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Sum weight times value over the draws above each draw, and half of those beside it."""
        sums = np.bincount(self._level, self._weights * values)
        above: Float[np.ndarray, " n"] = (sums.sum() - np.cumsum(sums) + sums / 2)[self._level]
        return above
