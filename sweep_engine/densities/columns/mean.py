"""Bootstrap over runs, or over whole units where runs depend on one another.

Runs are nested in their unit: a repetition, a chain, or a data set where data seeds are swept.
Units are drawn with all their runs. To draw runs anew within each as well would count the
variance between runs twice: the mean of a unit has it already.

Only for smooth statistics of one column, such as a mean: never for divergences, entropies or
neighbours (their bias does not repeat itself in a resample).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import (
    DATA_SEEDS,
    LEFT_OUT,
    Draws,
    require_draws,
    require_finite,
    sample_warnings,
)
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.estimator import Estimator, Part, Quantity, Table, Takes, Verdict
from sweep_engine.densities.trust import Trust
from sweep_engine.errors import InsufficientSamples
from sweep_engine.numbers import format_interval

NUM_RESAMPLES = 1000
MIN_UNITS = 2
MAX_UNITS = 2000
"""More runs than this are resampled in so many random groups: the same variance, sooner."""


def _clause(estimate: Estimate) -> str:
    return f"shift of the mean {format_interval(estimate.value, estimate.low, estimate.high)}"


DIFFERENCE = Quantity(
    "mean_difference",
    "The source's mean less the reference's, in the column's unit.".format,
    Table.HEADLINES,
    Verdict.INTERVAL,
    part=Part.SHIFT,
    clause=_clause,
)

Sums = tuple[Float[np.ndarray, " u"], Float[np.ndarray, " u"]]
"""Of every unit: its weighted sum, and its weight."""


class MeanDifference(Estimator[Draws]):
    """Estimates the difference of two means, with a bootstrap over runs or units.

    Units are resampled whole, so dependence within them is honoured whatever it is. Data
    seeds are resampled for both sides at once, since both met the same data sets. The
    interval is the value ± t times the resamples' standard deviation, √(u/(u-1)) larger for
    u units, with t of the fewer units' u - 1 degrees of freedom.

    Example:
        >>> sides = Draws.of(np.arange(50.0)), Draws.of(np.arange(50.0) - 1)
        >>> (shift,) = MeanDifference().look(*sides, 0).at(0.95)
        >>> shift.value, shift.low < 1.0 < shift.high
        (1.0, True)

    Source:
        Efron & Tibshirani (1993), chapters 6 and 12; Field & Welsh (2007) for units.
    """

    name = "mean"
    takes = Takes.ONE_COLUMN
    trust = Trust(name, MIN_UNITS)
    quantities = (DIFFERENCE,)

    def look(self, source: Draws, reference: Draws, seed: int) -> "MeanDifferenceReading":
        """Resample both sides."""
        self.takes.check(self.name, source)
        require_finite(source, reference)
        finite = source.finite, reference.finite
        require_draws(*finite)
        rng = np.random.default_rng([seed, 9])
        if all(side.unit_name == DATA_SEEDS for side in finite):
            both = _resampled(_sums_per_data_seed(finite), rng)
            units = f"{both.num_units:,} data seeds, of both sides at once,"
            return MeanDifferenceReading(source, reference, seed, both.value, (both,), units)
        sides = tuple(_resampled([_unit_sums(side, rng)], rng) for side in finite)
        value = sides[0].value - sides[1].value
        units = " and ".join(f"{side.num_units:,}" for side in sides) + " runs or units,"
        return MeanDifferenceReading(source, reference, seed, value, sides, units)


@dataclass(frozen=True)
class MeanDifferenceReading:
    """Hold what the resamples gave: of both sides at once, or of each."""

    source: Draws
    reference: Draws
    seed: int
    value: float
    resampled: tuple["_Resampled", ...]
    units: str

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put a t interval around the difference."""
        reach = _t(min(side.num_units for side in self.resampled), confidence)
        reach *= math.sqrt(sum(side.variance for side in self.resampled))
        return (
            two_sample_estimate(
                DIFFERENCE.name,
                Interval(self.value, self.value - reach, self.value + reach),
                num_draws=(len(self.source), len(self.reference)),
                n_eff=(self.source.finite.n_eff, self.reference.finite.n_eff),
                unit="1",
                method=f"difference of means; {NUM_RESAMPLES} bootstrap resamples of {self.units} "
                "t interval",
                confidence=confidence,
                seed=self.seed,
                warnings=sample_warnings(self.source, self.reference, LEFT_OUT),
            ),
        )


def mean(draws: Draws, *, name: str, seed: int) -> "MeanReading":
    """Look at one mean, with a bootstrap over runs or units; see `MeanDifference`.

    Example:
        >>> mean(Draws.of(np.arange(50.0)), name="mean_steps", seed=0).at(0.95)[0].value
        24.5

    Args:
        draws: One column.
        name: The estimate's name.
        seed: Of the resamples.

    Raises:
        InsufficientSamples: Fewer than 2 runs or units.
        IncomparableSources: More than one in 20 is not finite.
    """
    require_finite(draws)
    require_draws(draws.finite)
    rng = np.random.default_rng([seed, 10])
    return MeanReading(name, draws, seed, _resampled([_unit_sums(draws.finite, rng)], rng))


@dataclass(frozen=True)
class MeanReading:
    """What the resamples of one side gave."""

    name: str
    draws: Draws
    seed: int
    resampled: "_Resampled"

    def at(self, confidence: float) -> tuple[Estimate]:
        """Put a t interval around the mean."""
        value, num_units = self.resampled.value, self.resampled.num_units
        reach = _t(num_units, confidence) * math.sqrt(self.resampled.variance)
        units = "data seeds" if self.draws.unit_name == DATA_SEEDS else "runs or units"
        return (
            Estimate(
                name=self.name,
                value=value,
                low=value - reach,
                high=value + reach,
                confidence=confidence,
                num_source=len(self.draws),
                n_eff_source=self.draws.finite.n_eff,
                unit="1",
                method=f"mean; {NUM_RESAMPLES} bootstrap resamples of {num_units:,} {units}, "
                "t interval",
                seed=self.seed,
                warnings=sample_warnings(self.draws, Draws.of(np.empty(0)), LEFT_OUT),
            ),
        )


@dataclass(frozen=True)
class _Resampled:
    value: float
    variance: float
    num_units: int


def _resampled(sides: Sequence[Sums], rng: np.random.Generator) -> _Resampled:
    """The mean of one side, or of the first less that of the second, and its variance."""
    num_units = len(sides[0][0])
    if num_units < MIN_UNITS:
        raise InsufficientSamples(
            f"a bootstrap needs at least {MIN_UNITS} runs or units on each side, got {num_units}"
        )
    times = _times_drawn(num_units, rng)
    with np.errstate(invalid="ignore"):
        means = [(times @ sums) / (times @ masses) for sums, masses in sides]
    values = means[0] - means[1] if len(means) > 1 else means[0]
    values = values[np.isfinite(values)]  # no mass at all was drawn
    whole = [float(sums.sum() / masses.sum()) for sums, masses in sides]
    variance = float(values.var(ddof=1)) * num_units / (num_units - 1)
    return _Resampled(whole[0] - sum(whole[1:]), variance, num_units)


def _times_drawn(num_units: int, rng: np.random.Generator) -> Float[np.ndarray, "resamples u"]:
    """Count each unit in each resample: `rng.multinomial`'s law, in a quarter of its time."""
    times = np.empty((NUM_RESAMPLES, num_units))
    for resample in times:
        drawn = rng.integers(0, num_units, num_units, dtype=np.int32)
        resample[:] = np.bincount(drawn, minlength=num_units)
    return times


def _t(num_units: int, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, num_units - 1))


def _sums_per_data_seed(sides: tuple[Draws, Draws]) -> list[Sums]:
    """Sums and masses of both sides over the data seeds that either has."""
    seeds = np.concatenate([side.units for side in sides])
    labels = np.unique(seeds, return_inverse=True)[1]
    num_seeds, split = int(labels.max()) + 1, len(sides[0])
    return [
        (
            np.bincount(seed, side.weights * side.values, num_seeds),
            np.bincount(seed, side.weights, num_seeds),
        )
        for side, seed in zip(sides, (labels[:split], labels[split:]), strict=True)
    ]


def _unit_sums(draws: Draws, rng: np.random.Generator) -> Sums:
    if draws.units is None and len(draws) <= MAX_UNITS:
        return draws.weights * draws.values, draws.weights
    labels = (
        rng.integers(0, MAX_UNITS, len(draws))
        if draws.units is None
        else np.unique(draws.units, return_inverse=True)[1]
    )
    return np.bincount(labels, draws.weights * draws.values), np.bincount(labels, draws.weights)
