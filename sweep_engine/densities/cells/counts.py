"""Counts of two sources over the same cells, and how they are split and pooled."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Real, Shaped

from sweep_engine.densities.cells.ids import add_up_by_id
from sweep_engine.errors import InsufficientSamples

Cells = Int[np.ndarray, " F"] | int
"""Counts the cells that each entry of counts stands for; 1 where each is a cell by itself."""


@dataclass(frozen=True)
class CellCounts:
    """How many draws of a source and of its reference fell in each of F cells.

    A cell is a function, a bin, or several pooled into one. Weighted draws enter as
    effective counts: the cell's share of the weight times the effective sample size.

    Attributes:
        source: Draws of the source per cell.
        reference: Draws of the reference per cell, same order.
        cells: How many cells each entry stands for, all with these counts; see `cells.alike`.
    """

    source: Real[np.ndarray, " F"]
    reference: Real[np.ndarray, " F"]
    cells: Cells = 1

    def __post_init__(self) -> None:
        if self.source.ndim != 1 or self.source.shape != self.reference.shape:
            raise ValueError(
                f"expected two vectors of counts over the same cells, got shapes "
                f"{self.source.shape} and {self.reference.shape}"
            )
        if np.any(self.source < 0) or np.any(self.reference < 0):
            raise ValueError("expected counts that are not negative")

    @property
    def num_source(self) -> float:
        """All draws of the source."""
        return float((self.source * self.cells).sum())

    @property
    def num_reference(self) -> float:
        """All draws of the reference."""
        return float((self.reference * self.cells).sum())

    @property
    def num_draws(self) -> tuple[int, int]:
        """All draws of both sides, rounded."""
        return round(self.num_source), round(self.num_reference)

    @property
    def n_eff(self) -> tuple[float, float]:
        """The same, not rounded: effective counts need not be whole."""
        return self.num_source, self.num_reference

    def require(self, num_draws: int) -> None:
        """Refuse fewer than `num_draws` draws on either side.

        Raises:
            InsufficientSamples: One side has fewer.
        """
        if min(self.num_source, self.num_reference) < num_draws:
            raise InsufficientSamples(
                f"needs at least {num_draws} effective draws on each side, got "
                f"{self.num_source:g} of the source and {self.num_reference:g} of the reference"
            )

    def select(self, chosen: Bool[np.ndarray, " F"]) -> "CellCounts":
        """Keep some cells and forget the draws in the others."""
        cells = self.cells if isinstance(self.cells, int) else self.cells[chosen]
        return CellCounts(self.source[chosen], self.reference[chosen], cells)

    def pool(self, labels: Int[np.ndarray, " F"]) -> "CellCounts":
        """Merge the cells that share a label; labels run from 0."""
        num_cells = int(labels.max(initial=-1)) + 1
        return CellCounts(
            np.bincount(labels, self.source * self.cells, num_cells),
            np.bincount(labels, self.reference * self.cells, num_cells),
        )


def align_counts(
    source_ids: Shaped[np.ndarray, " f"],
    source_counts: Int[np.ndarray, " f"],
    reference_ids: Shaped[np.ndarray, " g"],
    reference_counts: Int[np.ndarray, " g"],
) -> tuple[Shaped[np.ndarray, " F"], CellCounts]:
    """Join two tables of counts on their ids; an id that one side lacks counts 0 there.

    Example:
        >>> ids, counts = align_counts(np.array(["b", "a", "b"]), np.array([1, 2, 3]),
        ...                            np.array(["c"]), np.array([4]))
        >>> ids.tolist(), counts.source.tolist(), counts.reference.tolist()
        (['a', 'b', 'c'], [2, 4, 0], [0, 0, 4])

    Args:
        source_ids: Function ids of the source, of any dtype that sorts; repeats add up.
        source_counts: Draws per id.
        reference_ids: Function ids of the reference.
        reference_counts: Draws per id.

    Returns:
        The ids either side has, sorted, and the counts over them.

    Raises:
        ValueError: Ids and counts differ in length, or a count is not a whole number.
    """
    for ids, counts in ((source_ids, source_counts), (reference_ids, reference_counts)):
        if len(ids) != len(counts) or not np.issubdtype(counts.dtype, np.integer):
            raise ValueError(
                f"expected one integer count for each of {len(ids)} ids, "
                f"got {len(counts)} of {counts.dtype}"
            )
    none = [np.zeros(len(counts), np.int64) for counts in (source_counts, reference_counts)]
    ids, (source, reference) = add_up_by_id(
        np.concatenate([source_ids, reference_ids]),
        [
            np.concatenate([source_counts, none[1]]),
            np.concatenate([none[0], reference_counts]),
        ],
    )
    return ids, CellCounts(source, reference)
