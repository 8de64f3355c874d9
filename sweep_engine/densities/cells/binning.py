"""Cells of the line that hold equal mass, atoms and what is not finite included."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT
from sweep_engine.densities.draws import Draws
from sweep_engine.errors import InsufficientSamples

DEFAULT_BINS = 32
MIN_DRAWS = 100


def equal_mass_cuts(source: Draws, reference: Draws, num_bins: int) -> Float[np.ndarray, " cuts"]:
    """Compute cuts that split the even mixture of two samples into cells of equal mass.

    With cuts c_1 < ... < c_K the cells are (-∞, c_1], (c_1, c_2], ..., (c_K, ∞). A value
    that holds a whole cell's mass or more, an atom, gets a cell of its own, so fewer or
    more cells than asked for may come out.

    Example:
        >>> two = Draws.of(np.array([0.0, 1.0, 2.0, 3.0]))
        >>> equal_mass_cuts(two, two, 2)
        array([1.])
        >>> constant = Draws.of(np.array([1.0, 1.0]))
        >>> len(equal_mass_cuts(constant, constant, 4))
        2

    Args:
        source: Draws that choose the cuts; only finite ones can.
        reference: The other side, weighed alike whatever its size.
        num_bins: Cells wanted.
    """
    (cuts,) = several_cuts(source, reference, (num_bins,))
    return cuts


def several_cuts(
    source: Draws, reference: Draws, nums_bins: Sequence[int]
) -> list[Float[np.ndarray, " cuts"]]:
    """Compute the cuts of `equal_mass_cuts` for several numbers of cells, from one sort.

    Example:
        >>> two = Draws.of(np.array([0.0, 1.0, 2.0, 3.0]))
        >>> [cuts.tolist() for cuts in several_cuts(two, two, (2, 4))]
        [[1.0], [0.0, 1.0, 2.0]]

    Args:
        source: As in `equal_mass_cuts`.
        reference: As in `equal_mass_cuts`.
        nums_bins: Cells wanted, of each.
    """
    everything = [np.ones(len(side), bool) for side in (source, reference)]
    return Line(source, reference).cuts(everything, nums_bins)


class Line:
    """Two samples on one line, sorted once for all parts of them that choose cuts.

    Example:
        >>> two = Draws.of(np.array([3.0, 1.0, np.nan]))
        >>> line = Line(two, two)
        >>> (cuts,) = line.cuts([np.array([True, True, False])] * 2, (2,))
        >>> cuts.tolist(), line.cells(cuts).tolist()
        ([1.0], [1, 0, 2, 1, 0, 2])

    Args:
        source: Draws of the source.
        reference: The other side, weighed alike whatever its size.
    """

    def __init__(self, source: Draws, reference: Draws) -> None:
        self._weights = [side.weights for side in (source, reference)]
        self._finite = [side.is_finite for side in (source, reference)]
        values = np.concatenate([source.values, reference.values])
        (places,) = np.nonzero(np.concatenate(self._finite))
        self._order = places[np.argsort(values[places], kind="stable")]
        self._values = values[self._order]
        self._num_draws = len(values)

    def cuts(
        self, parts: Sequence[Bool[np.ndarray, " n"]], nums_bins: Sequence[int]
    ) -> list[Float[np.ndarray, " cuts"]]:
        """Compute the cuts of `equal_mass_cuts` of a part of each side."""
        chosen = [part & finite for part, finite in zip(parts, self._finite, strict=True)]
        mass = [
            weights * part / weights[part].sum() if part.any() else np.zeros(len(part))
            for weights, part in zip(self._weights, chosen, strict=True)
        ]
        among = np.concatenate(chosen)[self._order]
        if not among.any():
            return [np.empty(0) for _ in nums_bins]
        below = np.cumsum(np.concatenate(mass)[self._order[among]])
        levels = np.concatenate([np.arange(1, num) / num for num in nums_bins]) * below[-1]
        cuts = self._values[among][np.searchsorted(below, levels * (1 - 1e-12))]
        ends = np.cumsum([num - 1 for num in nums_bins])[:-1]
        return [with_atoms(each) for each in np.split(cuts, ends)]

    def cells(self, cuts: Float[np.ndarray, " cuts"]) -> Int[np.ndarray, " n"]:
        """Number the cell of every draw as `cell_of` does, the source's first."""
        ends = np.searchsorted(self._values, cuts, side="right")
        sizes = np.diff(ends, prepend=0, append=len(self._values))
        cells = np.full(self._num_draws, len(cuts) + 1)
        cells[self._order] = np.repeat(np.arange(len(cuts) + 1), sizes)
        return cells


def with_atoms(cuts: Float[np.ndarray, " cuts"]) -> Float[np.ndarray, " cuts"]:
    """Give a value that more than one cut fell on a cell of its own.

    Example:
        >>> with_atoms(np.array([1.0, 1.0, 2.0])).tolist()
        [0.9999999999999999, 1.0, 2.0]
    """
    atoms = cuts[1:][cuts[1:] == cuts[:-1]]
    if not len(atoms):
        return cuts
    return np.unique(np.concatenate([cuts, np.nextafter(atoms, -np.inf)]))


def cell_of(
    values: Float[np.ndarray, " n"], cuts: Float[np.ndarray, " cuts"]
) -> Int[np.ndarray, " n"]:
    """Number the cell of every value; the last one, `len(cuts) + 1`, is "not finite".

    Example:
        >>> cell_of(np.array([0.0, 1.0, 1.5, np.nan]), np.array([1.0])).tolist()
        [0, 0, 1, 2]

    Args:
        values: Any floats.
        cuts: Ascending, as `equal_mass_cuts` gives them.
    """
    cells = np.searchsorted(cuts, values, side="left")
    return np.where(np.isfinite(values), cells, len(cuts) + 1)


def count_cells(source: Draws, reference: Draws, cuts: Float[np.ndarray, " cuts"]) -> CellCounts:
    """Count both samples in the cells of `cell_of`; weighted draws give effective counts.

    Example:
        >>> draws = Draws.of(np.array([0.0, 2.0, np.inf]))
        >>> count_cells(draws, draws, np.array([1.0])).source.tolist()
        [1.0, 1.0, 1.0]

    Args:
        source: Draws of the source.
        reference: Draws of the reference.
        cuts: Ascending, chosen without these draws.
    """
    return CellCounts(*(_count(draws, cuts) for draws in (source, reference)))


def affordable_bins(source: Draws, reference: Draws, num_bins: int) -> int:
    """Lower the number of bins to what half of the smaller sample can fill.

    Example:
        >>> affordable_bins(Draws.of(np.zeros(200)), Draws.of(np.zeros(9000)), 32)
        10

    Args:
        source: All draws of the source.
        reference: All draws of the reference.
        num_bins: As asked for, at least 2.

    Raises:
        InsufficientSamples: Fewer than 100 effective draws on one side.
        ValueError: Fewer than 2 bins were asked for.
    """
    smaller = min(source.n_eff, reference.n_eff)
    if smaller < MIN_DRAWS:
        raise InsufficientSamples(
            f"binned estimates need at least {MIN_DRAWS} effective draws on each side, got "
            f"{source.n_eff:.4g} of the source and {reference.n_eff:.4g} of the reference"
        )
    if num_bins < 2:
        raise ValueError(f"expected at least 2 bins, got {num_bins}")
    return min(num_bins, int(smaller / (2 * MIN_CELL_COUNT)))


def _count(draws: Draws, cuts: Float[np.ndarray, " cuts"]) -> Float[np.ndarray, " B"]:
    return np.bincount(cell_of(draws.values, cuts), draws.effective_weights, len(cuts) + 2)
