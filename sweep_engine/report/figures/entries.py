"""Lists entry by entry, where an observable has a name for each."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from sweep_engine.densities import Study
from sweep_engine.densities.subject import axis_label, column_words, meaning_of
from sweep_engine.observables import columns_of
from sweep_engine.report.drawing.axes import DrawnAxis, scale_of
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Quantiles
from sweep_engine.report.figures.groups import Group, groups_of
from sweep_engine.report.figures.quantiles import LEVELS, QUANTILE_WORDS
from sweep_engine.report.places import place_of

WIDTH = 0.7
"""Of the place between two entries, taken by the groups beside one another."""


def entry_figures(study: Study) -> Iterator[Figure]:
    """Draw every list whose entries have names: what the runs of each setting have there."""
    for named in study.sweep.observables:
        for column, dtype in columns_of(named):
            if named.entry_names and dtype == "list<float32>":
                figure = _figure(study, column, named.entry_names)
                if figure is not None:
                    yield figure


def _figure(study: Study, column: str, entries: Sequence[str]) -> Figure | None:
    runs = study.results.runs(["setting", column])
    runs = runs.filter(runs[column].is_valid())
    filled = set(runs["setting"].to_pylist())
    settings = [each for each in study.plan.settings.values() if each.id in filled]
    if not settings:
        return None
    values = _table(runs[column], len(entries))
    groups = groups_of(study, settings)
    marks = [
        _quantiles(group, rank, len(groups), values, runs["setting"].to_numpy())
        for rank, group in enumerate(groups)
    ]
    shown = tuple(mark for mark in marks if np.isfinite(mark.values).any())
    if not shown:
        return None
    scale = scale_of(np.concatenate([mark.values.ravel() for mark in shown]))
    schema = study.results.table("runs").schema
    label = axis_label(schema, column)
    x = DrawnAxis("", limits=(-0.5, len(entries) - 0.5), categories=tuple(entries))
    return Figure(
        name=f"entries_{column}",
        title=f"{column_words(column)}, entry by entry",
        caption=f"{column}: {meaning_of(schema, column)}. {QUANTILE_WORDS}",
        panels=(Panel("", x, DrawnAxis(label, scale=scale), shown, place=place_of(settings)),),
        columns=1,
        query=f"SELECT source, setting, {column} FROM read_parquet('runs/**/*.parquet', "
        "hive_partitioning = true)",
    )


def _table(lists: pa.ChunkedArray, entries: int) -> Float[np.ndarray, "R entries"]:
    flat = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.astype(float).reshape(-1, entries)


def _quantiles(
    group: Group,
    rank: int,
    groups: int,
    values: Float[np.ndarray, "R entries"],
    setting: Int[np.ndarray, " R"],
) -> Quantiles:
    """Place the group's quantiles at every entry, beside those of the other groups."""
    ours = values[np.isin(setting, list(group.settings))]
    levels = [
        np.quantile(finite, LEVELS) if len(finite) else np.full(len(LEVELS), np.nan)
        for finite in (entry[np.isfinite(entry)] for entry in ours.T)
    ]
    aside = WIDTH * ((rank + 0.5) / groups - 0.5)
    at = np.arange(values.shape[1]) + aside
    return Quantiles(at, np.array(levels), label=group.label, colour=group.colour)
