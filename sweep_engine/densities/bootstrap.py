"""Bootstrap over runs, or over whole units where runs depend on one another.

Only for smooth statistics of one column, such as a mean: never for divergences, entropies or
neighbours (their bias does not repeat itself in a resample).
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from sweep_engine.densities.draws import Draws, require_draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.errors import InsufficientSamples

NUM_RESAMPLES = 1000
MIN_UNITS = 2
MAX_UNITS = 2000
"""More runs than this are resampled in so many random groups: the same variance, sooner."""

Weights = Float[np.ndarray, " u"]


def mean_difference(
    source: Draws, reference: Draws, *, seed: int, confidence: float = 0.95
) -> Estimate:
    """Estimate the difference of two means, with a bootstrap over runs or units.

    Units are resampled whole, so dependence within them is honoured whatever it is. The
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
    means, variances, units = zip(*(_resampled_mean(side, rng) for side in finite), strict=True)
    reach = float(stats.t.ppf((1 + confidence) / 2, min(units) - 1)) * math.sqrt(sum(variances))
    value = means[0] - means[1]
    return two_sample_estimate(
        "mean_difference",
        Interval(value, value - reach, value + reach),
        num_draws=(len(source), len(reference)),
        n_eff=(finite[0].n_eff, finite[1].n_eff),
        unit="1",
        method=f"difference of means; {NUM_RESAMPLES} bootstrap resamples of "
        f"{units[0]:,} and {units[1]:,} runs or units, t interval",
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
    value, variance, units = _resampled_mean(finite, np.random.default_rng([seed, 10]))
    reach = float(stats.t.ppf((1 + confidence) / 2, units - 1)) * math.sqrt(variance)
    return Estimate(
        name=name,
        value=value,
        low=value - reach,
        high=value + reach,
        confidence=confidence,
        num_source=len(draws),
        n_eff_source=finite.n_eff,
        unit="1",
        method=f"mean; {NUM_RESAMPLES} bootstrap resamples of {units:,} runs or units, t interval",
        seed=seed,
        warnings=sample_warnings(draws, draws)[:1],
    )


def _resampled_mean(draws: Draws, rng: np.random.Generator) -> tuple[float, float, int]:
    """The mean, its bootstrap variance, and how many units were resampled."""
    sums, masses = _unit_sums(draws, rng)
    num_units = len(sums)
    if num_units < MIN_UNITS:
        raise InsufficientSamples(
            f"a bootstrap needs at least {MIN_UNITS} runs or units on each side, got {num_units}"
        )
    times = rng.multinomial(num_units, np.full(num_units, 1 / num_units), NUM_RESAMPLES)
    mass = times @ masses
    values = (times @ sums)[mass > 0] / mass[mass > 0]
    variance = float(values.var(ddof=1)) * num_units / (num_units - 1)
    return float(sums.sum() / masses.sum()), variance, num_units


def _unit_sums(draws: Draws, rng: np.random.Generator) -> tuple[Weights, Weights]:
    if draws.units is None and len(draws) <= MAX_UNITS:
        return draws.weights * draws.values, draws.weights
    labels = (
        rng.integers(0, MAX_UNITS, len(draws))
        if draws.units is None
        else np.unique(draws.units, return_inverse=True)[1]
    )
    return np.bincount(labels, draws.weights * draws.values), np.bincount(labels, draws.weights)
