"""Two laws of a scalar observable compared on bins: divergences and the density ratio.

Bins are chosen on one half of the independent draws and counted on the other.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.cells.binning import (
    DEFAULT_BINS,
    affordable_bins,
    count_cells,
    equal_mass_cuts,
)
from sweep_engine.densities.cells.divergences import cell_divergences
from sweep_engine.densities.cells.lower_bounds import lower_bound_estimates
from sweep_engine.densities.draws import Draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.probabilities.proportions import Frequencies, frequencies, log_ratio


def binned_divergences(
    source: Draws,
    reference: Draws,
    *,
    seed: int,
    num_bins: int = DEFAULT_BINS,
    confidence: float = 0.95,
) -> tuple[Estimate, ...]:
    """Estimate lower bounds of TV, JS and KL between two laws of a scalar.

    Binning can only lower a divergence; the interval is for the divergence over the bins.
    KL pools bins in which the reference has few draws. What is not finite is one more
    cell. Nothing is smoothed, so atoms and constants are as good as densities.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> tv, js, kl = binned_divergences(
        ...     Draws.of(rng.normal(1, 1, 4000)), Draws.of(rng.normal(0, 1, 4000)), seed=0)
        >>> kl.low < 0.5 < kl.high
        True

    Args:
        source: Independent draws; weighted ones count by their effective number.
        reference: Independent draws.
        seed: Of the random halves.
        num_bins: At most; fewer where the draws cannot fill them.
        confidence: Of each interval by itself.

    Returns:
        `total_variation_lower_bound`, `jensen_shannon_lower_bound` and `kl_lower_bound`.

    Raises:
        InsufficientSamples: Fewer than 100 effective draws on one side.
    """
    num_bins = affordable_bins(source, reference, num_bins)
    intervals = _split_half(source, reference, num_bins, np.random.default_rng(seed), confidence)
    rng = np.random.default_rng([seed, 1])
    nulls = same_source_null(
        lambda one, other: _values(_split_half(one, other, num_bins, rng, confidence)),
        (source, reference),
        lambda side: side.halve(rng),
    )
    return lower_bound_estimates(
        intervals,
        nulls,
        num_draws=(len(source), len(reference)),
        n_eff=(source.n_eff, reference.n_eff),
        cells=f"{num_bins} bins of equal mass chosen on one half of independent draws",
        seed=seed,
        confidence=confidence,
        warnings=sample_warnings(source, reference),
    )


@dataclass(frozen=True)
class DensityRatio:
    """ln(p_source / p_reference) per bin, with intervals that hold all at once.

    The last cell is "not finite": its edges are NaN.

    Attributes:
        lower: Left edges; a bin is (lower, upper].
        upper: Right edges.
        source: Counts and probabilities of the half that measured.
        reference: The same for the reference.
        log_ratio: In nats; NaN where neither has a draw.
        low: Low ends, simultaneous.
        high: High ends, simultaneous.
        confidence: That all intervals hold at once.
    """

    lower: Float[np.ndarray, " B"]
    upper: Float[np.ndarray, " B"]
    source: Frequencies
    reference: Frequencies
    log_ratio: Float[np.ndarray, " B"]
    low: Float[np.ndarray, " B"]
    high: Float[np.ndarray, " B"]
    confidence: float


def density_ratio(
    source: Draws,
    reference: Draws,
    *,
    seed: int,
    num_bins: int = DEFAULT_BINS,
    confidence: float = 0.95,
) -> DensityRatio:
    """Estimate the log density ratio of two laws of a scalar, bin by bin, in nats.

    Exact binomial intervals of both proportions, at error (1 - confidence)/(2B) each, so
    that all B ratios hold at once (Bonferroni).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> same = density_ratio(
        ...     Draws.of(rng.normal(size=4000)), Draws.of(rng.normal(size=4000)), seed=0)
        >>> bool(np.all((same.low <= 0) & (same.high >= 0)))
        True

    Args:
        source: Independent draws.
        reference: Independent draws.
        seed: Of the random halves.
        num_bins: At most; fewer where the draws cannot fill them.
        confidence: Of all intervals together.

    Raises:
        InsufficientSamples: Fewer than 100 effective draws on one side.
    """
    num_bins = affordable_bins(source, reference, num_bins)
    rng = np.random.default_rng(seed)
    (first, second), (first_ref, second_ref) = source.halve(rng), reference.halve(rng)
    cuts = equal_mass_cuts(first, first_ref, num_bins)
    counts = count_cells(second, second_ref, cuts)
    each = 1 - (1 - confidence) / (2 * len(counts.source))
    sides = frequencies(counts.source, each), frequencies(counts.reference, each)
    edges = np.concatenate([[-np.inf], cuts, [np.inf]])
    return DensityRatio(
        np.append(edges[:-1], np.nan),
        np.append(edges[1:], np.nan),
        *sides,
        *log_ratio(*sides),
        confidence=confidence,
    )


def _split_half(
    source: Draws, reference: Draws, num_bins: int, rng: np.random.Generator, confidence: float
) -> dict[str, Interval]:
    (first, second), (first_ref, second_ref) = source.halve(rng), reference.halve(rng)
    cuts = equal_mass_cuts(first, first_ref, num_bins)
    return cell_divergences(
        count_cells(first, first_ref, cuts), count_cells(second, second_ref, cuts), confidence
    )


def _values(intervals: dict[str, Interval]) -> list[float]:
    return [interval.value for interval in intervals.values()]
