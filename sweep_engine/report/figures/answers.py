"""The picture of an answer: both laws of one setting, or what changes along many settings."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sweep_engine.comparability import list_columns
from sweep_engine.densities import Answer, Estimate, Pair, Study, by_comparison
from sweep_engine.densities.subject import axis_label
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Colour, Role
from sweep_engine.report.drawing.figure import Along, Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import Band, Line, Mark, Points
from sweep_engine.report.figures.functions import function_figures
from sweep_engine.report.figures.laws import laws_panel, share_heights
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.figures.observables import kind_of, query_of, window_of
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import place_of_pair
from sweep_engine.spec import Comparison
from sweep_engine.spec.wording import point_text, value_text

MAX_PANELS = 12

LEAST_SETTINGS = 3
"""Of a comparison that is drawn along an axis; fewer are drawn as laws."""


def answer_figures(study: Study, answers: Sequence[Answer]) -> Iterator[Figure]:
    """Draw each comparison once; those that have no such picture are passed over."""
    for group in by_comparison(answers):
        if (figure := answer_figure(study, group)) is not None:
            yield figure


def answer_figure(study: Study, answers: Sequence[Answer]) -> Figure | None:
    """Draw one comparison: both laws, or both medians along the axis with the most values.

    Args:
        study: Where the source's runs are.
        answers: Of one comparison, at least one.
    """
    known = [each for each in answers if each.medians]
    if len(known) >= LEAST_SETTINGS:
        return _medians(study, known)
    try:
        return _laws(study, answers)
    except (InsufficientSamples, IncomparableSources):
        return None  # the row of the table says what it lacks


def _laws(study: Study, answers: Sequence[Answer]) -> Figure | None:
    comparison, other = answers[0].pair.comparison, answers[0].other
    if comparison.observable == "function":
        estimates = [each.estimate for each in answers[0].compared]
        figures = function_figures(study, answers[0].pair, estimates)
        return replace(figures[0], name=_name("functions", comparison)) if figures else None
    if not answers[0].subject.is_of_column or comparison.observable in list_columns(study.sweep):
        return None
    pairs = [each.pair for each in answers]
    window = window_of(study, pairs, other)
    if window is None:
        return None
    panels = share_heights([laws_panel(study, pair, window, other) for pair in pairs])
    return Figure(
        name=_name("laws", comparison),
        title=f"Where {comparison.source} and {comparison.reference} land",
        caption=f"Densities with exact 95% intervals, bin by bin. Dotted lines are medians. "
        f"{window.words}".strip(),
        panels=panels,
        columns=min(2, len(panels)),
        query=query_of(comparison, [comparison.observable]),
    )


def _name(kind: str, comparison: Comparison) -> str:
    given = comparison.given if comparison.given == "fit" else ""
    return figure_name(f"answer {kind} {kind_of(comparison)} {given}", Pair(comparison, {}, (), ()))


def _medians(study: Study, answers: Sequence[Answer]) -> Figure:
    """Draw both medians along an axis, in a panel for each point of the others."""
    comparison = answers[0].pair.comparison
    axis = _longest([each.pair.coordinates for each in answers])
    by_others: dict[str, list[Answer]] = defaultdict(list)
    for each in answers:
        others = {k: v for k, v in each.pair.coordinates.items() if k != axis}
        by_others[point_text(others)].append(each)
    shown = list(by_others.items())[:MAX_PANELS]
    left_out = len(by_others) - len(shown)
    more = f" {left_out} more panels are left out; the table has all." if left_out else ""
    limits = _limits([each for _, group in shown for each in group])
    return Figure(
        name=_name("medians", comparison),
        title=f"Medians of {comparison.source} and {comparison.reference} along "
        f"{axis.split('.')[-1].replace('_', ' ')}",
        caption="Medians with intervals that hold for all settings of the comparison at once, at "
        f"95%.{more}",
        panels=tuple(_panel(study, axis, words, group, limits) for words, group in shown),
        columns=min(2, len(shown)),
        query='SELECT "at", name, value, low_simultaneous, high_simultaneous FROM '
        f"'comparisons.parquet' WHERE source = '{comparison.source}' AND reference = "
        f"'{comparison.reference}' AND observable = '{comparison.observable}' AND name LIKE "
        "'median%'",
    )


def _longest(at: Sequence[Mapping[str, Any]]) -> str:
    """Choose the factor or axis with the most values."""
    return max(at[0], key=lambda name: len({value_text(each[name]) for each in at}))


def _limits(answers: Sequence[Answer]) -> tuple[float, float] | None:
    """One range for all panels, which holds every median and every finite end."""
    ends = [end for each in answers for m in each.medians for end in (m.value, m.low, m.high)]
    finite = np.array([end for end in ends if np.isfinite(end)])
    if not len(finite) or finite.min() == finite.max():
        return None
    margin = 0.06 * float(np.ptp(finite))
    return float(finite.min()) - margin, float(finite.max()) + margin


def _panel(
    study: Study,
    axis: str,
    title: str,
    answers: Sequence[Answer],
    limits: tuple[float, float] | None,
) -> Panel:
    comparison, colours = answers[0].pair.comparison, source_colours(study.sweep)
    path = _path_of(axis, [each.pair for each in answers])
    ordered = sorted(answers, key=lambda each: _place(each.pair.at[path]))
    x = np.arange(len(ordered), dtype=float)
    shown = tuple(value_text(each.pair.coordinates[axis]) for each in ordered)
    names = dict.fromkeys((comparison.source, comparison.reference))
    sides = zip(*(each.medians for each in ordered), strict=True)
    marks = [
        mark
        for name, side in zip(names, sides, strict=False)
        for mark in _marks(x, side, name, colours.get(name, Role.NULL))
    ]
    whole = place_of_pair(study, *(each.pair for each in ordered))
    label = axis_label(study.results.table("runs").schema, comparison.observable)
    return Panel(
        title=title,
        x=DrawnAxis(axis.split(".")[-1].replace("_", " "), categories=shown),
        y=DrawnAxis(f"median {label}", limits=limits),
        marks=tuple(marks),
        place=SweptPlace(whole.at, tuple(over for over in whole.over if over != path)),
        along=Along(path, tuple(value_text(each.pair.at[path]) for each in ordered), x),
    )


def _path_of(axis: str, pairs: Sequence[Pair]) -> str:
    """Find the path that the page's filter knows an axis by; of a factor, the one that varies."""
    return axis if axis in pairs[0].at else _longest([each.at for each in pairs])


def _place(value: Any) -> tuple[int, float, str]:
    """Order numbers by size, then lists by length, and what is neither by its words, last."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    if isinstance(value, list | tuple):
        return 1, float(len(value)), value_text(value)
    return 2, 0.0, value_text(value)


def _marks(x: np.ndarray, medians: Sequence[Estimate], name: str, colour: Colour) -> Iterator[Mark]:
    value, low, high = np.array([(each.value, each.low, each.high) for each in medians]).T
    yield Band(x, low, high, colour=colour)
    yield Line(x, value, colour=colour)
    yield Points(x, value, name, colour, size=7, opacity=1.0)
