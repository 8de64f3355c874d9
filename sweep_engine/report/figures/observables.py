"""Figures of observables: where sources land."""

from collections.abc import Sequence

import numpy as np

from sweep_engine.comparability import list_columns, split_columns
from sweep_engine.densities import (
    Draws,
    Pair,
    Study,
    density_ratio,
    histogram,
    histogram_2d,
    read_pair,
)
from sweep_engine.errors import InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Heatmap, Points, Rule, Steps
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import place_of_pair
from sweep_engine.spec import Comparison

MAX_PAIRS = 8
MAX_LN = 8.0
"""Where an unbounded log ratio is drawn."""


def comparison_figure(study: Study, pairs: Sequence[Pair]) -> Figure | None:
    """Draw one comparison of a column (or two): a panel for each point of the shared axes."""
    comparison = pairs[0].comparison
    columns = split_columns(comparison.observable)
    if len(columns) > 2 or comparison.observable in list_columns(study.sweep):
        return None
    shown = pairs[:MAX_PAIRS]
    if len(columns) == 1:
        panels = tuple(panel for pair in shown for panel in _density_panels(study, pair, columns))
    else:
        panels = tuple(_heat_panel(study, pair, columns) for pair in shown)
    left_out = len(pairs) - len(shown)
    more = f" {left_out} more settings are left out." if left_out else ""
    given = ", networks that fit" if comparison.given == "fit" else ""
    words = _caption(study, columns) + more
    return Figure(
        name=figure_name(_kind(comparison), pairs[0].__class__(comparison, {}, (), ())),
        title=f"{' and '.join(columns)}: {comparison.source} and {comparison.reference}{given}",
        caption=words,
        panels=panels,
        columns=min(4 if len(columns) == 1 else 3, len(panels)),
        query=_query(comparison, columns),
    )


def _kind(comparison: Comparison) -> str:
    """What a figure is of, so that no two figures of one name differ."""
    words = split_columns(comparison.observable)
    words += [f"{name}={span}" for name, span in (comparison.where or {}).items()]
    words += [f"matched on {comparison.match.column}"] if comparison.match else []
    words += [f"{path}={value}" for path, value in (comparison.at or {}).items()]
    return " ".join(words)


def _query(comparison: Comparison, columns: Sequence[str]) -> str:
    fits = " WHERE fit" if comparison.given == "fit" else ""
    return (
        f"SELECT source, {', '.join(columns)} FROM read_parquet('runs/**/*.parquet', "
        f"hive_partitioning = true){fits}"
    )


def _caption(study: Study, columns: Sequence[str]) -> str:
    schema = study.results.table("runs").schema
    meanings = [
        f"{name}: {(schema.field(name).metadata or {}).get(b'meaning', b'').decode()}."
        for name in columns
        if name in schema.names
    ]
    kind = (
        "Bands are exact 95% intervals, bin by bin. Beside each: ln of the density ratio "
        f"in bins of equal mass, cut at {MAX_LN:g}; its intervals hold all at once, at 95%. "
        "Above 0 the source is denser."
        if len(columns) == 1
        else ""
    )
    return " ".join([*meanings, kind]).strip()


def _density_panels(study: Study, pair: Pair, columns: Sequence[str]) -> list[Panel]:
    colours = source_colours(study.sweep)
    sides = read_pair(study, pair)
    hist = histogram(*sides, num_bins=40)
    names = (pair.comparison.source, pair.comparison.reference)
    marks = [
        Steps(
            hist.edges,
            density.density,
            label=name,
            colour=colours[name],
            fill=True,
            low=density.low,
            high=density.high,
        )
        for name, density in zip(names, (hist.source, hist.reference), strict=True)
    ]
    baseline = _baseline(study, pair, columns)
    place = place_of_pair(study, pair)
    axes = DrawnAxis(columns[0]), DrawnAxis("density")
    density = Panel(pair.label(), *axes, (*marks, *baseline), place=place)
    return [density, *_ratio_panel(study, pair, columns, sides)]


def _ratio_panel(
    study: Study, pair: Pair, columns: Sequence[str], sides: Sequence[Draws]
) -> list[Panel]:
    try:
        ratio = density_ratio(*sides, seed=study.sweep.seed)
    except InsufficientSamples:
        return []
    drawn = ratio.source.counts + ratio.reference.counts > 0
    inner = np.isfinite(ratio.lower) & np.isfinite(ratio.upper) & drawn
    if not inner.any():
        return []
    centre, low, high = (
        np.clip(part[inner], -MAX_LN, MAX_LN) for part in (ratio.log_ratio, ratio.low, ratio.high)
    )
    at = (ratio.lower[inner] + ratio.upper[inner]) / 2
    marks = (
        Rule(0.0, "horizontal", "equal", Role.NULL),
        Points(at, centre, label="ln ratio", colour=Role.SOURCE, y_low=low, y_high=high),
    )
    title = f"{pair.comparison.source} over {pair.comparison.reference}"
    axes = DrawnAxis(columns[0]), DrawnAxis("ln density ratio, nats")
    return [Panel(title, *axes, marks, place=place_of_pair(study, pair))]


def _baseline(study: Study, pair: Pair, columns: Sequence[str]) -> list[Rule]:
    """The majority-class baseline beside every test error."""
    if columns[0] != "test_error":
        return []
    error = majority_error(study, pair.source[0])
    return [] if error is None else [Rule(error, "vertical", "majority class", Role.EXACT)]


def majority_error(study: Study, setting: int) -> float | None:
    """Test error of always answering the training set's commonest label, for a setting."""
    chosen = study.plan.settings[setting]
    bucket = next(name for name, ids in study.plan.buckets.items() if setting in ids)
    try:
        metadata = study.results.file_metadata("runs", chosen.source, bucket)
    except KeyError:
        return None
    value = metadata.get("majority_error")
    return None if value is None else float(value)


def _heat_panel(study: Study, pair: Pair, columns: Sequence[str]) -> Panel:
    plane = histogram_2d(*read_pair(study, pair))
    title = f"ln of {pair.comparison.source} over {pair.comparison.reference} {pair.label()}"
    return Panel(
        title.strip(),
        DrawnAxis(columns[0]),
        DrawnAxis(columns[1]),
        (Heatmap(plane.edges[0], plane.edges[1], plane.log_ratio.T, label="ln ratio"),),
        place=place_of_pair(study, pair),
    )
