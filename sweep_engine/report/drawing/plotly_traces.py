"""Marks as plotly's traces and shapes."""

from functools import singledispatch
from typing import Any

import numpy as np

from sweep_engine.report.drawing.axes import Values, power_of_ten
from sweep_engine.report.drawing.colours import INK, Colour, shade
from sweep_engine.report.drawing.figure import Panel
from sweep_engine.report.drawing.marks import (
    Band,
    Bars,
    Heatmap,
    Line,
    Mark,
    Points,
    Quantiles,
    Rule,
    ShownRuns,
    Steps,
)
from sweep_engine.report.drawing.plotly_json import Json, array, coordinate, rgba, text_of


def _curve(mark: Any, panel: Panel, x: Values, y: Values, **more: Any) -> Json:
    return {
        "type": "scatter",
        "name": mark.label,
        "showlegend": bool(mark.label),
        "x": array(coordinate(x, panel.x)),
        "y": array(coordinate(y, panel.y)),
        **more,
    }


def _silent(trace: Json) -> Json:
    """Leave a trace out of the legend and of what the pointer finds."""
    return trace | {"showlegend": False, "hoverinfo": "skip"}


def _line(colour: Colour, width: float = 2.0, alpha: float = 1.0, dash: str = "solid") -> Json:
    return {"color": rgba(shade(colour), alpha), "width": width, "dash": dash}


def _area(mark: Any, panel: Panel, x: Values, low: Values, high: Values, alpha: float) -> Json:
    """Fill between two curves with a closed outline; where an end is NaN there is none."""
    low, high = panel.y.ends(low, high)
    ok = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[ok], low[ok], high[ok]
    outline = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
    colour = rgba(shade(mark.colour), alpha)
    look: Json = {"fill": "toself", "fillcolor": colour, "line": {"width": 0}}
    return _curve(mark, panel, *outline, mode="lines", hoverinfo="skip", **look)


def _uprights(mark: Any, panel: Panel, x: Values, low: Values, high: Values, line: Json) -> Json:
    """Draw one vertical stroke at each x."""
    strokes = _with_gaps(x, x), _with_gaps(low, high)
    return _silent(_curve(mark, panel, *strokes, mode="lines", line=line))


def _levels(mark: Any, panel: Panel, y: Values, low: Values, high: Values, line: Json) -> Json:
    """Draw one horizontal stroke at each y."""
    strokes = _with_gaps(low, high), _with_gaps(y, y)
    return _silent(_curve(mark, panel, *strokes, mode="lines", line=line))


def _with_gaps(starts: Values, stops: Values) -> Values:
    return np.column_stack([starts, stops, np.full(len(starts), np.nan)]).ravel()


def _number_texts(*columns: Values) -> list[str]:
    """Print the numbers of each row; what the pointer reads on a transformed axis."""
    return [", ".join(f"{number:.4g}" for number in row) for row in np.column_stack(columns)]


def _hover(mark: Any, panel: Panel, x: Values, y: Values) -> Json:
    """Say the values under the pointer, as they are before a symlog transform."""
    if "symlog" not in (panel.x.scale, panel.y.scale):
        return _hover_template(mark, "%{x:.4g}, %{y:.4g}")
    return {"text": _number_texts(x, y), **_hover_template(mark, "%{text}")}


def _hover_template(mark: Any, template: str) -> Json:
    return {"hovertemplate": f"{template}<extra>{text_of(mark.label)}</extra>"}


# One function a mark


@singledispatch
def traces_of(mark: Mark, panel: Panel) -> list[Json]:
    """Translate one mark; a rule is no trace but a shape of the layout."""
    raise TypeError(f"no traces for {type(mark).__name__}")


@traces_of.register
def _pointstraces(mark: Points, panel: Panel) -> list[Json]:
    shown = mark.drawable(panel.x, panel.y)
    stroke = _line(shown.colour, width=1, alpha=0.3 * shown.opacity)
    traces = []
    if shown.y_low is not None and shown.y_high is not None:
        ends = panel.y.ends(shown.y_low, shown.y_high, shown.y)
        traces.append(_uprights(shown, panel, shown.x, *ends, stroke))
    if shown.x_low is not None and shown.x_high is not None:
        ends = panel.x.ends(shown.x_low, shown.x_high, shown.x)
        traces.append(_levels(shown, panel, shown.y, *ends, stroke))
    hover = _hover(shown, panel, shown.x, shown.y)
    if shown.hover is not None:
        hover = {"text": [text_of(text) for text in shown.hover]}
        hover |= _hover_template(mark, "%{text}")
    marker = {
        "color": rgba(shade(shown.colour)),
        "size": 1.2 * shown.size,
        "opacity": shown.opacity,
        "line": {"width": 0},
    }
    dots = _curve(shown, panel, shown.x, shown.y, mode="markers", marker=marker, **hover)
    if shown.runs is not None:
        dots |= {"meta": _runs(shown.runs), "hovertemplate": "%{text}<extra></extra>"}
    return [*traces, dots]


def _runs(runs: ShownRuns) -> Json:
    """Which run each dot is: the page looks up its setting and writes the hover text."""
    return {
        "run": runs.run_id.astype(str).tolist(),  # beyond the whole numbers of JavaScript
        "setting": runs.setting.tolist(),
        "outcomes": {
            name: array(values) if values.dtype.kind in "fiub" else values.astype(str).tolist()
            for name, values in runs.outcomes.items()
        },
    }


@traces_of.register
def _linetraces(mark: Line, panel: Panel) -> list[Json]:
    line = _line(mark.colour, dash=mark.dash)
    hover = _hover(mark, panel, mark.x, mark.y)
    return [_curve(mark, panel, mark.x, mark.y, mode="lines", line=line, **hover)]


@traces_of.register
def _bandtraces(mark: Band, panel: Panel) -> list[Json]:
    return [_area(mark, panel, mark.x, mark.low, mark.high, alpha=0.22)]


@traces_of.register
def _stepstraces(mark: Steps, panel: Panel) -> list[Json]:
    x, y = mark.outline(mark.values)
    traces = []
    if mark.low is not None and mark.high is not None:
        low, high = panel.y.ends(mark.low, mark.high, mark.values)
        ends = np.repeat(low, 2), np.repeat(high, 2)
        traces.append(_silent(_area(mark, panel, x, *ends, alpha=0.25)))
    if mark.fill:
        traces.append(_silent(_area(mark, panel, x, np.zeros_like(y), y, alpha=0.15)))
    outline = _curve(mark, panel, x, y, mode="lines", line=_line(mark.colour, 1.8))
    return [*traces, outline | _hover(mark, panel, x, y)]


@traces_of.register
def _heatmaptraces(mark: Heatmap, panel: Panel) -> list[Json]:
    values = np.log10(mark.cells) if mark.log else mark.cells
    low, high = _ends(mark)
    stops = np.linspace(0, 1, len(mark.colours)).tolist()
    heatmap = {
        "type": "heatmap",
        "x": array(coordinate(mark.x_edges, panel.x)),
        "y": array(coordinate(mark.y_edges, panel.y)),
        "z": array(values),
        "customdata": array(mark.values),
        "hovertemplate": "%{customdata:.4g}<extra></extra>",
        "hoverongaps": False,
        "zmin": low,
        "zmax": high,
        "colorscale": [
            [stop, rgba(colour)] for stop, colour in zip(stops, mark.colours, strict=True)
        ],
        "colorbar": {
            "title": {"text": text_of(mark.label), "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            **(_decade_ticks(low, high) if mark.log else {}),
        },
    }
    if mark.counts is not None:
        heatmap |= {"meta": _counts(mark), "hovertemplate": "%{text}<extra></extra>"}
    return [heatmap]


def _counts(mark: Heatmap) -> Json:
    """The counts apart by setting: the page adds up those that its filter leaves."""
    counts = mark.counts
    assert counts is not None
    cells = {name: getattr(counts, name).tolist() for name in ("row", "column", "count", "setting")}
    return cells | {"run": counts.run_id.astype(str).tolist(), "log": mark.log}


def _ends(mark: Heatmap) -> tuple[float, float]:
    """Where the colours end, in plotly's coordinate; never at one place."""
    ends = np.array(mark.limits or (np.nanmin(mark.cells), np.nanmax(mark.cells)), float)
    low, high = np.log10(ends) if mark.log else ends
    return float(low), float(high if high > low else low + 1)


def _decade_ticks(low: float, high: float) -> Json:
    """Name the decades of a logarithmic colour bar; if there are few, also 2 and 5."""
    if high - low > 2:
        ticks = np.arange(np.ceil(low), np.floor(high) + 1).astype(int).tolist()
        return {"tickvals": ticks, "ticktext": [power_of_ten(tick) for tick in ticks]}
    values = [m * 10.0**k for k in range(int(low) - 2, int(high) + 3) for m in (1, 2, 5)]
    shown = [value for value in values if low - 1e-9 <= np.log10(value) <= high + 1e-9]
    return {"tickvals": np.log10(shown).tolist(), "ticktext": [f"{value:g}" for value in shown]}


@traces_of.register
def _barstraces(mark: Bars, panel: Panel) -> list[Json]:
    centres, width = panel.bar_slots(mark)
    look = {"width": 0.92 * width, "marker": {"color": rgba(shade(mark.colour))}}
    bars = _curve(mark, panel, centres, mark.values, **look)
    bars |= {"type": "bar", **_hover_template(mark, "%{y:.4g}")}
    if mark.low is None or mark.high is None:
        return [bars]
    stroke = {"color": rgba(INK), "width": 1.5}
    ends = panel.y.ends(mark.low, mark.high, mark.values)
    return [bars, _uprights(mark, panel, centres, *ends, stroke)]


@traces_of.register
def _quantilestraces(mark: Quantiles, panel: Panel) -> list[Json]:
    q05, q25, median, q75, q95 = mark.values.T
    thin, thick = _line(mark.colour, 1.5), _line(mark.colour, 8, alpha=0.45)
    marker = {"color": rgba(shade(mark.colour)), "size": 7}
    text = _number_texts(mark.x, *mark.values.T)
    hover = {"text": text, **_hover_template(mark, "%{text}<br>(x; 5, 25, 50, 75, 95%)")}
    return [
        _uprights(mark, panel, mark.x, q05, q95, thin),
        _uprights(mark, panel, mark.x, q25, q75, thick),
        _curve(mark, panel, mark.x, median, mode="markers", marker=marker, **hover),
    ]


@traces_of.register
def _ruletraces(mark: Rule, panel: Panel) -> list[Json]:
    return []  # shapes of the layout


def shapes_of(mark: Mark, panel: Panel) -> list[Json]:
    """Draw a rule, and an unseen wide one that keeps it off the panel's edge."""
    if not isinstance(mark, Rule):
        return []
    across, along = ("y", "x") if mark.orientation == "horizontal" else ("x", "y")
    axis = panel.y if across == "y" else panel.x
    at = float(coordinate(np.array(mark.value), axis))
    rule: Json = {
        "type": "line",
        "name": mark.label,
        "showlegend": bool(mark.label),
        "line": _line(mark.colour, 1.6, dash=mark.dash),
        f"{across}ref": across,
        f"{across}0": at,
        f"{across}1": at,
        f"{along}ref": f"{along} domain",
        f"{along}0": 0,
        f"{along}1": 1,
    }
    return [rule, rule | {"showlegend": False, "opacity": 0, "line": {"width": 24}}]
