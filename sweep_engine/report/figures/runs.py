"""Every run where it landed: dots that name their run, or cells that count them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine.comparability import numeric_columns, split_columns
from sweep_engine.densities import Draws, Study
from sweep_engine.densities.columns.histograms import shared_edges
from sweep_engine.densities.subject import axis_label, column_words
from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Counts, Heatmap, Points, ShownRuns
from sweep_engine.report.figures.laws import Window
from sweep_engine.report.figures.palette import source_colours

ADDRESS = ("run_id", "setting")
OUTCOMES = ("status", "steps", "train_loss", "test_error")
FALLBACK = ("l2_norm", "test_error", "train_loss")
"""Columns to draw where the comparisons name fewer than two."""

MAX_COLUMNS = 3
MAX_DOTS = 6000
"""More runs than these are counted in cells."""
NUM_BINS = 48
QUERY = "SELECT run_id, source, {} FROM read_parquet('runs/**/*.parquet', hive_partitioning = true)"


def run_figures(study: Study) -> Iterator[Figure]:
    """Draw the stored runs over the columns that the comparisons are about."""
    candidates = _candidates(study)
    read = {name: _read(study, name, candidates) for name in study.sweep.sources}
    tables = {name: table for name, table in read.items() if len(table)}
    columns = [
        column
        for column in candidates
        if any(np.isfinite(_values(table, column)).any() for table in tables.values())
    ][:MAX_COLUMNS]
    if len(columns) < 2:
        return
    is_large = sum(map(len, tables.values())) > MAX_DOTS
    yield _cells(tables, columns[:2]) if is_large else _dots(study, tables, columns)


def _candidates(study: Study) -> list[str]:
    known = numeric_columns(study.sweep)
    compared = [name for each in study.sweep.compare for name in split_columns(each.observable)]
    named = dict.fromkeys(name for name in compared if name in known)
    spare = [name for name in FALLBACK if name in known and name not in named]
    return [*list(named)[:MAX_COLUMNS], *(spare if len(named) < 2 else [])]


def runs_of(table: pa.Table) -> ShownRuns:
    """Say which runs the rows of a table are, and how they ended."""
    return ShownRuns(
        table["run_id"].to_numpy(),
        table["setting"].to_numpy(),
        {name: _values(table, name) for name in OUTCOMES if name in table.column_names},
    )


def _values(table: pa.Table, name: str) -> Values:
    if pa.types.is_string(table[name].type):
        return np.array(table[name].to_pylist())
    return table[name].to_numpy(zero_copy_only=False).astype(float)


def _read(study: Study, source: str, columns: list[str]) -> pa.Table:
    wanted = dict.fromkeys((*ADDRESS, *columns, *OUTCOMES))
    names = set(study.results.table("runs").schema.names)
    return study.results.runs(
        [name for name in wanted if name in names], pc.field("source") == source
    )


def _dots(study: Study, tables: Mapping[str, pa.Table], columns: list[str]) -> Figure:
    colours = source_colours(study.sweep)
    axes = {column: _axis(study, tables, column) for column in columns}
    pairs = [(x, y) for i, x in enumerate(columns) for y in columns[i + 1 :]]
    panels = tuple(
        Panel(
            "",
            axes[x],
            axes[y],
            tuple(
                Points(
                    _values(table, x),
                    _values(table, y),
                    label=name,
                    colour=colours[name],
                    size=4,
                    opacity=0.5,
                    runs=runs_of(table),
                )
                for name, table in tables.items()
            ),
        )
        for x, y in pairs
    )
    return Figure(
        name="runs",
        title="Every stored run",
        caption="Each dot is one network. A run without a finite value, or far from all others, "
        "has no dot. Stored runs: "
        f"{_numbers(tables)}.",
        panels=panels,
        columns=3,
        query=QUERY.format(", ".join(columns)),
    )


def _axis(study: Study, tables: Mapping[str, pa.Table], column: str) -> DrawnAxis:
    """Fit an axis to most of every source's runs; the legend says how many are left out."""
    label = axis_label(study.results.table("runs").schema, column)
    window = Window.of([Draws.of(_values(table, column)) for table in tables.values()])
    return DrawnAxis(label, limits=None if window is None else (window.low, window.high))


def _cells(tables: Mapping[str, pa.Table], columns: list[str]) -> Figure:
    by_source = {
        name: np.stack([_values(table, column) for column in columns])
        for name, table in tables.items()
    }
    everything = np.concatenate(list(by_source.values()), axis=1)
    edges = [shared_edges(values[np.isfinite(values)], NUM_BINS) for values in everything]
    x, y = (
        DrawnAxis(column_words(column), limits=(float(ends[0]), float(ends[-1])))
        for column, ends in zip(columns, edges, strict=True)
    )
    counted = {
        name: cells
        for name, values in by_source.items()
        if (cells := _heatmap(tables[name], values, edges)) is not None
    }
    limits = 1.0, max(float(cells.values.max()) for cells in counted.values())
    panels = tuple(
        Panel(name, x, y, (replace(cells, limits=limits),)) for name, cells in counted.items()
    )
    return Figure(
        name="runs",
        title="Every stored run, counted in cells",
        caption="The colour says how many runs of the source stand in a cell; all panels have "
        f"one scale. A run without a finite value is in none. Stored runs: {_numbers(tables)}.",
        panels=panels,
        columns=min(3, len(panels)),
        query=QUERY.format(", ".join(columns)),
    )


def _numbers(tables: Mapping[str, pa.Table]) -> str:
    return ", ".join(f"{name} {len(table):,}" for name, table in tables.items())


def _heatmap(table: pa.Table, values: Values, edges: list[Values]) -> Heatmap | None:
    """Count the runs of one source in cells, and those of each setting apart."""
    shown = np.isfinite(values).all(axis=0)
    if not shown.any():
        return None
    column, row = (
        np.clip(np.searchsorted(ends, at[shown], side="right") - 1, 0, len(ends) - 2)
        for ends, at in zip(edges, values, strict=True)
    )
    address = np.stack([row, column, table["setting"].to_numpy()[shown]])
    (rows, places, setting), first, count = np.unique(
        address, axis=1, return_index=True, return_counts=True
    )
    total = np.zeros((len(edges[1]) - 1, len(edges[0]) - 1))
    np.add.at(total, (rows, places), count)
    run_id = table["run_id"].to_numpy()[shown][first]
    counts = Counts(rows, places, count, setting, run_id)
    return Heatmap(edges[0], edges[1], total, label="runs", log=True, counts=counts)
