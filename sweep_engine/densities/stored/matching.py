"""Weigh the reference so that both sources have one law of a column, bin by bin."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from sweep_engine.densities.cells.binning import cell_of, equal_mass_cuts
from sweep_engine.densities.draws import Draws
from sweep_engine.errors import InsufficientSamples

MIN_PER_BIN = 5
"""Draws of either side below which a bin is left out: its weight would be a guess."""


@dataclasses.dataclass(frozen=True)
class Matched:
    """What a match keeps of one side.

    Attributes:
        kept: Which draws are in a bin that both sides fill.
        factor: What to multiply the kept draws' weights by.
    """

    kept: Bool[np.ndarray, " n"]
    factor: Float[np.ndarray, " kept"]

    def apply(self, draws: Draws) -> Draws:
        """Give the kept draws their new weights."""
        chosen = draws.select(self.kept)
        return dataclasses.replace(chosen, weights=chosen.weights * self.factor)


def match(source: Draws, reference: Draws, num_bins: int, column: str) -> tuple[
    Matched, Matched, tuple[str, ...]
]:  # fmt: skip
    """Match a column's law: in every bin the reference weighs what the source does.

    Bins split the even mixture of both samples into equal masses. With p_b and q_b the
    sources' masses of bin b, a reference draw in b is weighed by p_b / q_b, so what still
    differs is not the column's. A bin that one side hardly fills is left out on both.

    Example:
        >>> source = Draws.of(np.repeat([0.0, 1.0], [30, 10]))
        >>> reference = Draws.of(np.repeat([0.0, 1.0], [20, 20]))
        >>> matched = match(source, reference, 2, "margin")[1].apply(reference)
        >>> float(matched.weights @ matched.values / matched.weights.sum())
        0.25

    Args:
        source: Draws of the column.
        reference: Draws of the column.
        num_bins: Bins wanted.
        column: Its name, for the warnings.

    Returns:
        What is kept of the source and of the reference, and what a reader must know.

    Raises:
        InsufficientSamples: No bin has draws enough of both.
    """
    cuts = equal_mass_cuts(source, reference, num_bins)
    cells = [cell_of(side.values, cuts) for side in (source, reference)]
    masses = [_masses(side, cell, len(cuts) + 2) for side, cell in
              zip((source, reference), cells, strict=True)]  # fmt: skip
    counts = [np.bincount(cell, minlength=len(cuts) + 2) for cell in cells]
    common = np.minimum(*counts) >= MIN_PER_BIN
    common[-1] = False
    if not common.any():
        raise InsufficientSamples(
            f"no bin of {column} has {MIN_PER_BIN} draws of both sides: nothing to match"
        )
    ratio = np.divide(masses[0], masses[1], out=np.zeros_like(masses[0]), where=common)
    warning = (
        f"matched on {column}: {int(common.sum())} of {len(common) - 1} bins, with "
        f"{masses[0][common].sum():.3g} of the source and {masses[1][common].sum():.3g} of the "
        "reference; bins and weights come from the same draws, so intervals are approximate"
    )
    kept = [common[cell] for cell in cells]
    return (
        Matched(kept[0], np.ones(int(kept[0].sum()))),
        Matched(kept[1], ratio[cells[1][kept[1]]]),
        (warning,),
    )


def _masses(draws: Draws, cell: Int[np.ndarray, " n"], num_cells: int) -> Float[np.ndarray, " B"]:
    return np.bincount(cell, draws.weights, num_cells) / draws.weights.sum()
