"""What a plot of two laws over functions needs: the scatter and the rank plot."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.probabilities.proportions import Frequencies, frequencies


@dataclass(frozen=True)
class Scatter:
    """P(f) under the source against P(f) under the reference, one point a function.

    Attributes:
        ids: Function ids, the most frequent first.
        source: Counts, probabilities and exact intervals, each by itself.
        reference: The same for the reference.
    """

    ids: Shaped[np.ndarray, " F"]
    source: Frequencies
    reference: Frequencies


def scatter(
    ids: Shaped[np.ndarray, " F"],
    counts: CellCounts,
    *,
    num_functions: int | None = None,
    confidence: float = 0.95,
) -> Scatter:
    """Compute the points of the function scatter, with exact intervals on both axes.

    The order is by the mean of both probabilities, so cutting to the first few prefers
    neither source.

    Example:
        >>> points = scatter(np.array(["a", "b"]), CellCounts(np.array([1, 9]), np.array([5, 5])))
        >>> points.ids.tolist(), points.source.probability.tolist()
        (['b', 'a'], [0.9, 0.1])

    Args:
        ids: Function ids, as `align_counts` gave them.
        counts: Independent draws per function.
        num_functions: How many to keep; all when None.
        confidence: Of each interval by itself.

    Raises:
        InsufficientSamples: One side has no draw.
    """
    counts.require(1)
    share = counts.source / counts.num_source + counts.reference / counts.num_reference
    chosen = _largest(share, len(share) if num_functions is None else num_functions)
    source, reference = (
        frequencies(side, confidence, chosen) for side in (counts.source, counts.reference)
    )
    return Scatter(ids[chosen], source, reference)


def _largest(values: Float[np.ndarray, " F"], number: int) -> Int[np.ndarray, " G"]:
    """Find the largest values, the largest first, without sorting all others."""
    least = np.partition(values, -number)[-number] if 0 < number < len(values) else -np.inf
    (places,) = np.nonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:number]]


@dataclass(frozen=True)
class RankPlot:
    """Probability against rank, the most frequent function first.

    Attributes:
        rank: 1, 2, ...
        frequencies: Counts, probabilities and exact intervals, sorted.
    """

    rank: Int[np.ndarray, " F"]
    frequencies: Frequencies


def rank_plot(
    counts: Int[np.ndarray, " F"], confidence: float = 0.95, *, max_ranks: int | None = None
) -> RankPlot:
    """Sort one source's functions by how often they were drawn.

    The first ranks lie high and the last low: sorting prefers luck. Functions that were
    not drawn are left out.

    Example:
        >>> rank_plot(np.array([1, 0, 3])).frequencies.probability.tolist()
        [0.75, 0.25]

    Args:
        counts: Independent draws per function, of one source.
        confidence: Of each interval by itself.
        max_ranks: The first so many, and as many spread evenly over the logarithm of the others;
            all when None.

    Raises:
        InsufficientSamples: There was no draw.
    """
    drawn = np.sort(counts[counts > 0])[::-1]
    shown = np.arange(len(drawn)) if max_ranks is None else _log_spaced(len(drawn), max_ranks)
    return RankPlot(shown + 1, frequencies(drawn, confidence, shown))


def _log_spaced(num_ranks: int, most: int) -> Int[np.ndarray, " G"]:
    """Choose what a curve on a logarithmic axis needs: all of few ranks, some of many."""
    places = np.geomspace(1, max(num_ranks, 1), most).astype(int) - 1
    return np.unique(np.concatenate([np.arange(min(num_ranks, most)), places[:num_ranks]]))
