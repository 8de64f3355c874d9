"""Count more runs than dots can show in cells of two columns, read in a stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine.densities import Study
from sweep_engine.densities.columns.histograms import shared_edges
from sweep_engine.densities.subject import column_words
from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.figure import Panel
from sweep_engine.report.drawing.marks import Counts, Heatmap

NUM_BINS = 48

Columns = Mapping[str, Mapping[str, Values]]
"""Holds, by column and source, the value of every run in the order of the files."""


def read_columns(study: Study, candidates: Sequence[str]) -> Columns:
    """Read the first two columns that have a finite value, of all sources with rows."""
    columns: dict[str, dict[str, Values]] = {}
    for column in candidates:
        read = {name: _column(study, name, column) for name in study.sweep.sources}
        values = {name: each for name, each in read.items() if len(each)}
        if any(np.isfinite(each).any() for each in values.values()):
            columns[column] = values
        if len(columns) == 2:
            break
    return columns


def _column(study: Study, source: str, column: str) -> Values:
    table = study.results.runs([column], pc.field("source") == source)
    return table[column].to_numpy(zero_copy_only=False).astype(float)


def cell_panels(study: Study, columns: Columns) -> tuple[Panel, ...]:
    """Count the runs of each source in cells of both columns, in a panel each."""
    edges = [_edges(by_source) for by_source in columns.values()]
    x, y = (
        DrawnAxis(column_words(column), limits=(float(ends[0]), float(ends[-1])))
        for column, ends in zip(columns, edges, strict=True)
    )
    sources = next(iter(columns.values()))
    found = {name: _heatmap(study, name, columns, edges) for name in sources}
    counted = {name: cells for name, cells in found.items() if cells is not None}
    limits = 1.0, max(float(cells.values.max()) for cells in counted.values())
    return tuple(
        Panel(name, x, y, (replace(cells, limits=limits),)) for name, cells in counted.items()
    )


def _edges(by_source: Mapping[str, Values]) -> Values:
    return shared_edges(
        np.concatenate([values[np.isfinite(values)] for values in by_source.values()]), NUM_BINS
    )


def _heatmap(
    study: Study, source: str, columns: Columns, edges: Sequence[Values]
) -> Heatmap | None:
    """Count the runs of one source in cells, and those of each setting apart."""
    values = [by_source[source] for by_source in columns.values()]
    shape = tuple(len(ends) - 1 for ends in reversed(edges))
    parts = list(_counted(_addresses(study, source), values, edges))
    if not parts:
        return None
    cell, setting, run_id, count = np.concatenate(parts, axis=1)
    both, first, place = np.unique(
        np.stack([cell, setting]), axis=1, return_index=True, return_inverse=True
    )
    number = np.bincount(place.ravel(), count).astype(np.int64)
    rows, places = np.unravel_index(both[0], shape)
    total = np.zeros(shape)
    np.add.at(total, (rows, places), number)
    counts = Counts(rows, places, number, both[1], run_id[first])
    return Heatmap(edges[0], edges[1], total, label="runs", log=True, counts=counts)


def _addresses(study: Study, source: str) -> Iterator[pa.RecordBatch]:
    return study.results.iter_runs(["run_id", "setting"], pc.field("source") == source)


def _counted(
    batches: Iterator[pa.RecordBatch], values: Sequence[Values], edges: Sequence[Values]
) -> Iterator[np.ndarray]:
    """Count each batch: rows of cell, setting, the first run's id, and the number of runs."""
    start = 0
    for batch in batches:
        among = [each[start : start + len(batch)] for each in values]
        start += len(batch)
        shown = np.isfinite(among[0]) & np.isfinite(among[1])
        if not shown.any():
            continue
        column, row = (
            np.clip(np.searchsorted(ends, at[shown], side="right") - 1, 0, len(ends) - 2)
            for ends, at in zip(edges, among, strict=True)
        )
        settings, setting = np.unique(batch["setting"].to_numpy()[shown], return_inverse=True)
        code = (row * (len(edges[0]) - 1) + column) * len(settings) + setting
        distinct, first, count = np.unique(code, return_index=True, return_counts=True)
        cell, which = np.divmod(distinct, len(settings))
        yield np.stack([cell, settings[which], batch["run_id"].to_numpy()[shown][first], count])
