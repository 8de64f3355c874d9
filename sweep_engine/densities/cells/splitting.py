"""Send draws to parts at random, cell by cell, or for all cells of equal counts at once.

Of millions of functions most were drawn once or twice. No estimate depends on which cell is
which, so cells of equal counts are one entry that says how many they are. The parts of such an
entry are multinomial: the law is that of a coin for every draw, at the cost of some hundred
entries in place of millions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from sweep_engine.densities.cells.counts import CellCounts, Cells
from sweep_engine.densities.cells.divergences import MIN_CELL_COUNT
from sweep_engine.densities.estimate import Interval
from sweep_engine.densities.null import NUM_SPLITS, summarise_null

Whole = Int[np.ndarray, " F"]
Entry = Int[np.ndarray, " G"] | slice

FEW_DRAWS = 2 * MIN_CELL_COUNT
"""Bounds the draws, of both sides together, of cells that are gathered.

None of them is frequent in any part of the draws (`frequent_functions`), so none is asked for by
itself.
"""

MANY_CELLS = 2**15
"""Bounds from below what is gathered: fewer cells take milliseconds, and old numbers stay."""


def gather_many(counts: CellCounts) -> CellCounts:
    """Gather the cells of equal counts where there are so many that it saves time.

    Args:
        counts: Whole numbers of draws.
    """
    return counts if len(counts.source) < MANY_CELLS else gather(counts)


def gather(counts: CellCounts) -> CellCounts:
    """Make one entry of all cells that have the same few draws.

    Example:
        >>> counts = gather(CellCounts(np.array([1, 50, 1, 0, 1]), np.array([0, 60, 0, 2, 0])))
        >>> counts.source.tolist(), counts.reference.tolist(), counts.cells.tolist()
        ([50, 0, 1], [60, 2, 0], [1, 1, 3])

    Args:
        counts: Whole numbers of draws.

    Returns:
        The same draws: cells of many in their order, then one entry for each pair of counts.
    """
    (source, reference), cells = _gathered([counts.source, counts.reference], 2, counts.cells)
    return CellCounts(source, reference, cells)


def halve(counts: CellCounts, rng: np.random.Generator) -> tuple[CellCounts, CellCounts]:
    """Send every draw of both sides to one of two halves by a fair coin.

    Independent draws stay independent, within the halves and between them, given the halves'
    sizes. A binomial per cell does it at any number of draws.

    Example:
        >>> counts = CellCounts(np.array([0, 10**9]), np.array([7, 0]))
        >>> half, other = halve(counts, np.random.default_rng(0))
        >>> (half.source + other.source).tolist(), (half.reference + other.reference).tolist()
        ([0, 1000000000], [7, 0])

    Args:
        counts: Whole numbers of independent draws.
        rng: Where the coins come from.

    Returns:
        Both halves over the same entries.
    """
    return _halves(counts, rng)[1:]


def folds(
    counts: CellCounts, num_folds: int, rng: np.random.Generator
) -> Iterator[tuple[CellCounts, CellCounts, CellCounts]]:
    """Deal the draws out to folds: each in turn, and the draws of all others in two halves.

    Example:
        >>> counts = CellCounts(np.array([9, 1]), np.array([5, 5]))
        >>> parts = [*folds(counts, 3, np.random.default_rng(0))]
        >>> [sum(part.num_source for part in each) for each in parts]
        [10.0, 10.0, 10.0]
        >>> sum(fold.num_source for fold, _, _ in parts)
        10.0

    Args:
        counts: Whole numbers of independent draws.
        num_folds: How many folds; a draw is in each with the same chance.
        rng: Where the draws go.

    Returns:
        The fold, and both halves of the others, over the same entries.
    """
    whole = [_as_whole(counts.source), _as_whole(counts.reference)]
    rest, cells = whole, counts.cells
    for left in range(num_folds, 0, -1):
        entry, fold, cells = _thin(rest, cells, 1 / left, rng)
        whole = [side[entry] for side in whole]
        rest = [side[entry] - taken for side, taken in zip(rest, fold, strict=True)]
        others = [side - taken for side, taken in zip(whole, fold, strict=True)]
        among, half, other = _halves(CellCounts(others[0], others[1], cells), rng)
        yield CellCounts(fold[0][among], fold[1][among], half.cells), half, other
        if not isinstance(cells, int):
            columns, cells = _gathered([*whole, *rest], 2, cells)
            whole, rest = columns[:2], columns[2:]


def _halves(counts: CellCounts, rng: np.random.Generator) -> tuple[Entry, CellCounts, CellCounts]:
    """Halve, and say of which entry each entry of the halves is."""
    sides = [_as_whole(counts.source), _as_whole(counts.reference)]
    entry, half, cells = _thin(sides, counts.cells, 0.5, rng)
    other = [side[entry] - taken for side, taken in zip(sides, half, strict=True)]
    return entry, CellCounts(half[0], half[1], cells), CellCounts(other[0], other[1], cells)


class OneSide:
    """Hold the draws of one source, to be cut in half again and again.

    Example:
        >>> halves = OneSide(np.array([9, 1]), 1).cut(np.random.default_rng(0))
        >>> (halves.source + halves.reference).tolist()
        [9, 1]

    Args:
        draws: Whole numbers of independent draws per entry.
        cells: How many cells each entry stands for.
    """

    def __init__(self, draws: Whole, cells: Cells) -> None:
        self._draws, self._cells = _as_whole(draws), cells
        if not isinstance(cells, int):
            (self._draws,), self._cells = _gathered([self._draws], 1, cells)

    def cut(self, rng: np.random.Generator) -> CellCounts:
        """Send every draw to one of two halves by a fair coin: one is the other's reference."""
        entry, (half,), cells = _thin((self._draws,), self._cells, 0.5, rng)
        return CellCounts(half, self._draws[entry] - half, cells)


def same_source_null_of_counts(
    estimator: Callable[[CellCounts], Iterable[float]],
    counts: CellCounts,
    rng: np.random.Generator,
    num_splits: int = NUM_SPLITS,
) -> list[Interval]:
    """Run an estimator of counts on random halves of each side; see `same_source_null`.

    Example:
        >>> counts = CellCounts(np.array([8, 0]), np.array([8, 0]))
        >>> disjoint = lambda halves: [float(halves.source @ halves.reference == 0)]
        >>> same_source_null_of_counts(disjoint, counts, np.random.default_rng(0))
        [Interval(value=0.0, low=0.0, high=0.0)]

    Args:
        estimator: Takes one half as the source and the other as its reference.
        counts: Whole numbers of independent draws.
        rng: Of the halves.
        num_splits: Splits of each side.
    """
    sides = (OneSide(side, counts.cells) for side in (counts.source, counts.reference))
    values = [[list(estimator(side.cut(rng))) for _ in range(num_splits)] for side in sides]
    return summarise_null(np.array(values, float))


def _as_whole(draws: Whole) -> Whole:
    return draws.astype(np.int64, copy=False)


def _thin(
    columns: Sequence[Whole], cells: Cells, share: float, rng: np.random.Generator
) -> tuple[Entry, list[Whole], Cells]:
    """Take each draw with the chance `share`: (the entry each is of, what was taken, its cells)."""
    if isinstance(cells, int):
        return slice(None), [rng.binomial(column, share) for column in columns], cells
    entry, taken = np.arange(len(cells)), list[np.ndarray]()
    for column in columns:
        among, part, cells = _thin_alike(column[entry], cells, share, rng)
        entry, taken = entry[among], [*(other[among] for other in taken), part]
    return entry, taken, cells


def _thin_alike(
    draws: Whole, cells: Whole, share: float, rng: np.random.Generator
) -> tuple[Whole, Whole, Whole]:
    """Take of one side: a binomial where an entry is one cell, else how many gave how much."""
    (single,), (several,) = np.nonzero(cells == 1), np.nonzero(cells > 1)
    parts = [(single, rng.binomial(draws[single], share), cells[single])]
    for number in np.unique(draws[several]).tolist():
        same = several[draws[several] == number]
        times = rng.multinomial(cells[same], _chances(number, share))
        which, taken = np.nonzero(times)
        parts.append((same[which], taken, times[which, taken]))
    entry, taken, times = (np.concatenate(part) for part in zip(*parts, strict=True))
    return entry, taken, times


@lru_cache(maxsize=1024)
def _chances(number: int, share: float) -> Float[np.ndarray, " outcomes"]:
    """Compute the chances that 0, 1, ... of so many draws are taken."""
    chances: Float[np.ndarray, " outcomes"] = stats.binom.pmf(np.arange(number + 1), number, share)
    return chances


def _gathered(columns: Sequence[Whole], num_whole: int, cells: Cells) -> tuple[list[Whole], Whole]:
    """Merge entries that agree in all columns, the first of which are the whole counts.

    Entries of many draws stay as they are, and entries without a draw go.
    """
    total = np.sum(columns[:num_whole], axis=0)
    few, many = (total > 0) & (total < FEW_DRAWS), total >= FEW_DRAWS
    code = np.zeros(int(few.sum()), np.int64)
    for column in columns:
        code = code * FEW_DRAWS + column[few]
    times = np.ones(len(total), np.int64) if isinstance(cells, int) else cells
    merged = np.bincount(code, times[few]).astype(np.int64)
    (codes,) = np.nonzero(merged)
    shape = (FEW_DRAWS,) * len(columns)
    alike = np.unravel_index(codes, shape)
    return (
        [np.concatenate([one[many], two]) for one, two in zip(columns, alike, strict=True)],
        np.concatenate([times[many], merged[codes]]),
    )
