"""Two samples of two observables on shared bins: the picture, and a binned TV."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sweep_engine.densities.counts import CellCounts
from sweep_engine.densities.divergences import UNITS, total_variation_interval
from sweep_engine.densities.estimate import Estimate, Interval, two_sample_estimate
from sweep_engine.densities.histograms import Density, shared_edges, to_density
from sweep_engine.densities.lower_bounds import METHODS
from sweep_engine.densities.null import same_source_null
from sweep_engine.densities.proportions import frequencies, log_ratio
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
    source: Float[np.ndarray, "n 2"],
    reference: Float[np.ndarray, "m 2"],
    *,
    num_bins: tuple[int, int] = (32, 32),
    confidence: float = 0.95,
) -> Histogram2D:
    """Compute both histograms and their log ratio on shared bins of equal size.

    The log ratio's intervals are exact, each by itself, and wider than need be: they
    combine two binomial intervals at error (1 - confidence)/2.

    Example:
        >>> grid = np.array([[0.0, 0.0], [1.0, 1.0]])
        >>> histogram_2d(grid, grid, num_bins=(2, 2)).source.counts.tolist()
        [[1, 0], [0, 1]]

    Args:
        source: Independent draws, one pair a row.
        reference: Independent draws.
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


def binned_total_variation_2d(
    source: Float[np.ndarray, "n 2"],
    reference: Float[np.ndarray, "m 2"],
    *,
    seed: int,
    num_bins: tuple[int, int] = (16, 16),
    confidence: float = 0.95,
) -> Estimate:
    """Estimate a lower bound of the total variation between two laws of pairs.

    Bins and the set where the source has more mass are chosen on one half of the draws
    and measured on the other. What is not finite, or outside the first half's range, is one
    cell. The interval is for the TV over the cells.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> far = binned_total_variation_2d(
        ...     rng.normal(9, 1, (500, 2)), rng.normal(0, 1, (500, 2)), seed=0)
        >>> far.low > 0.9
        True

    Args:
        source: Independent draws, one pair a row.
        reference: Independent draws.
        seed: Of the random halves.
        num_bins: X and Y.
        confidence: Of the interval.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
        ValueError: The arrays do not have two columns.
    """
    _check(source, reference, MIN_DRAWS)
    interval = _split_half(source, reference, num_bins, np.random.default_rng(seed), confidence)
    rng = np.random.default_rng([seed, 1])
    (null,) = same_source_null(
        lambda one, other: [_split_half(one, other, num_bins, rng, confidence).value],
        (source, reference),
        lambda rows: _halve(rows, rng),
    )
    return two_sample_estimate(
        "total_variation_lower_bound",
        interval,
        num_draws=(len(source), len(reference)),
        n_eff=(float(len(source)), float(len(reference))),
        unit=UNITS["total_variation"],
        method=f"{num_bins[0]} x {num_bins[1]} bins chosen on one half of independent draws; "
        f"measured on the other half: {METHODS['total_variation']}",
        seed=seed,
        confidence=confidence,
        warnings=_warnings(source, reference),
    ).with_null(null)


def _split_half(
    source: Float[np.ndarray, "n 2"],
    reference: Float[np.ndarray, "m 2"],
    num_bins: tuple[int, int],
    rng: np.random.Generator,
    confidence: float,
) -> Interval:
    (first, second), (first_ref, second_ref) = _halve(source, rng), _halve(reference, rng)
    edges = _edges(first, first_ref, num_bins)
    return total_variation_interval(
        _count_cells(first, first_ref, edges), _count_cells(second, second_ref, edges), confidence
    )


def _halve(
    rows: Float[np.ndarray, "n 2"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "h 2"], Float[np.ndarray, "k 2"]]:
    first = rng.random(len(rows)) < 0.5
    return rows[first], rows[~first]


def _edges(
    source: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "m 2"], num_bins: tuple[int, int]
) -> Edges:
    rows = np.concatenate([source, reference])
    finite = rows[np.isfinite(rows).all(axis=1)]
    return shared_edges(finite[:, 0], num_bins[0]), shared_edges(finite[:, 1], num_bins[1])


def _count_cells(
    source: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "m 2"], edges: Edges
) -> CellCounts:
    """Count the bins row by row, then what is in none of them."""
    return CellCounts(*(_count(rows, edges) for rows in (source, reference)))


def _count(rows: Float[np.ndarray, "n 2"], edges: Edges) -> Int[np.ndarray, " B"]:
    finite = rows[np.isfinite(rows).all(axis=1)]
    inside, _, _ = np.histogram2d(finite[:, 0], finite[:, 1], bins=edges)
    counts = inside.astype(np.int64).ravel()
    return np.append(counts, len(rows) - counts.sum())


def _warnings(
    source: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "m 2"]
) -> tuple[str, ...]:
    lost = [int((~np.isfinite(rows).all(axis=1)).sum()) for rows in (source, reference)]
    if not any(lost):
        return ()
    return (
        f"{lost[0]} source and {lost[1]} reference draws are not finite: they have a cell of "
        "their own",
    )


def _check(
    source: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "m 2"], num_draws: int
) -> None:
    for rows in (source, reference):
        if rows.ndim != 2 or rows.shape[1] != 2:
            raise ValueError(f"expected pairs of shape (n, 2), got {rows.shape}")
    if min(len(source), len(reference)) < num_draws:
        raise InsufficientSamples(
            f"needs at least {num_draws} draws on each side, got {len(source)} of the source and "
            f"{len(reference)} of the reference"
        )
