"""The log ratio of two laws of one column, learnt on cells of some draws for others."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from sweep_engine.densities.cells.binning import Line, cell_of
from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.held_out import (
    NUM_FOLDS,
    Fold,
    HeldOut,
    held_out,
    smoothed_log_ratio,
)
from sweep_engine.densities.cells.ordered import Ordered, Parts
from sweep_engine.densities.draws import Draws

PARTITIONS = (2, 4, 6, 8, 12, 16)
"""Cells of equal mass; the mean of their log ratios is steadier than any one of them.

Even numbers: of two laws side by side, no cell holds parts of both.
"""


def column_log_ratio(source: Draws, reference: Draws, rng: np.random.Generator) -> HeldOut:
    """Learn ln(p / q) on four fifths of the draws, and count the last fifth, in turn.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sides = Draws.of(rng.normal(1, 1, 400)), Draws.of(rng.normal(0, 1, 400))
        >>> 0.6 * 0.5 < column_log_ratio(*sides, rng).bound(0.95).low < 0.5
        True

    Args:
        source: One column.
        reference: The same column.
        rng: Of the folds.
    """
    return held_out(_folds(source, reference, rng))


def _folds(source: Draws, reference: Draws, rng: np.random.Generator) -> Iterator[Fold]:
    sides = (source, reference)
    folds, line = [side.folds(NUM_FOLDS, rng) for side in sides], Line(*sides)
    weights = np.concatenate([side.effective_weights for side in sides])
    is_reference = np.repeat([0, 2], [len(side) for side in sides])
    for number in range(NUM_FOLDS):
        learning = [fold != number for fold in folds]
        if not all(part.any() for part in learning):
            continue  # few units: all that one side has are in this fold
        partitions = line.cuts(learning, PARTITIONS)
        cuts = np.unique(np.concatenate(partitions))
        table = (is_reference + np.concatenate(learning)) * (len(cuts) + 2) + line.cells(cuts)
        counts = np.bincount(table, weights, 4 * (len(cuts) + 2)).reshape(2, 2, -1)
        yield (
            _mean_log_ratio(CellCounts(*counts[:, 1]), cuts, partitions),
            CellCounts(*counts[:, 0]),
        )


def ordered_log_ratio(line: Ordered, rng: np.random.Generator) -> HeldOut:
    """Learn what `column_log_ratio` learns, from many draws in one order.

    Args:
        line: Both sides.
        rng: Of the folds.
    """
    fold = np.empty(len(line.sides), np.uint8)
    for side in (0, 1):
        among = line.sides == side
        even = np.arange(np.count_nonzero(among)) % NUM_FOLDS
        fold[among] = rng.permutation(even.astype(np.uint8))
    return held_out(_ordered_folds(line.parts(fold, NUM_FOLDS)))


def _ordered_folds(parts: Parts) -> Iterator[Fold]:
    finite = parts.num_finite.reshape(2, NUM_FOLDS)
    for number in range(NUM_FOLDS):
        learning = np.arange(NUM_FOLDS) != number
        weights = learning / np.maximum(finite[:, learning].sum(axis=1, keepdims=True), 1)
        partitions = parts.cuts(weights.ravel(), PARTITIONS)
        cuts = np.unique(np.concatenate(partitions))
        counts = parts.counts(cuts).reshape(2, NUM_FOLDS, -1)
        yield (
            _mean_log_ratio(CellCounts(*counts[:, learning].sum(axis=1)), cuts, partitions),
            CellCounts(*counts[:, number]),
        )


def _mean_log_ratio(
    counts: CellCounts,
    cuts: Float[np.ndarray, " cuts"],
    partitions: Sequence[Float[np.ndarray, " coarse"]],
) -> Float[np.ndarray, " B"]:
    """The mean over the partitions of ln(p / q) in the coarse cell that each fine cell is in."""
    ends = np.concatenate([cuts, [np.finfo(float).max, np.nan]])  # one value of every cell
    labels = [cell_of(ends, coarse) for coarse in partitions]
    mean: Float[np.ndarray, " B"] = np.mean(
        [smoothed_log_ratio(counts.pool(label))[label] for label in labels], axis=0
    )
    return mean
