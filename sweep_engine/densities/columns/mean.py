"""Bootstrap over runs, or over whole units where runs depend on one another.

Runs are nested in their unit: a repetition, a chain, or a data set where data seeds are swept.
Units are drawn with all their runs. To draw runs anew within each as well would count the
variance between runs twice: the mean of a unit has it already.

Only for smooth statistics of one column, such as a mean: never for divergences, entropies or
neighbours (their bias does not repeat itself in a resample).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import DATA_SEEDS, Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.errors import InsufficientSamples

NUM_RESAMPLES = 1000
MIN_UNITS = 2
MAX_UNITS = 2000
"""More runs than this are resampled in so many random groups: the same variance, sooner."""

Sums = tuple[Float[np.ndarray, " u"], Float[np.ndarray, " u"]]
"""Of every unit: its weighted sum, and its weight."""


def mean_difference(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> Estimate:
    """Estimate the difference of two means, with a bootstrap over runs or units.

    Units are resampled whole, so dependence within them is honoured whatever it is. Data
    seeds are resampled for both sides at once, since both met the same data sets. The
    interval is the value ± t times the resamples' standard deviation, √(u/(u-1)) larger for
    u units, with t of the fewer units' u - 1 degrees of freedom.

    Example:
        >>> found = mean_difference(
        ...     Draws.of(np.arange(50.0)), Draws.of(np.arange(50.0) - 1), seed=0)
        >>> found.value, found.low < 1.0 < found.high
        (1.0, True)

    Args:
        source: One column.
        reference: The same column.
        seed: Of the resamples.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 2 runs or units on one side.

    Source:
        Efron & Tibshirani (1993), chapters 6 and 12; Field & Welsh (2007) for units.
    """
    finite = source.finite, reference.finite
    require_draws(*finite)
    rng = np.random.default_rng([seed, 9])
    if all(side.unit_name == DATA_SEEDS for side in finite):
        found = [_resampled(_sums_per_data_seed(finite), rng)]
        resampled = f"{found[0].num_units:,} data seeds, of both sides at once,"
    else:
        sides = [_resampled([_unit_sums(side, rng)], rng) for side in finite]
        found = [sides[0], replace(sides[1], value=-sides[1].value)]
        resampled = f"{sides[0].num_units:,} and {sides[1].num_units:,} runs or units,"
    reach = _t(min(one.num_units for one in found), confidence)
    reach *= math.sqrt(sum(one.variance for one in found))
    value = sum(one.value for one in found)
    return two_sample_estimate(
        "mean_difference",
        Interval(value, value - reach, value + reach),
        num_draws=(len(source), len(reference)),
        n_eff=(finite[0].n_eff, finite[1].n_eff),
        unit="1",
        method=f"difference of means; {NUM_RESAMPLES} bootstrap resamples of {resampled} "
        "t interval",
        confidence=confidence,
        seed=seed,
        warnings=sample_warnings(source, reference),
    )


def mean(draws: Draws, *, name: str, seed: int, confidence: float = 0.95) -> Estimate:
    """Estimate a mean, with a bootstrap over runs or units; see `mean_difference`.

    Example:
        >>> mean(Draws.of(np.arange(50.0)), name="mean_steps", seed=0).value
        24.5

    Args:
        draws: One column.
        name: The estimate's name.
        seed: Of the resamples.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 2 runs or units.
    """
    finite = draws.finite
    require_draws(finite)
    rng = np.random.default_rng([seed, 10])
    found = _resampled([_unit_sums(finite, rng)], rng)
    reach = _t(found.num_units, confidence) * math.sqrt(found.variance)
    units = "data seeds" if draws.unit_name == DATA_SEEDS else "runs or units"
    return Estimate(
        name=name,
        value=found.value,
        low=found.value - reach,
        high=found.value + reach,
        confidence=confidence,
        num_source=len(draws),
        n_eff_source=finite.n_eff,
        unit="1",
        method=f"mean; {NUM_RESAMPLES} bootstrap resamples of {found.num_units:,} {units}, "
        "t interval",
        seed=seed,
        warnings=sample_warnings(draws, draws)[:1],
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
    times = rng.multinomial(num_units, np.full(num_units, 1 / num_units), NUM_RESAMPLES)
    with np.errstate(invalid="ignore"):
        means = [(times @ sums) / (times @ masses) for sums, masses in sides]
    values = means[0] - means[1] if len(means) > 1 else means[0]
    values = values[np.isfinite(values)]  # no mass at all was drawn
    whole = [float(sums.sum() / masses.sum()) for sums, masses in sides]
    variance = float(values.var(ddof=1)) * num_units / (num_units - 1)
    return _Resampled(whole[0] - sum(whole[1:]), variance, num_units)


def _t(num_units: int, confidence: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, num_units - 1))


def _sums_per_data_seed(sides: tuple[Draws, Draws]) -> list[Sums]:
    """Sums and masses of both sides over the data seeds that either has."""
    seeds = np.concatenate([side.units for side in sides])
    labels = np.unique(seeds, return_inverse=True)[1]
    num_seeds, split = int(labels.max()) + 1, len(sides[0])
    return [
        (
            np.bincount(mine, side.weights * side.values, num_seeds),
            np.bincount(mine, side.weights, num_seeds),
        )
        for side, mine in zip(sides, (labels[:split], labels[split:]), strict=True)
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
