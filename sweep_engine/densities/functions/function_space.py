"""Two sources compared in function space, from counts per function.

Every estimate assumes independent draws; clones of splitting and steps of a chain are not.
Plug-in values are biased upwards when many functions are seen once (two samples of 4,096
from one Zipf law over 1e6 functions show a total variation of 0.59), so each stands beside
its same-source null, and beside a lower bound whose functions one half of the draws chose
and the other half measured.
"""

import dataclasses
import math

import numpy as np

from sweep_engine.densities.cells.counts import CellCounts, cut_in_half
from sweep_engine.densities.cells.divergences import (
    NAMES,
    UNITS,
    kl_interval,
    plug_in,
    upper_bounds,
)
from sweep_engine.densities.cells.kl_cells import MIN_REFERENCE_COUNT
from sweep_engine.densities.cells.lower_bounds import METHODS, lower_bound_estimates
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.functions.rank_correlation import rank_correlation
from sweep_engine.densities.functions.split_half import (
    MIN_DRAWS,
    frequent_functions,
    split_half_divergences,
)
from sweep_engine.densities.functions.unseen_mass import good_turing, unseen_mass
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.probabilities.proportions import proportion

HIGH_UNSEEN_MASS = 0.05

_PLUG_IN_METHOD = (
    "plug-in of independent draws, biased upwards; low end of the split-half lower bound, "
    "high end the plug-in plus noise"
)


def compare_functions(
    counts: CellCounts, *, seed: int, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Estimate everything this module knows of two sources' laws over functions.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> [estimate.name for estimate in compare_functions(counts, seed=0)][:3]
        ['total_variation', 'jensen_shannon', 'kl']

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.
        confidence: Of each interval by itself.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    return (
        *divergences(counts, seed=seed, confidence=confidence),
        *divergence_lower_bounds(counts, seed=seed, confidence=confidence),
        kl_common_support(counts, seed=seed, confidence=confidence),
        mass_unseen_by_reference(counts, confidence=confidence),
        rank_correlation(counts, seed=seed, confidence=confidence),
        unseen_mass(counts.source, name="unseen_mass_source", confidence=confidence),
        unseen_mass(counts.reference, name="unseen_mass_reference", confidence=confidence),
    )


def divergences(counts: CellCounts, *, seed: int, confidence: float = 0.95) -> tuple[Estimate, ...]:
    """Estimate TV, JS and KL by their plug-in values, with the same-source null beside.

    The value is biased upwards. The interval is for the true divergence all the same: its
    low end is that of `divergence_lower_bounds`, its high end the plug-in plus noise
    (`upper_bounds`); a KL has no high end. KL is infinite when the source has shown a
    function that the reference has not, whether or not it could have.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> round(divergences(counts, seed=0)[0].value, 3)
        0.2

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.
        confidence: Of each interval by itself.

    Returns:
        `total_variation`, `jensen_shannon` and `kl`.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    counts.require(MIN_DRAWS)
    rng = np.random.default_rng([seed, 1])
    values, highs = plug_in(counts), upper_bounds(counts, confidence)
    bounds = split_half_divergences(counts, np.random.default_rng(seed), confidence)
    nulls = same_source_null(
        lambda one, other: plug_in(CellCounts(one, other)).values(),
        (counts.source, counts.reference),
        lambda side: cut_in_half(side, rng),
    )
    return tuple(
        two_sample_estimate(
            name,
            Interval(values[name], min(bounds[name].low, values[name]), highs[name]),
            num_draws=counts.num_draws,
            n_eff=counts.n_eff,
            unit=UNITS[name],
            method=_PLUG_IN_METHOD,
            seed=seed,
            confidence=confidence,
            warnings=_plug_in_warnings(counts, values[name], null),
        ).with_null(null)
        for name, null in zip(NAMES, nulls, strict=True)
    )


def divergence_lower_bounds(
    counts: CellCounts, *, seed: int, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Estimate lower bounds of TV, JS and KL that do not mistake rarity for difference.

    The frequent functions of one half of the draws become cells, the rest is pooled into
    one, and the other half is counted over these cells: value and interval are for the
    divergence over the cells, which is below the divergence.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> divergence_lower_bounds(counts, seed=0)[0].name
        'total_variation_lower_bound'

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.
        confidence: Of each interval by itself.

    Returns:
        `total_variation_lower_bound`, `jensen_shannon_lower_bound` and `kl_lower_bound`.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    counts.require(MIN_DRAWS)
    rng = np.random.default_rng([seed, 1])
    intervals = split_half_divergences(counts, np.random.default_rng(seed), confidence)
    nulls = same_source_null(
        lambda one, other: _values(split_half_divergences(CellCounts(one, other), rng)),
        (counts.source, counts.reference),
        lambda side: cut_in_half(side, rng),
    )
    return lower_bound_estimates(
        intervals,
        nulls,
        num_draws=counts.num_draws,
        n_eff=counts.n_eff,
        cells="functions chosen on one half of independent draws, the rest pooled",
        seed=seed,
        confidence=confidence,
    )


def kl_common_support(counts: CellCounts, *, seed: int, confidence: float = 0.95) -> Estimate:
    """Estimate the KL divergence conditional on functions that both sources have, in nats.

    KL(P(· | A) ‖ Q(· | A)), A the frequent functions that both showed on one half of the
    draws, measured on the other half. `mass_unseen_by_reference` says what the reference
    leaves out.

    Example:
        >>> counts = CellCounts(np.array([600, 300, 100]), np.array([500, 500, 0]))
        >>> kl_common_support(counts, seed=0).high < float("inf")
        True

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    counts.require(MIN_DRAWS)
    selection, estimation = counts.halve(np.random.default_rng(seed))
    seen = (selection.source > 0) & (selection.reference >= MIN_REFERENCE_COUNT)
    common = estimation.select(seen & frequent_functions(selection))
    shares = (
        common.num_source / estimation.num_source,
        (common.num_reference / estimation.num_reference),
    )
    return two_sample_estimate(
        "kl_common_support",
        kl_interval(common, confidence) if min(shares) > 0 else Interval(math.nan, 0.0, math.inf),
        num_draws=counts.num_draws,
        n_eff=counts.n_eff,
        unit="nats",
        method="conditional on functions that both showed on one half of independent draws, "
        f"measured on the other; {METHODS['kl']}",
        seed=seed,
        confidence=confidence,
        warnings=(
            f"conditional on {len(common.source)} functions with {shares[0]:.3g} of the source "
            f"and {shares[1]:.3g} of the reference",
        ),
    )


def mass_unseen_by_reference(counts: CellCounts, *, confidence: float = 0.95) -> Estimate:
    """Estimate the source's mass on functions that this sample of the reference lacks.

    Given the reference's sample it is a proportion of independent draws, with its exact
    interval. It is not the mass outside the reference's support: rare functions count too.

    Example:
        >>> mass_unseen_by_reference(CellCounts(np.array([90, 10]), np.array([100, 0]))).value
        0.1

    Args:
        counts: Independent draws per function.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: One side has no draw.
    """
    counts.require(1)
    unseen = counts.source[counts.reference == 0].sum()
    estimate = proportion(
        int(unseen),
        int(counts.num_source),
        name="mass_unseen_by_reference",
        confidence=confidence,
    )
    return dataclasses.replace(
        estimate,
        num_reference=counts.num_draws[1],
        n_eff_reference=counts.num_reference,
        method="share of independent source draws, given the reference's sample; Clopper-Pearson",
        warnings=(),
    )


def _values(intervals: dict[str, Interval]) -> list[float]:
    return [interval.value for interval in intervals.values()]


def _plug_in_warnings(counts: CellCounts, value: float, null: Interval) -> tuple[str, ...]:
    warnings = []
    unseen = good_turing(counts.source), good_turing(counts.reference)
    if max(unseen) > HIGH_UNSEEN_MASS:
        warnings.append(
            f"unseen mass {unseen[0]:.2g} and {unseen[1]:.2g} (Good-Turing): the plug-in is "
            "biased upwards, read the lower bound"
        )
    if value <= null.high:
        warnings.append("not above its same-source null")
    if math.isinf(value):
        outside = counts.source[counts.reference == 0].sum() / counts.num_source
        warnings.append(
            f"infinite as a plug-in: {outside:.3g} of the source is on functions that the "
            "reference has not shown"
        )
    return tuple(warnings)
