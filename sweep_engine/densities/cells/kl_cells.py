"""Cells over which a KL can be measured: the reference has draws in each of them."""

import numpy as np
from jaxtyping import Bool, Int

from sweep_engine.densities.cells.counts import CellCounts

MIN_REFERENCE_COUNT = 20
"""Draws of the reference that a cell needs on one half to be a cell of KL on the other.

With 20 here, the chance of none there is below 1e-6, whatever the cell's probability.
"""


def pool_for_kl(selection: CellCounts) -> tuple[Int[np.ndarray, " B"], int]:
    """Choose cells for KL in which the reference has draws enough, on the half that chooses.

    Cells with fewer than `MIN_REFERENCE_COUNT` reference draws become one, the last. If it
    still has too few,

    - and the source has much mass there, the reference is mixed with that cell: it is given
      as many draws more. KL(p ‖ (1-ε) q + ε e) is below KL(p ‖ q) while p(e) exceeds the mixed
      q(e), so this stays a lower bound; it is how mass outside the reference shows.
    - else the cell with the least reference draws joins it.

    Example:
        >>> pool_for_kl(CellCounts(np.array([50, 3, 40, 2]), np.array([50, 3, 40, 2])))
        (array([0, 1, 1, 1]), 0)
        >>> pool_for_kl(CellCounts(np.array([50, 50, 90]), np.array([95, 95, 0])))
        (array([0, 1, 2]), 20)

    Args:
        selection: Counts of the half that chooses.

    Returns:
        The label of every cell, and the draws to add to the reference in the last cell.
    """
    kept = selection.reference >= MIN_REFERENCE_COUNT
    rest = selection.select(~kept)
    if not kept.any() or rest.num_reference >= MIN_REFERENCE_COUNT:
        return _label(kept), 0
    mixed = (rest.num_reference + MIN_REFERENCE_COUNT) / selection.num_reference
    if rest.num_source / selection.num_source > 2 * mixed:
        return _label(kept), MIN_REFERENCE_COUNT
    kept[np.argmin(np.where(kept, selection.reference, np.inf))] = False
    return _label(kept), 0


def mix_reference(counts: CellCounts, num_added: int) -> CellCounts:
    """Add draws to the reference in the last cell.

    Example:
        >>> mix_reference(CellCounts(np.array([1, 1]), np.array([2, 0])), 3).reference.tolist()
        [2, 3]

    Args:
        counts: Over cells, the last one the pooled rest.
        num_added: As `pool_for_kl` says.
    """
    last = np.arange(len(counts.reference)) == len(counts.reference) - 1
    return CellCounts(counts.source, counts.reference + num_added * last)


def _label(kept: Bool[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    """Number the kept cells in order, and all others as the last."""
    return np.where(kept, np.cumsum(kept) - 1, kept.sum())
