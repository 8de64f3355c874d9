"""The two sides of a pair: which runs, and what an estimate sees of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sweep_engine.comparability import columns_fitted_on, split_columns
from sweep_engine.densities.cells.counts import CellCounts, align_counts
from sweep_engine.densities.dependence import effective_counts
from sweep_engine.densities.draws import Draws
from sweep_engine.densities.stored.matching import match
from sweep_engine.densities.stored.pairing import Pair
from sweep_engine.densities.stored.study import DIVERGED_ID, Study
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.spec import Comparison, Setting

Read = tuple[np.ndarray, Draws]
Cells = tuple[np.ndarray, CellCounts]


@dataclass(frozen=True)
class Side:
    """One side of a pair: where its runs are.

    Attributes:
        study: Results that hold them.
        source: The source's name.
        settings: Pooled settings.
        comparison: What is asked of them.
    """

    study: Study
    source: str
    settings: tuple[int, ...]
    comparison: Comparison

    def draws(self, columns: Sequence[str], *, in_order: bool = False) -> Draws:
        """Read columns of the runs that are looked at, or recall them.

        Args:
            columns: Of `runs`.
            in_order: Whether many draws of one column are sorted, since no other column is read
                beside them.
        """
        given, where = self.comparison.given, self.comparison.where
        spans = tuple(sorted((where or {}).items()))
        key = (self.source, self.settings, tuple(columns), given, spans, in_order)
        return self.study.kept_draws.of(key, lambda: self._read(columns, in_order))

    def _read(self, columns: Sequence[str], in_order: bool) -> Draws:
        given, where = self.comparison.given, self.comparison.where
        draws = self.study.draws(self.source, self.settings, columns, given, where)
        _release_memory()
        return draws.in_order() if in_order else draws

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Count the functions of all draws, kept or not."""
        counts = self.study.function_counts(self.source, self.settings, self.comparison.given)
        _release_memory()
        return counts

    def functions(self, column: str | None = None) -> Read:
        """Read the functions of the kept rows that are looked at, with a column."""
        given, where = self.comparison.given, self.comparison.where
        return self.study.function_draws(self.source, self.settings, given, where, column)

    def addresses(self) -> pa.Table:
        """Read which the runs that are looked at are."""
        given, where = self.comparison.given, self.comparison.where
        return self.study.addresses(self.source, self.settings, given, where)

    @property
    def lacks_fits(self) -> bool:
        """Whether only networks that fit are looked at, and none does."""
        fits_only = self.chosen[0].spec.identifies_fits_only or self.comparison.given == "fit"
        return fits_only and self.study.fit_probability(self.chosen).value == 0

    @property
    def chosen(self) -> list[Setting]:
        """The settings themselves."""
        return [self.study.plan.settings[i] for i in self.settings]


def _release_memory() -> None:
    """Give back what Arrow keeps of tables that are gone: a gigabyte after millions of ids."""
    pa.default_memory_pool().release_unused()


def sides_of(study: Study, pair: Pair, other: Study | None = None) -> tuple[Side, Side]:
    """Find both sides of a pair; the reference's runs are in `other`, if that is given."""
    comparison = pair.comparison
    return (
        Side(study, comparison.source, pair.source, comparison),
        Side(other or study, comparison.reference, pair.reference, comparison),
    )


def read_pair(study: Study, pair: Pair, other: Study | None = None) -> tuple[Draws, Draws]:
    """Read both sides of a pair as its estimates see them: those `where` asks for, matched."""
    return observed(*sides_of(study, pair, other))[0]


def observed(source: Side, reference: Side) -> tuple[tuple[Draws, Draws], tuple[str, ...]]:
    """Read the observable's columns on both sides, matched if that is asked."""
    columns, matching = split_columns(source.comparison.observable), source.comparison.match
    sides = (source,) if reference == source else (source, reference)
    read = [side.draws(columns, in_order=matching is None) for side in sides]
    draws = read[0], read[-1]
    if draws[0].dimension != draws[1].dimension:
        raise IncomparableSources(
            f"{columns[0]} has {draws[0].dimension} entries on one side and {draws[1].dimension} "
            "on the other: compare networks of one architecture"
        )
    halved = tuple(
        f"of {side.source} only the half that {columns[0]} was not fitted on"
        for side in sides
        if columns_fitted_on(side.study.sweep, side.source) & set(columns)
    )
    if matching is None or not all(len(side) for side in draws):
        return draws, halved
    matched, matched_reference, notes = match(
        source.draws([matching.column]),
        reference.draws([matching.column]),
        matching.bins,
        matching.column,
    )
    return (matched.apply(draws[0]), matched_reference.apply(draws[1])), (*halved, *notes)


def function_cells(
    study: Study, pair: Pair, other: Study | None = None
) -> tuple[np.ndarray, CellCounts]:
    """Count functions on both sides: (function ids as bytes, counts)."""
    return counted(*sides_of(study, pair, other))[0]


def counted(source: Side, reference: Side) -> tuple[Cells, tuple[str, ...]]:
    """Count functions on both sides, or recall it: cells, and what a reader must know of them."""
    comparison = source.comparison
    spans = tuple(sorted((comparison.where or {}).items()))
    key = (
        *(source.source, source.settings, reference.study, reference.source, reference.settings),
        *(comparison.given, spans, str(comparison.match)),
    )
    return source.study.kept_cells.of(key, lambda: _counted(source, reference))


def _counted(source: Side, reference: Side) -> tuple[Cells, tuple[str, ...]]:
    comparison, notes = source.comparison, tuple[str, ...]()
    if comparison.where is None and comparison.match is None:
        counts, reference_counts = source.counts(), reference.counts()
    else:
        counts, reference_counts, notes = _counted_rows(source, reference)
    if not len(counts[0]) and not len(reference_counts[0]):
        without_fit = [side.source for side in (source, reference) if side.lacks_fits]
        if len(without_fit) == 2:
            raise InsufficientSamples(
                f"no network of {' or '.join(without_fit)} fits: there are no functions to count"
            )
        raise IncomparableSources("this task's outputs are not discrete: no functions to count")
    ids, cells = align_counts(*counts, *reference_counts)
    diverged = cells.select(ids == DIVERGED_ID)
    told = (
        f"{lost:,.0f} of {whole:,.0f} networks of {name} diverged: they are an outcome of their own"
        for name, lost, whole in (
            (comparison.source, diverged.num_source, cells.num_source),
            (comparison.reference, diverged.num_reference, cells.num_reference),
        )
        if lost
    )
    notes = tuple(dict.fromkeys((*notes, *told)))
    return (ids, cells), notes


def _counted_rows(source: Side, reference: Side) -> tuple[Any, Any, tuple[str, ...]]:
    """Count the functions of kept rows, where only some of them, or weighed ones, are meant."""
    matching = source.comparison.match
    column = matching.column if matching else None
    read = [source.functions(column), reference.functions(column)]
    notes: tuple[str, ...] = ("of kept rows only",)
    if matching is not None:
        *matched, more = match(read[0][1], read[1][1], matching.bins, matching.column)
        read = [(names[m.kept], m.apply(draws)) for (names, draws), m in
                zip(read, matched, strict=True)]  # fmt: skip
        notes += more
    counted = (
        effective_counts(
            names, draws.weights, draws.units, np.random.default_rng([source.study.sweep.seed, 2])
        )
        for names, draws in read
    )
    return *counted, notes  # type: ignore[return-value]
