"""Histograms on shared bins of equal width, as densities with intervals: for plots.

Intervals are exact for independent draws, each bin by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from sweep_engine.densities.draws import Draws, require_draws
from sweep_engine.densities.probabilities.proportions import Frequencies, frequencies

MAX_LATTICE = 256
MAX_LATTICE_POINTS = 4096


@dataclass(frozen=True)
class Density:
    """A histogram as a density, with exact intervals, each by itself; any dimension.

    Attributes:
        counts: Draws per bin; effective counts for weighted draws.
        density: Per unit of the observable, or of area.
        low: Low ends of the density's interval.
        high: High ends.
        not_finite: Mass that no bin can hold; the density integrates to 1 less this.
    """

    counts: Real[np.ndarray, "*bins"]
    density: Float[np.ndarray, "*bins"]
    low: Float[np.ndarray, "*bins"]
    high: Float[np.ndarray, "*bins"]
    not_finite: float


@dataclass(frozen=True)
class Histogram:
    """Two samples of a scalar on shared bins of equal width, for plots.

    Attributes:
        edges: B + 1 ascending edges.
        source: Density of the source.
        reference: Density of the reference.
    """

    edges: Float[np.ndarray, " B+1"]
    source: Density
    reference: Density


def histogram(
    source: Draws, reference: Draws, *, num_bins: int = 64, confidence: float = 0.95
) -> Histogram:
    """Compute histograms of both samples on shared bins of equal width.

    Bins span all finite draws. A sample of one value gets bins around it.

    Example:
        >>> plot = histogram(Draws.of(np.zeros(5)), Draws.of(np.ones(5)), num_bins=2)
        >>> plot.edges.tolist(), plot.source.density.tolist()
        ([0.0, 0.5, 1.0], [2.0, 0.0])

    Args:
        source: Draws, weighted or not.
        reference: Draws, weighted or not.
        num_bins: B.
        confidence: Of each bin's interval by itself.

    Raises:
        InsufficientSamples: One side has no draw.
    """
    edges, densities = histograms((source, reference), num_bins=num_bins, confidence=confidence)
    return Histogram(edges, *densities)


def histograms(
    samples: Sequence[Draws], *, num_bins: int = 64, confidence: float = 0.95
) -> tuple[Float[np.ndarray, " B+1"], tuple[Density, ...]]:
    """Compute the histograms of any number of samples on shared bins of equal width.

    Example:
        >>> edges, densities = histograms([Draws.of(np.zeros(5)), Draws.of(np.ones(5))], num_bins=2)
        >>> edges.tolist(), densities[1].density.tolist()
        ([0.0, 0.5, 1.0], [0.0, 2.0])

    Args:
        samples: Draws, weighted or not.
        num_bins: B.
        confidence: Of each bin's interval by itself.

    Returns:
        The B + 1 ascending edges, and every sample's density.

    Raises:
        InsufficientSamples: A sample has no draw.
    """
    require_draws(*samples)
    edges = shared_edges(np.concatenate([draws.finite.values for draws in samples]), num_bins)
    return edges, tuple(
        to_density(frequencies(_count(draws, edges), confidence), np.diff(edges))
        for draws in samples
    )


def shared_edges(values: Float[np.ndarray, " n"], num_bins: int) -> Float[np.ndarray, " B+1"]:
    """Compute edges of equal bins over finite values, widened when they hardly differ.

    Values on a lattice (an error over n examples) get bins with equally many lattice
    points each, or the histogram would show the lattice's beat with the bins.

    Example:
        >>> shared_edges(np.array([2.0, 2.0]), 2).tolist()
        [1.0, 2.0, 3.0]

    Args:
        values: Finite; none at all is as good as a zero.
        num_bins: B.
    """
    if (step := _lattice_step(values)) is not None:
        return _lattice_edges(values, step, num_bins)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    scale = max(abs(low), abs(high))
    if high - low <= 1e-9 * scale or low == high:
        low, high = low - max(scale, 1.0) / 2, high + max(scale, 1.0) / 2
    return np.linspace(low, high, num_bins + 1)


def _lattice_step(values: Float[np.ndarray, " n"]) -> float | None:
    """The step of the lattice that few-valued data stand on, such as counts over n."""
    if len(np.unique(values[: 2 * MAX_LATTICE])) > MAX_LATTICE:
        return None  # without sorting millions of values that all differ
    distinct = np.unique(values)
    if not 2 < len(distinct) <= MAX_LATTICE:
        return None
    step = float(np.diff(distinct).min())
    if not np.ptp(distinct) / MAX_LATTICE_POINTS < step < np.inf:
        return None
    multiples = np.diff(distinct) / step
    return step if np.all(np.abs(multiples - np.round(multiples)) < 1e-2) else None


def _lattice_edges(
    values: Float[np.ndarray, " n"], step: float, num_bins: int
) -> Float[np.ndarray, " B+1"]:
    """Edges halfway between lattice points, each bin with the same number of them."""
    low, high = float(values.min()), float(values.max())
    points = round((high - low) / step) + 1
    width = -(-points // num_bins)
    return low + step * (width * np.arange(-(-points // width) + 1) - 0.5)


def to_density(cells: Frequencies, volume: Float[np.ndarray, "*bins"]) -> Density:
    """Divide the probabilities of bins by their volumes.

    Example:
        >>> to_density(frequencies(np.array([3, 1])), np.array([0.5])).density.tolist()
        [1.5]

    Args:
        cells: Bins in row-major order, then one last cell for what is in no bin.
        volume: Width or area per bin; its shape is the result's.
    """
    return Density(
        cells.counts[:-1].reshape(volume.shape),
        _per_volume(cells.probability, volume),
        _per_volume(cells.low, volume),
        _per_volume(cells.high, volume),
        not_finite=float(cells.probability[-1]),
    )


def _per_volume(
    part: Float[np.ndarray, " B"], volume: Float[np.ndarray, "*bins"]
) -> Float[np.ndarray, "*bins"]:
    per_volume: Float[np.ndarray, "*bins"] = part[:-1].reshape(volume.shape) / volume
    return per_volume


def _count(draws: Draws, edges: Float[np.ndarray, " B+1"]) -> Float[np.ndarray, " B+1"]:
    """Count the bins, then what is not finite."""
    finite, weights = np.isfinite(draws.values), draws.effective_weights
    counts, _ = np.histogram(draws.values[finite], edges, weights=weights[finite])
    return np.append(counts, weights[~finite].sum())
