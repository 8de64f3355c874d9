"""The log density ratio of two laws of a scalar, bin by bin."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.cells.binning import (
    DEFAULT_BINS,
    affordable_bins,
    count_cells,
    equal_mass_cuts,
)
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.probabilities.proportions import Frequencies, frequencies, log_ratio


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
