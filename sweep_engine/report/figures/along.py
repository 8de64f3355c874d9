"""How far apart two sources are, along a swept axis: one panel for each point of the others."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sweep_engine.densities import Compared, Pair, Study
from sweep_engine.densities.estimator import Table
from sweep_engine.densities.subject import column_words
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Along, Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import Band, Line, Mark, Points
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.places import place_of_pair
from sweep_engine.report.words import HEADLINES, quantity, shown_ends, table_of
from sweep_engine.spec import Comparison
from sweep_engine.spec.wording import point_text, value_text

LEAST_VALUES = 3
"""Of an axis that is drawn along; fewer are read off the table."""

MAX_PANELS = 24


def along_figures(study: Study, compared: Sequence[Compared]) -> Iterator[Figure]:
    """Draw every comparison's first headline along its longest numeric axis."""
    by_comparison: dict[str, list[Compared]] = defaultdict(list)
    for each in compared:
        if table_of(each.estimate) is not Table.DECOMPOSITION:
            by_comparison[each.pair.comparison.model_dump_json()].append(each)
    for group in by_comparison.values():
        path = _longest_axis([each.pair.coordinates for each in group])
        names = {each.estimate.name for each in group}
        headline = next((name for name in HEADLINES if name in names), None)
        if path is not None and headline is not None:
            yield _figure(study, path, [each for each in group if each.estimate.name == headline])


def _longest_axis(at: Sequence[Mapping[str, Any]]) -> str | None:
    numeric = {}
    for path in at[0]:
        values = [each.get(path) for each in at]  # a list of widths, too
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            numeric[path] = len(set(values))
    longest = max(numeric, key=lambda path: numeric[path], default=None)
    return longest if longest is not None and numeric[longest] >= LEAST_VALUES else None


def _figure(study: Study, path: str, group: Sequence[Compared]) -> Figure:
    by_others: dict[str, list[Compared]] = defaultdict(list)
    for each in sorted(group, key=lambda each: each.pair.at[path]):
        others = {k: v for k, v in each.pair.coordinates.items() if k != path}
        by_others[point_text(others)].append(each)
    shown = list(by_others.items())[:MAX_PANELS]
    left_out = len(by_others) - len(shown)
    more = f" {left_out} more panels are left out; the table has all." if left_out else ""
    comparison, estimate = group[0].pair.comparison, group[0].estimate
    given = ", networks that fit" if comparison.given == "fit" else ""
    name = path.removeprefix("sources.")
    return Figure(
        name=figure_name(f"along {path} {_kind(comparison)}", Pair(comparison, {}, (), ())),
        title=f"Along {name}, {comparison.observable}: {comparison.source} and "
        f"{comparison.reference}{given}",
        caption="Bands are intervals that hold for all settings of the comparison at once, at 95%. "
        "Dotted: what the same estimator says of two halves of one source, where it has such a "
        f"null; only what stands above it is a difference.{more}",
        panels=tuple(_panel(study, path, others, group) for others, group in shown),
        columns=min(3, len(shown)),
        query='SELECT "at", value, low_simultaneous, high_simultaneous, null_value FROM '
        f"'comparisons.parquet' WHERE source = '{comparison.source}' AND reference = "
        f"'{comparison.reference}' AND name = '{estimate.name}'",
    )


def _kind(comparison: Comparison) -> str:
    words = [comparison.observable, comparison.given or "", comparison.estimator or ""]
    words += [f"{name}={span}" for name, span in (comparison.where or {}).items()]
    return " ".join(words)


def _panel(study: Study, path: str, others: str, group: Sequence[Compared]) -> Panel:
    """One estimate along an axis; its values stand side by side, whatever lies between them."""
    values = tuple(value_text(each.pair.at[path]) for each in group)
    whole = place_of_pair(study, *(each.pair for each in group))
    x = np.arange(len(group), dtype=float)
    return Panel(
        title=others,
        x=DrawnAxis(column_words(path.split(".")[-1]), categories=values),
        y=DrawnAxis(quantity(group[0].estimate)),
        marks=tuple(_marks(x, group)),
        place=SweptPlace(whole.at, tuple(over for over in whole.over if over != path)),
        along=Along(path, values, x),
    )


def _marks(x: np.ndarray, group: Sequence[Compared]) -> Iterator[Mark]:
    ends = [shown_ends(each.estimate, each.simultaneous) for each in group]
    value = np.array([each.estimate.value for each in group], float)
    null = np.array([each.estimate.null_value for each in group], float)
    low, high = np.array(ends, float).T
    shown = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    yield Band(x[shown], low[shown], high[shown], colour=Role.SOURCE)
    yield Line(x[shown], value[shown], colour=Role.SOURCE)
    yield Points(x[shown], value[shown], label="estimate", colour=Role.SOURCE, opacity=1.0)
    if (known := np.isfinite(null)).any():
        yield Line(x[known], null[known], label="same-source null", colour=Role.NULL, dash="dot")
