"""Choose functions on one half of the draws, so that the other half can measure them.

"The most frequent functions", or "functions both have seen", chosen and measured on the
same draws is a winner's curse: the choice prefers what is large, or agrees, by luck.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT
from sweep_engine.densities.cells.held_out import (
    NUM_FOLDS,
    Fold,
    HeldOut,
    held_out,
    smoothed_log_ratio,
)
from sweep_engine.densities.cells.lower_bounds import LowerBounds, cell_values
from sweep_engine.densities.cells.splitting import folds, halve, same_source_null_of_counts

MAX_FUNCTIONS = 256
"""Cells beyond the most frequent add bias, (B-1)/2 (1/n + 1/m) for KL, and hardly mass."""

MIN_DRAWS = 100
"""Of each source: its null works on quarters, and no quarter may be empty."""


Halves = tuple[CellCounts, CellCounts]
"""The half that chose the cells, and the half that is measured."""


def frequent_functions(selection: CellCounts) -> Bool[np.ndarray, " F"]:
    """Mark the most frequent functions, both sources weighed alike.

    At most `MAX_FUNCTIONS`, each expected at least `MIN_CELL_COUNT` times among as many
    draws of the even mixture as the smaller source has; first-order bias corrections hold
    for no less.

    Example:
        >>> frequent_functions(CellCounts(np.array([99, 1]), np.array([900, 100]))).tolist()
        [True, False]

    Args:
        selection: Counts of the half that chooses.
    """
    share = selection.source / selection.num_source + selection.reference / selection.num_reference
    expected = share / 2 * min(selection.n_eff)
    candidates = np.flatnonzero(expected >= MIN_CELL_COUNT)
    order = np.argsort(-expected[candidates], kind="stable")
    frequent = np.zeros(len(share), bool)
    frequent[candidates[order[:MAX_FUNCTIONS]]] = True
    return frequent


def split_half(counts: CellCounts, rng: np.random.Generator) -> Halves:
    """Choose cells on one half of the draws, and count both halves in them.

    Each frequent function is a cell. Of the others, those that the choosing half of one
    source showed repeatedly and more often than that of the other make a cell for each
    source: where one source repeats itself and the other never does, the difference is in
    them. All that are left make the last.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> chosen, measured = split_half(counts, np.random.default_rng(0))
        >>> chosen.num_source + measured.num_source
        1000.0

    Args:
        counts: Independent draws per function.
        rng: Where the halves come from.

    Returns:
        Counts per cell of the half that chose, and of the other.
    """
    selection, estimation = halve(counts, rng)
    labels = _cells(selection, frequent_functions(selection))
    return selection.pool(labels), estimation.pool(labels)


def function_log_ratio(counts: CellCounts, rng: np.random.Generator) -> HeldOut:
    """Learn ln(p / q) of cells on four fifths of the draws for the last, in turn.

    Half of the four fifths chooses the cells, the other half the ratios in them.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> 0 < function_log_ratio(counts, np.random.default_rng(0)).bound(0.95).low < 0.0823
        True

    Args:
        counts: Independent draws per function.
        rng: Where the folds come from.
    """
    return held_out(_folds(counts, rng))


def _folds(counts: CellCounts, rng: np.random.Generator) -> Iterator[Fold]:
    for fold, choosing, fitting in folds(counts, NUM_FOLDS, rng):
        # Cells of functions that repeat on one side overstate it on the draws that chose them.
        labels = _cells(choosing, frequent_functions(choosing))
        yield smoothed_log_ratio(fitting.pool(labels)), fold.pool(labels)


def split_half_bounds(counts: CellCounts, seed: int) -> LowerBounds:
    """Look at lower bounds of TV, JS and KL that do not mistake rarity for difference.

    The frequent functions of one half of the draws become cells, the rest is pooled into
    one, and the other half is counted over these cells: the divergence over them is below the
    divergence.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> split_half_bounds(counts, 0).at(0.95)[0].name
        'total_variation_lower_bound'

    Args:
        counts: Independent draws per function.
        seed: Of the random halves.

    Raises:
        InsufficientSamples: Fewer than 100 draws on one side.
    """
    counts.require(MIN_DRAWS)
    rng = np.random.default_rng([seed, 1])
    nulls = same_source_null_of_counts(lambda halves: _values(halves, rng), counts, rng)
    return LowerBounds(
        *split_half(counts, np.random.default_rng(seed)),
        function_log_ratio(counts, np.random.default_rng([seed, 2])),
        nulls,
        num_draws=counts.num_draws,
        n_eff=counts.n_eff,
        cells="functions (the rest pooled)",
        seed=seed,
    )


def _values(counts: CellCounts, rng: np.random.Generator) -> list[float]:
    return cell_values(*split_half(counts, rng), function_log_ratio(counts, rng))


def _cells(selection: CellCounts, frequent: Bool[np.ndarray, " F"]) -> Int[np.ndarray, " F"]:
    """Label the cells: one a frequent function, then up to two of favoured ones, then the rest."""
    source = selection.source / selection.num_source
    reference = selection.reference / selection.num_reference
    labels = np.where(frequent, np.cumsum(frequent) - 1, -1)
    num_cells = int(frequent.sum())
    for share, other, counts in (
        (source, reference, selection.source),
        (reference, source, selection.reference),
    ):
        favoured = (labels < 0) & (counts >= 2) & (share > other)
        mass = ((share + other) * selection.cells)[favoured].sum()
        expected = mass / 2 * min(selection.n_eff)
        if expected >= 4 * MIN_CELL_COUNT:  # repeats overstate the mass of rare functions
            labels[favoured] = num_cells
            num_cells += 1
    labels[labels < 0] = num_cells
    return labels
