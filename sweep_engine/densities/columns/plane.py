"""Two samples of two observables on shared bins: the picture, and a binned TV."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import LARGEST, UNITS, total_variation_interval
from sweep_engine.densities.cells.lower_bounds import METHODS, TV_BOUND
from sweep_engine.densities.columns.histograms import Density, shared_edges, to_density
from sweep_engine.densities.draws import Draws, sample_warnings
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.probabilities.proportions import frequencies, log_ratio
from sweep_engine.errors import InsufficientSamples

MIN_DRAWS = 100

Edges = tuple[Float[np.ndarray, " X+1"], Float[np.ndarray, " Y+1"]]


@dataclass(frozen=True)
class Histogram2D:
    """Two samples of pairs on shared bins, for plots; arrays have shape (X, Y).

    Attributes:
        edges: Ascending edges of both axes.
        source: Counts and density per unit area.
        reference: The same for the reference.
        log_ratio: ln(p_source / p_reference) in nats; NaN where neither has a draw.
        low: Low ends, each interval by itself.
        high: High ends.
        confidence: At least, of each interval.
    """

    edges: Edges
    source: Density
    reference: Density
    log_ratio: Float[np.ndarray, "X Y"]
    low: Float[np.ndarray, "X Y"]
    high: Float[np.ndarray, "X Y"]
    confidence: float


def histogram_2d(
    source: Draws,
    reference: Draws,
    *,
    num_bins: tuple[int, int] = (32, 32),
    confidence: float = 0.95,
) -> Histogram2D:
    """Compute both histograms and their log ratio on shared bins of equal size.

    The log ratio's intervals are exact, each by itself, and wider than need be: they
    combine two binomial intervals at error (1 - confidence)/2.

    Example:
        >>> grid = Draws.of(np.array([[0.0, 0.0], [1.0, 1.0]]))
        >>> histogram_2d(grid, grid, num_bins=(2, 2)).source.counts.tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    Args:
        source: Draws of pairs.
        reference: Draws of pairs.
        num_bins: X and Y.
        confidence: Of each interval.

    Raises:
        InsufficientSamples: One side has no draw.
        ValueError: The arrays do not have two columns.
    """
    _check(source, reference, 1)
    edges = _edges(source, reference, num_bins)
    counts = _count_cells(source, reference, edges)
    each = (1 + confidence) / 2
    cells, reference_cells = frequencies(counts.source, each), frequencies(counts.reference, each)
    area = np.outer(np.diff(edges[0]), np.diff(edges[1]))
    ratio, low, high = (part[:-1].reshape(area.shape) for part in log_ratio(cells, reference_cells))
    return Histogram2D(
        edges,
        to_density(cells, area),
        to_density(reference_cells, area),
        ratio,
        low,
        high,
        confidence,
    )


def binned_plane(
    source: Draws, reference: Draws, seed: int, num_bins: tuple[int, int] = (16, 16)
) -> "BinnedPlane":
    """Look at two laws of pairs on bins: a lower bound of their total variation.

    Bins and the set where the source has more mass are chosen on one half of the draws
    and measured on the other. What is not finite, or outside the first half's range, is one
    cell. The TV over the cells is below the TV, so the interval is open upwards.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(9, 1, (500, 2))), Draws.of(rng.normal(0, 1, (500, 2)))
        >>> binned_plane(*sides, 0).at(0.95)[0].low > 0.9
        True

    Args:
        source: Draws of pairs.
        reference: Draws of pairs.
        seed: Of the random halves.
        num_bins: X and Y.

    Raises:
        InsufficientSamples: Fewer than 100 effective draws on one side.
        ValueError: The arrays do not have two columns.
    """
    _check(source, reference, MIN_DRAWS)
    halves = _split_half(source, reference, num_bins, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    (null,) = same_source_null(
        lambda half, other: [
            total_variation_interval(*_split_half(half, other, num_bins, rng)).value
        ],
        (source, reference),
        lambda side: side.halve(rng),
    )
    return BinnedPlane(source, reference, seed, num_bins, halves, null)


@dataclass(frozen=True)
class BinnedPlane:
    """Counts of two halves on bins of the plane."""

    source: Draws
    reference: Draws
    seed: int
    num_bins: tuple[int, int]
    halves: tuple[CellCounts, CellCounts]
    null: Interval

    def at(self, confidence: float) -> tuple[Estimate]:
        """Measure the total variation over the bins."""
        over_bins = total_variation_interval(*self.halves, confidence)
        estimate = two_sample_estimate(
            TV_BOUND.name,
            Interval(over_bins.value, over_bins.low, LARGEST["total_variation"]),
            num_draws=(len(self.source), len(self.reference)),
            n_eff=(self.source.n_eff, self.reference.n_eff),
            unit=UNITS["total_variation"],
            method=f"{self.num_bins[0]} x {self.num_bins[1]} bins chosen on one half of "
            f"independent draws; measured on the other half: {METHODS['total_variation']}",
            seed=self.seed,
            confidence=confidence,
            warnings=sample_warnings(self.source, self.reference),
        )
        return (estimate.with_null(self.null),)


def _split_half(
    source: Draws, reference: Draws, num_bins: tuple[int, int], rng: np.random.Generator
) -> tuple[CellCounts, CellCounts]:
    (first, second), (first_ref, second_ref) = source.halve(rng), reference.halve(rng)
    edges = _edges(first, first_ref, num_bins)
    return _count_cells(first, first_ref, edges), _count_cells(second, second_ref, edges)


def _edges(source: Draws, reference: Draws, num_bins: tuple[int, int]) -> Edges:
    finite = np.concatenate([source.finite.values, reference.finite.values])
    return shared_edges(finite[:, 0], num_bins[0]), shared_edges(finite[:, 1], num_bins[1])


def _count_cells(source: Draws, reference: Draws, edges: Edges) -> CellCounts:
    """Count the bins row by row, then what is in none of them."""
    return CellCounts(*(_count(draws, edges) for draws in (source, reference)))


def _count(draws: Draws, edges: Edges) -> Float[np.ndarray, " B"]:
    finite, weights = draws.is_finite, draws.effective_weights
    x, y = draws.values[finite].T
    inside, _, _ = np.histogram2d(x, y, bins=edges, weights=weights[finite])
    counts = inside.ravel()
    return np.append(counts, max(0.0, float(weights.sum() - counts.sum())))


def _check(source: Draws, reference: Draws, num_draws: int) -> None:
    for draws in (source, reference):
        if draws.values.ndim != 2 or draws.values.shape[1] != 2:
            raise ValueError(f"expected pairs of shape (n, 2), got {draws.values.shape}")
    if min(source.n_eff, reference.n_eff) < num_draws:
        raise InsufficientSamples(
            f"needs at least {num_draws} effective draws on each side, got {source.n_eff:.4g} of "
            f"the source and {reference.n_eff:.4g} of the reference"
        )
