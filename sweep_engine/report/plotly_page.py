"""Figures as plotly JSON, for the page.

Every panel is a plotly figure of its own, so that a narrow window can stack them, and the
page writes its legend: what has `showlegend` has an entry there. Colours are written for a
light ground as `rgba(r,g,b,a)`; `DARK` says what stands in their place on a dark one.
"""

import base64
from functools import singledispatch
from html import escape
from textwrap import wrap
from typing import Any, TypeAlias

import numpy as np

from sweep_engine.report.figure import (
    CATEGORICAL,
    GRID,
    INK,
    ROLES,
    SEQUENTIAL,
    Axis,
    Band,
    Bars,
    Colour,
    Figure,
    Heatmap,
    Line,
    Mark,
    Panel,
    Points,
    Quantiles,
    Rule,
    Shade,
    Steps,
    Values,
    power_of_ten,
    shade,
)

Json: TypeAlias = dict[str, Any]

_TITLE_WIDTH = 28  # characters of an axis title that a telephone shows on one line
_NO_COLOUR = "rgba(0,0,0,0)"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def to_plotly(figure: Figure) -> list[Json]:
    """Translate a figure into plotly's `{"data", "layout"}`, one for each panel."""
    return [{"data": _data(panel), "layout": _layout(panel)} for panel in figure.panels]


def _data(panel: Panel) -> list[Json]:
    """Collect the traces of a panel, with one entry of the legend for each label."""
    traces = [trace for mark in panel.marks for trace in _traces(mark, panel)]
    seen: set[str] = set()
    for trace in traces:
        if trace.get("showlegend"):
            trace["showlegend"] = trace["name"] not in seen
            seen.add(trace["name"])
    return traces


def _layout(panel: Panel) -> Json:
    y = _axis(panel.y, panel.y.categories) | {"automargin": "left"}
    if panel.equal_aspect:
        y |= {"scaleanchor": "x", "scaleratio": 1}
    return {
        "xaxis": _axis(panel.x, panel.x_categories) | {"automargin": "bottom"},
        "yaxis": y,
        "shapes": [shape for mark in panel.marks for shape in _shapes(mark, panel)],
        "barmode": "overlay",
        "font": {"family": _FONT, "size": 13, "color": _rgba(INK)},
        "paper_bgcolor": _NO_COLOUR,
        "plot_bgcolor": _NO_COLOUR,
        "margin": {"l": 8, "r": 18, "t": 8, "b": 8},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": _FONT}},
    }


# Axes


def _axis(axis: Axis, categories: tuple[str, ...] | None) -> Json:
    layout: Json = {
        "title": {"text": "<br>".join(wrap(_text(axis.label), _TITLE_WIDTH)), "standoff": 12},
        "tickfont": {"size": 12},
        "type": "log" if axis.scale == "log" else "linear",
        "zeroline": False,
        "gridcolor": _rgba(GRID),
        "linecolor": _rgba(INK),
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": _rgba(INK),
        "exponentformat": "power",
        "constrain": "domain",
    }
    if axis.scale == "log":
        # Whole numbers, and few: plotly prints lone digits between decades, as many as fit.
        layout |= {"tickformat": "~g", "nticks": 5}
    if axis.limits is not None:
        layout["range"] = _range(axis, axis.limits)
    if axis.scale == "symlog":
        ticks, texts = axis.symlog_ticks
        layout |= {"tickvals": _place(np.array(ticks), axis).tolist(), "ticktext": texts}
    if categories is not None:
        texts = [_text(category) for category in categories]
        layout |= {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False}
    return layout


def _range(axis: Axis, limits: tuple[float, float]) -> list[float]:
    ends = np.array(limits)
    places = np.log10(ends) if axis.scale == "log" else _place(ends, axis)
    return [float(place) for place in places]


def _place(values: Values, axis: Axis) -> Values:
    """Map values to plotly's coordinate, which knows no symlog."""
    return np.arcsinh(values / axis.linear_width) if axis.scale == "symlog" else values


# Pieces of JSON


def _array(values: Values) -> Json:
    """Encode an array as plotly does: compact, and NaN is allowed."""
    array = np.ascontiguousarray(values, dtype="<f8")
    encoded = {"dtype": "f8", "bdata": base64.b64encode(array.tobytes()).decode()}
    return encoded if array.ndim == 1 else {**encoded, "shape": ", ".join(map(str, array.shape))}


def _text(text: str) -> str:
    """Keep plotly from reading markup in a text."""
    return escape(text, quote=False)


def _rgba(colour: Shade, alpha: float = 1.0) -> str:
    return f"rgba({_rgb(colour.light)},{alpha:g})"


def _rgb(hex_colour: str) -> str:
    return ",".join(str(int(hex_colour[i : i + 2], 16)) for i in (1, 3, 5))


DARK = {
    _rgb(colour.light): _rgb(colour.dark)
    for colour in (*CATEGORICAL, *ROLES.values(), *SEQUENTIAL, INK, GRID)
}
"""`r,g,b` on a light ground to `r,g,b` on a dark one."""


def _curve(mark: Any, panel: Panel, x: Values, y: Values, **more: Any) -> Json:
    return {
        "type": "scatter",
        "name": mark.label,
        "showlegend": bool(mark.label),
        "x": _array(_place(x, panel.x)),
        "y": _array(_place(y, panel.y)),
        **more,
    }


def _silent(trace: Json) -> Json:
    """Leave a trace out of the legend and of what the pointer finds."""
    return trace | {"showlegend": False, "hoverinfo": "skip"}


def _line(colour: Colour, width: float = 2.0, alpha: float = 1.0, dash: str = "solid") -> Json:
    return {"color": _rgba(shade(colour), alpha), "width": width, "dash": dash}


def _area(mark: Any, panel: Panel, x: Values, low: Values, high: Values, alpha: float) -> Json:
    """Fill between two curves with a closed outline; where an end is NaN there is none."""
    low, high = panel.y.ends(low, high)
    ok = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[ok], low[ok], high[ok]
    outline = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
    colour = _rgba(shade(mark.colour), alpha)
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
    return {"hovertemplate": f"{template}<extra>{_text(mark.label)}</extra>"}


# One function a mark


@singledispatch
def _traces(mark: Mark, panel: Panel) -> list[Json]:
    raise TypeError(f"no traces for {type(mark).__name__}")


@_traces.register
def _points_traces(mark: Points, panel: Panel) -> list[Json]:
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
        hover = {"text": [_text(text) for text in shown.hover]}
        hover |= _hover_template(mark, "%{text}")
    marker = {
        "color": _rgba(shade(shown.colour)),
        "size": 1.2 * shown.size,
        "opacity": shown.opacity,
        "line": {"width": 0},
    }
    dots = _curve(shown, panel, shown.x, shown.y, mode="markers", marker=marker, **hover)
    return [*traces, dots]


@_traces.register
def _line_traces(mark: Line, panel: Panel) -> list[Json]:
    line = _line(mark.colour, dash=mark.dash)
    hover = _hover(mark, panel, mark.x, mark.y)
    return [_curve(mark, panel, mark.x, mark.y, mode="lines", line=line, **hover)]


@_traces.register
def _band_traces(mark: Band, panel: Panel) -> list[Json]:
    return [_area(mark, panel, mark.x, mark.low, mark.high, alpha=0.22)]


@_traces.register
def _steps_traces(mark: Steps, panel: Panel) -> list[Json]:
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


@_traces.register
def _heatmap_traces(mark: Heatmap, panel: Panel) -> list[Json]:
    values = np.log10(mark.cells) if mark.log else mark.cells
    stops = np.linspace(0, 1, len(SEQUENTIAL)).tolist()
    heatmap = {
        "type": "heatmap",
        "x": _array(_place(mark.x_edges, panel.x)),
        "y": _array(_place(mark.y_edges, panel.y)),
        "z": _array(values),
        "customdata": _array(mark.values),
        "hovertemplate": "%{customdata:.4g}<extra></extra>",
        "hoverongaps": False,
        "colorscale": [
            [stop, _rgba(colour)] for stop, colour in zip(stops, SEQUENTIAL, strict=True)
        ],
        "colorbar": {
            "title": {"text": _text(mark.label), "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            **(_decade_ticks(values) if mark.log else {}),
        },
    }
    return [heatmap]


def _decade_ticks(exponents: Values) -> Json:
    """Name the decades of a logarithmic colour bar; if there are few, also 2 and 5."""
    low, high = np.nanmin(exponents), np.nanmax(exponents)
    if high - low > 2:
        ticks = np.arange(np.floor(low), np.ceil(high) + 1).astype(int).tolist()
        return {"tickvals": ticks, "ticktext": [power_of_ten(tick) for tick in ticks]}
    values = [m * 10.0**k for k in range(int(low) - 2, int(high) + 3) for m in (1, 2, 5)]
    return {"tickvals": np.log10(values).tolist(), "ticktext": [f"{value:g}" for value in values]}


@_traces.register
def _bars_traces(mark: Bars, panel: Panel) -> list[Json]:
    centres, width = panel.bar_slots(mark)
    look = {"width": 0.92 * width, "marker": {"color": _rgba(shade(mark.colour))}}
    bars = _curve(mark, panel, centres, mark.values, **look)
    bars |= {"type": "bar", **_hover_template(mark, "%{y:.4g}")}
    if mark.low is None or mark.high is None:
        return [bars]
    stroke = {"color": _rgba(INK), "width": 1.5}
    ends = panel.y.ends(mark.low, mark.high, mark.values)
    return [bars, _uprights(mark, panel, centres, *ends, stroke)]


@_traces.register
def _quantiles_traces(mark: Quantiles, panel: Panel) -> list[Json]:
    q05, q25, median, q75, q95 = mark.values.T
    thin, thick = _line(mark.colour, 1.5), _line(mark.colour, 8, alpha=0.45)
    marker = {"color": _rgba(shade(mark.colour)), "size": 7}
    text = _number_texts(mark.x, *mark.values.T)
    hover = {"text": text, **_hover_template(mark, "%{text}<br>(x; 5, 25, 50, 75, 95%)")}
    return [
        _uprights(mark, panel, mark.x, q05, q95, thin),
        _uprights(mark, panel, mark.x, q25, q75, thick),
        _curve(mark, panel, mark.x, median, mode="markers", marker=marker, **hover),
    ]


@_traces.register
def _rule_traces(mark: Rule, panel: Panel) -> list[Json]:
    return []  # shapes of the layout


def _shapes(mark: Mark, panel: Panel) -> list[Json]:
    """Draw a rule, and an unseen wide one that keeps it off the panel's edge."""
    if not isinstance(mark, Rule):
        return []
    across, along = ("y", "x") if mark.orientation == "horizontal" else ("x", "y")
    axis = panel.y if across == "y" else panel.x
    place = float(_place(np.array(mark.value), axis))
    rule: Json = {
        "type": "line",
        "name": mark.label,
        "showlegend": bool(mark.label),
        "line": _line(mark.colour, 1.6, dash=mark.dash),
        f"{across}ref": across,
        f"{across}0": place,
        f"{across}1": place,
        f"{along}ref": f"{along} domain",
        f"{along}0": 0,
        f"{along}1": 1,
    }
    return [rule, rule | {"showlegend": False, "opacity": 0, "line": {"width": 24}}]
