"""How far apart two sources are, along a swept axis: one panel for each point of the others."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sweep_engine.densities import Compared, Pair, Study
from sweep_engine.densities.estimator import Table
from sweep_engine.report.drawing.axes import Axis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Along, Figure, Panel, Place
from sweep_engine.report.drawing.marks import Band, Line, Mark, Points
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.places import place_of_pair, value_text
from sweep_engine.report.words import HEADLINES, quantity, table_of
from sweep_engine.spec import Comparison

LEAST_VALUES = 3
"""Of an axis that is drawn along; fewer are read off the table."""

MAX_PANELS = 24


def along_figures(study: Study, compared: Sequence[Compared]) -> Iterator[Figure]:
    """Draw every comparison's first headline along its longest numeric axis."""
    by_comparison: dict[str, list[Compared]] = defaultdict(list)
    for one in compared:
        if table_of(one.estimate) is not Table.DECOMPOSITION:
            by_comparison[one.pair.comparison.model_dump_json()].append(one)
    for group in by_comparison.values():
        path = _longest_axis([one.pair.at for one in group])
        names = {one.estimate.name for one in group}
        headline = next((name for name in HEADLINES if name in names), None)
        if path is not None and headline is not None:
            yield _figure(study, path, [one for one in group if one.estimate.name == headline])


def _longest_axis(at: Sequence[Mapping[str, Any]]) -> str | None:
    numeric = {}
    for path in at[0]:
        values = [one.get(path) for one in at]  # a list of widths, too
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            numeric[path] = len(set(values))
    longest = max(numeric, key=lambda path: numeric[path], default=None)
    return longest if longest is not None and numeric[longest] >= LEAST_VALUES else None


def _figure(study: Study, path: str, group: Sequence[Compared]) -> Figure:
    by_others: dict[tuple[tuple[str, str], ...], list[Compared]] = defaultdict(list)
    for one in sorted(group, key=lambda one: one.pair.at[path]):
        others = tuple((k, value_text(v)) for k, v in one.pair.at.items() if k != path)
        by_others[others].append(one)
    shown = list(by_others.items())[:MAX_PANELS]
    left_out = len(by_others) - len(shown)
    more = f" {left_out} more panels are left out; the table has all." if left_out else ""
    asked, estimate = group[0].pair.comparison, group[0].estimate
    given = ", networks that fit" if asked.given == "fit" else ""
    name = path.removeprefix("sources.")
    return Figure(
        name=figure_name(f"along {path} {_kind(asked)}", Pair(asked, {}, (), ())),
        title=f"Along {name}, {asked.observable}: {asked.source} and {asked.reference}{given}",
        caption="Bands are intervals that hold for all settings of the comparison at once, at 95%. "
        "Dotted: what the same estimator says of two halves of one source, where it has such a "
        f"null; only what stands above it is a difference.{more}",
        panels=tuple(_panel(study, path, others, found) for others, found in shown),
        columns=min(4, len(shown)),
        query='SELECT "at", value, low_simultaneous, high_simultaneous, null_value FROM '
        f"'comparisons.parquet' WHERE source = '{asked.source}' AND reference = "
        f"'{asked.reference}' AND name = '{estimate.name}'",
    )


def _kind(asked: Comparison) -> str:
    words = [asked.observable, asked.given or "", asked.estimator or ""]
    words += [f"{name}={span}" for name, span in (asked.where or {}).items()]
    return " ".join(words)


def _panel(
    study: Study, path: str, others: tuple[tuple[str, str], ...], found: Sequence[Compared]
) -> Panel:
    """One estimate along an axis; its values stand side by side, whatever lies between them."""
    values = tuple(value_text(one.pair.at[path]) for one in found)
    whole = place_of_pair(study, *(one.pair for one in found))
    x = np.arange(len(found), dtype=float)
    return Panel(
        title=", ".join(f"{k.split('.')[-1]} = {v}" for k, v in others),
        x=Axis(path.split(".")[-1], categories=values),
        y=Axis(quantity(found[0].estimate)),
        marks=tuple(_marks(x, found)),
        place=Place(whole.at, tuple(over for over in whole.over if over != path)),
        along=Along(path, values, x),
    )


def _marks(x: np.ndarray, found: Sequence[Compared]) -> Iterator[Mark]:
    ends = [one.simultaneous or (one.estimate.low, one.estimate.high) for one in found]
    value = np.array([one.estimate.value for one in found], float)
    null = np.array([one.estimate.null_value for one in found], float)
    low, high = np.array(ends, float).T
    shown = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    yield Band(x[shown], low[shown], high[shown], colour=Role.SOURCE)
    yield Line(x[shown], value[shown], colour=Role.SOURCE)
    yield Points(x[shown], value[shown], label="estimate", colour=Role.SOURCE, opacity=1.0)
    if (known := np.isfinite(null)).any():
        yield Line(x[known], null[known], label="same-source null", colour=Role.NULL, dash="dot")
