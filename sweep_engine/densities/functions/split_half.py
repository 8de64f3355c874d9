"""Choose functions on one half of the draws, so that the other half can measure them.

"The most frequent functions", or "functions both have seen", chosen and measured on the
same draws is a winner's curse: the choice prefers what is large, or agrees, by luck.
"""

import numpy as np
from jaxtyping import Bool, Int

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT, cell_divergences
from sweep_engine.densities.estimate import Interval

MAX_FUNCTIONS = 256
MIN_DRAWS = 100
"""Of each source: its null works on quarters, and no quarter may be empty."""


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


def split_half_divergences(
    counts: CellCounts, rng: np.random.Generator, confidence: float = 0.95
) -> dict[str, Interval]:
    """Bound TV, JS and KL from below: cells from one half of the draws, counts from the other.

    Each frequent function is a cell. Of the others, those that the choosing half of one
    source showed repeatedly and more often than that of the other make a cell for each
    source: where one source repeats itself and the other never does, the difference is in
    them. All that are left make the last.

    Example:
        >>> counts = CellCounts(np.array([700, 300]), np.array([500, 500]))
        >>> sorted(split_half_divergences(counts, np.random.default_rng(0)))
        ['jensen_shannon', 'kl', 'total_variation']

    Args:
        counts: Independent draws per function.
        rng: Where the halves come from.
        confidence: Of each interval, for the divergence over the cells.
    """
    selection, estimation = counts.halve(rng)
    frequent = frequent_functions(selection)
    labels = _cells(selection, frequent)
    return cell_divergences(selection.pool(labels), estimation.pool(labels), confidence)


def _cells(selection: CellCounts, frequent: Bool[np.ndarray, " F"]) -> Int[np.ndarray, " F"]:
    """Label the cells: one a frequent function, then up to two of favoured ones, then the rest."""
    source = selection.source / selection.num_source
    reference = selection.reference / selection.num_reference
    labels = np.where(frequent, np.cumsum(frequent) - 1, -1)
    num_cells = int(frequent.sum())
    for mine, other, counts in (
        (source, reference, selection.source),
        (reference, source, selection.reference),
    ):
        favoured = (labels < 0) & (counts >= 2) & (mine > other)
        expected = (mine + other)[favoured].sum() / 2 * min(selection.n_eff)
        if expected >= 4 * MIN_CELL_COUNT:  # repeats overstate the mass of rare functions
            labels[favoured] = num_cells
            num_cells += 1
    labels[labels < 0] = num_cells
    return labels
