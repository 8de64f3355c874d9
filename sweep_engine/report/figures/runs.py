"""Every run where it landed: dots that name their run, or cells that count them."""

from collections.abc import Iterator, Mapping, Sized

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine.comparability import numeric_columns, split_columns
from sweep_engine.densities import Draws, Study
from sweep_engine.densities.subject import axis_label
from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Points, ShownRuns
from sweep_engine.report.figures.laws import Window
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.figures.run_cells import Columns, cell_panels, read_columns

ADDRESS = ("run_id", "setting")
OUTCOMES = ("status", "steps", "train_loss", "test_error")
FALLBACK = ("l2_norm", "test_error", "train_loss")
"""Columns to draw where the comparisons name fewer than two."""

MAX_COLUMNS = 3
MAX_DOTS = 6000
"""More runs than these are counted in cells."""
QUERY = "SELECT run_id, source, {} FROM read_parquet('runs/**/*.parquet', hive_partitioning = true)"


def run_figures(study: Study) -> Iterator[Figure]:
    """Draw the stored runs over the columns that the comparisons are about."""
    candidates = _candidates(study)
    if sum(record.rows for record in study.results.table("runs").records) > MAX_DOTS:
        counted = read_columns(study, candidates)
        if len(counted) == 2:
            yield _cells(study, counted)
        return
    read = {name: _read(study, name, candidates) for name in study.sweep.sources}
    tables = {name: table for name, table in read.items() if len(table)}
    columns = [
        column
        for column in candidates
        if any(np.isfinite(_values(table, column)).any() for table in tables.values())
    ][:MAX_COLUMNS]
    if len(columns) < 2:
        return
    yield _dots(study, tables, columns)


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


def _cells(study: Study, columns: Columns) -> Figure:
    panels = cell_panels(study, columns)
    stored = next(iter(columns.values()))
    return Figure(
        name="runs",
        title="Every stored run, counted in cells",
        caption="The colour says how many runs of the source stand in a cell; all panels have "
        f"one scale. A run without a finite value is in none. Stored runs: {_numbers(stored)}.",
        panels=panels,
        columns=min(3, len(panels)),
        query=QUERY.format(", ".join(columns)),
    )


def _numbers(tables: Mapping[str, Sized]) -> str:
    return ", ".join(f"{name} {len(table):,}" for name, table in tables.items())
