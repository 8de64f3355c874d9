"""Two laws compared on bins: divergences, and the mass and quantiles beside them.

Bins are chosen on one half of the independent draws and counted on the other.
"""

from dataclasses import dataclass, replace

import numpy as np

from sweep_engine.densities.cells.binning import (
    DEFAULT_BINS,
    MIN_DRAWS,
    affordable_bins,
    count_cells,
    equal_mass_cuts,
)
from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.held_out import HeldOut
from sweep_engine.densities.cells.lower_bounds import BOUNDS, LowerBounds, cell_values
from sweep_engine.densities.cells.ordered import Ordered, Side, are_many, coins
from sweep_engine.densities.columns.column_ratio import column_log_ratio, ordered_log_ratio
from sweep_engine.densities.columns.outside import OUTSIDE, mass_outside_range
from sweep_engine.densities.columns.plane import binned_plane
from sweep_engine.densities.columns.quantiles import LEVELS, quantiles
from sweep_engine.densities.draws import Draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval
from sweep_engine.densities.estimator import Estimator, Quantity, Reading, Readings, Takes
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.trust import Trust

_QUANTILES = tuple(
    Quantity(
        f"{side}_quantile_{level:g}",
        f"{level:.0%} of the {side} lies at or below {{0.value:.3g}}, in the column's unit.".format,
    )
    for side in ("source", "reference")
    for level in LEVELS
)


Looked = tuple[tuple[CellCounts, CellCounts], HeldOut, list[Interval]]
"""Counts of the half that chose the bins and of the other, the log ratio, and the nulls."""


class Binned(Estimator[Draws]):
    """Estimates lower bounds of TV, JS and KL on bins; of a pair of columns, of TV.

    Binning can only lower a divergence, so intervals are open upwards. What is not finite is one
    more cell. Nothing is smoothed, so atoms and constants are as good as densities. Beside the
    bounds of one column stand the mass outside the reference's range, and quantiles.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 4000)), Draws.of(rng.normal(0, 1, 4000))
        >>> tv, js, kl, outside, *_ = Binned().look(*sides, 0).at(0.95)
        >>> 0.6 * 0.5 < kl.low < 0.5
        True
    """

    name = "binned"
    takes = Takes.ONE_OR_TWO_COLUMNS
    trust = Trust(name, MIN_DRAWS)
    quantities = (*BOUNDS, OUTSIDE, *_QUANTILES)

    def look(self, source: Draws, reference: Draws, seed: int) -> Reading:
        """Choose bins on one half, and count the other."""
        self.takes.check(self.name, source)
        if source.dimension == 2:
            return binned_plane(source, reference, seed)
        return Readings(
            (binned_divergences(source, reference, seed), BesideBins(source, reference))
        )


def binned_divergences(
    source: Draws, reference: Draws, seed: int, num_bins: int = DEFAULT_BINS
) -> LowerBounds:
    """Look at two laws of a scalar on bins of equal mass.

    Args:
        source: Independent draws; weighted ones count by their effective number.
        reference: Independent draws.
        seed: Of the random halves.
        num_bins: At most; fewer where the draws cannot fill them.

    Raises:
        InsufficientSamples: Fewer than 100 effective draws on one side.
    """
    num_bins = affordable_bins(source, reference, num_bins)
    look = _ordered if are_many(source, reference) else _plain
    halves, log_ratio, nulls = look(source, reference, seed, num_bins)
    return LowerBounds(
        *halves,
        log_ratio,
        nulls,
        num_draws=(len(source), len(reference)),
        n_eff=(source.n_eff, reference.n_eff),
        cells=f"bins of equal mass, at most {num_bins},",
        seed=seed,
        warnings=sample_warnings(source, reference),
    )


def _plain(source: Draws, reference: Draws, seed: int, num_bins: int) -> Looked:
    """Look at any draws, which are sorted anew for each part of them."""
    rng = np.random.default_rng([seed, 1])
    return (
        _split_half(source, reference, num_bins, np.random.default_rng(seed)),
        column_log_ratio(source, reference, np.random.default_rng([seed, 2])),
        same_source_null(
            lambda half, other: cell_values(
                *_split_half(half, other, num_bins, rng), column_log_ratio(half, other, rng)
            ),
            (source, reference),
            lambda side: side.halve(rng),
        ),
    )


def _ordered(source: Draws, reference: Draws, seed: int, num_bins: int) -> Looked:
    """Look at many draws of equal weight, which are sorted once: `_plain` by another road."""
    rng, sides = np.random.default_rng([seed, 1]), (Side.of(source), Side.of(reference))
    line = Ordered.of(*sides)
    return (
        _split_ordered(line, num_bins, np.random.default_rng(seed)),
        ordered_log_ratio(line, np.random.default_rng([seed, 2])),
        same_source_null(
            lambda halves: cell_values(
                *_split_ordered(halves, num_bins, rng), ordered_log_ratio(halves, rng)
            ),
            sides,
            lambda side: (side.halve(rng),),
        ),
    )


def _split_ordered(
    line: Ordered, num_bins: int, rng: np.random.Generator
) -> tuple[CellCounts, CellCounts]:
    parts = line.parts(coins(len(line.sides), rng), 2)
    weights = np.array([1, 0, 1, 0]) / np.maximum(parts.num_finite, 1)
    (cuts,) = parts.cuts(weights, (num_bins,))
    counts = parts.counts(cuts)
    return CellCounts(counts[0], counts[2]), CellCounts(counts[1], counts[3])


def _split_half(
    source: Draws, reference: Draws, num_bins: int, rng: np.random.Generator
) -> tuple[CellCounts, CellCounts]:
    (first, second), (first_ref, second_ref) = source.halve(rng), reference.halve(rng)
    cuts = equal_mass_cuts(first, first_ref, num_bins)
    return count_cells(first, first_ref, cuts), count_cells(second, second_ref, cuts)


@dataclass(frozen=True)
class BesideBins:
    """Read what bins do not show: the mass outside the reference's range, and quantiles."""

    source: Draws
    reference: Draws

    def at(self, confidence: float) -> tuple[Estimate, ...]:
        """Read both off the ordered samples."""
        return (
            mass_outside_range(self.source, self.reference, confidence=confidence),
            *_quantiles("source", self.source, confidence),
            *_quantiles("reference", self.reference, confidence),
        )


def _quantiles(side: str, draws: Draws, confidence: float) -> list[Estimate]:
    estimates = quantiles(draws, confidence=confidence)
    return [replace(estimate, name=f"{side}_{estimate.name}") for estimate in estimates]
