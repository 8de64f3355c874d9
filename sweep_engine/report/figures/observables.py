"""Figures of observables: where sources land."""

from collections.abc import Sequence

import numpy as np

from sweep_engine.comparability import list_columns, split_columns
from sweep_engine.densities import (
    Pair,
    Study,
    density_ratio,
    histogram_2d,
    read_pair,
)
from sweep_engine.densities.subject import axis_label, column_words, meaning_of
from sweep_engine.errors import InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Heatmap, Mark, Points, Rule
from sweep_engine.report.figures.laws import Window, laws_panel, share_heights
from sweep_engine.report.figures.names import figure_name
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
    shown, left_out = pairs[:MAX_PAIRS], max(0, len(pairs) - MAX_PAIRS)
    if len(columns) == 1:
        panels, outside = _column_panels(study, shown)
    else:
        panels, outside = tuple(_heat_panel(study, pair, columns) for pair in shown), ""
    more = f"{left_out} more settings are left out." if left_out else ""
    given = ", networks that fit" if comparison.given == "fit" else ""
    names = " and ".join(map(column_words, columns))
    return Figure(
        name=figure_name(kind_of(comparison), Pair(comparison, {}, (), ())),
        title=f"{names}: {comparison.source} and {comparison.reference}{given}",
        caption=" ".join(filter(None, (_caption(study, columns), outside, more))),
        panels=panels,
        columns=min(2, len(panels)),
        query=query_of(comparison, columns),
    )


def _column_panels(study: Study, pairs: Sequence[Pair]) -> tuple[tuple[Panel, ...], str]:
    """Draw both laws of each pair, with the ratio beside; and say what the axis leaves out."""
    window = window_of(study, pairs)
    if window is None:
        raise InsufficientSamples("no draw is a finite number")
    laws = share_heights([laws_panel(study, pair, window, more=_baseline(study, pair, window))
                          for pair in pairs])  # fmt: skip
    ratios = [_ratio_panel(study, pair, window) for pair in pairs]
    if any(ratio.marks for ratio in ratios):
        panels = [panel for both in zip(laws, ratios, strict=True) for panel in both]
    else:
        panels = list(laws)
    words = window.words, _baseline_words(study, pairs, window)
    return tuple(panels), " ".join(filter(None, words))


def window_of(study: Study, pairs: Sequence[Pair], other: Study | None = None) -> Window | None:
    """Fit one window to the draws of several pairs."""
    return Window.of([side for pair in pairs for side in read_pair(study, pair, other)])


def kind_of(comparison: Comparison) -> str:
    """What a figure is of, so that no two figures of one name differ."""
    words = split_columns(comparison.observable)
    words += [f"{name}={span}" for name, span in (comparison.where or {}).items()]
    words += [f"matched on {comparison.match.column}"] if comparison.match else []
    words += [f"{path}={value}" for path, value in (comparison.at or {}).items()]
    return " ".join(words)


def query_of(comparison: Comparison, columns: Sequence[str]) -> str:
    """Ask for the columns of a comparison, as SQL over the results' folder."""
    fits = " WHERE fit" if comparison.given == "fit" else ""
    return (
        f"SELECT source, {', '.join(columns)} FROM read_parquet('runs/**/*.parquet', "
        f"hive_partitioning = true){fits}"
    )


def _caption(study: Study, columns: Sequence[str]) -> str:
    schema = study.results.table("runs").schema
    meanings = [f"{name}: {meaning_of(schema, name)}." for name in columns if name in schema.names]
    kind = (
        "Bands are exact 95% intervals, bin by bin; dotted lines are medians. Beside each: ln of "
        f"the density ratio in bins of equal mass, cut at {MAX_LN:g}; its intervals hold all at "
        "once, at 95%. Above 0 the source is denser."
        if len(columns) == 1
        else ""
    )
    return " ".join([*meanings, kind]).strip()


def _ratio_panel(study: Study, pair: Pair, window: Window) -> Panel:
    """Draw the ratio, which an axis without marks stands for where there are too few draws."""
    label = axis_label(study.results.table("runs").schema, pair.comparison.observable)
    marks = _ratio_marks(study, pair)
    title = f"{pair.comparison.source} over {pair.comparison.reference}"
    words = (title if marks else f"{title}: too few draws", pair.label())
    return Panel(
        ", ".join(filter(None, words)),
        DrawnAxis(label, limits=(window.low, window.high)),
        DrawnAxis("ln of the density ratio, nats", limits=None if marks else (-1.0, 1.0)),
        marks,
        place=place_of_pair(study, pair),
    )


def _ratio_marks(study: Study, pair: Pair) -> tuple[Mark, ...]:
    try:
        ratio = density_ratio(*read_pair(study, pair), seed=study.sweep.seed)
    except InsufficientSamples:
        return ()
    drawn = ratio.source.counts + ratio.reference.counts > 0
    inner = np.isfinite(ratio.lower) & np.isfinite(ratio.upper) & drawn
    if not inner.any():
        return ()
    centre, low, high = (
        np.clip(part[inner], -MAX_LN, MAX_LN) for part in (ratio.log_ratio, ratio.low, ratio.high)
    )
    at = (ratio.lower[inner] + ratio.upper[inner]) / 2
    return (
        Rule(0.0, "horizontal", "equal", Role.NULL),
        Points(at, centre, label="ln ratio", colour=Role.EXACT, y_low=low, y_high=high),
    )


def _baseline(study: Study, pair: Pair, window: Window) -> list[Rule]:
    """The majority-class baseline beside a test error, where the axis reaches it."""
    error = _majority(study, pair)
    if error is None or not window.holds(error):
        return []
    return [Rule(error, "vertical", "majority class", Role.EXACT)]


def _baseline_words(study: Study, pairs: Sequence[Pair], window: Window) -> str:
    """Say the majority class's errors that lie off the axis."""
    errors = {e for pair in pairs if (e := _majority(study, pair)) is not None}
    outside = sorted(error for error in errors if not window.holds(error))
    if not outside:
        return ""
    values = " to ".join(dict.fromkeys((f"{outside[0]:.3g}", f"{outside[-1]:.3g}")))
    return f"Always answering the commonest label would err on {values}, off the axis."


def _majority(study: Study, pair: Pair) -> float | None:
    is_error = pair.comparison.observable == "test_error"
    return majority_error(study, pair.source[0]) if is_error else None


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
    schema = study.results.table("runs").schema
    plane = histogram_2d(*read_pair(study, pair))
    title = f"ln of {pair.comparison.source} over {pair.comparison.reference} {pair.label()}"
    return Panel(
        title.strip(),
        DrawnAxis(axis_label(schema, columns[0])),
        DrawnAxis(axis_label(schema, columns[1])),
        (Heatmap(plane.edges[0], plane.edges[1], plane.log_ratio.T, label="ln ratio"),),
        place=place_of_pair(study, pair),
    )
