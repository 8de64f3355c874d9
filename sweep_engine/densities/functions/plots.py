"""What a plot of two laws over functions needs: the scatter and the rank plot."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

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
    source = frequencies(counts.source, confidence)
    reference = frequencies(counts.reference, confidence)
    order = np.argsort(-(source.probability + reference.probability), kind="stable")
    chosen = order[:num_functions]
    return Scatter(ids[chosen], source.take(chosen), reference.take(chosen))


@dataclass(frozen=True)
class RankPlot:
    """Probability against rank, the most frequent function first.

    Attributes:
        rank: 1, 2, ...
        frequencies: Counts, probabilities and exact intervals, sorted.
    """

    rank: Int[np.ndarray, " F"]
    frequencies: Frequencies


def rank_plot(counts: Int[np.ndarray, " F"], confidence: float = 0.95) -> RankPlot:
    """Sort one source's functions by how often they were drawn.

    The first ranks lie high and the last low: sorting prefers luck. Functions that were
    not drawn are left out.

    Example:
        >>> rank_plot(np.array([1, 0, 3])).frequencies.probability.tolist()
        [0.75, 0.25]

    Args:
        counts: Independent draws per function, of one source.
        confidence: Of each interval by itself.

    Raises:
        InsufficientSamples: There was no draw.
    """
    drawn = np.sort(counts[counts > 0])[::-1]
    return RankPlot(np.arange(1, len(drawn) + 1), frequencies(drawn, confidence))
