"""Figures as plotly JSON, for the page.

Every panel is a plotly figure of its own, so that a narrow window can stack them, and the
page writes its legend: what has `showlegend` has an entry there.
"""

from textwrap import wrap

import numpy as np

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import GRID, INK
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Mark
from sweep_engine.report.drawing.plotly_json import Json, coordinate, rgba, text_of
from sweep_engine.report.drawing.plotly_traces import shapes_of, traces_of

_TITLE_WIDTH = 28  # characters of an axis title that a telephone shows on one line
_NO_COLOUR = "rgba(0,0,0,0)"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def to_plotly(figure: Figure) -> list[Json]:
    """Translate a figure into plotly's `{"data", "layout"}`, one for each panel.

    Beside them stands what the page's filter needs: `place`, `along` with the coordinates of
    its values, and `details` to draw instead of `data`.
    """
    return [_plot(panel) for panel in figure.panels]


def _plot(panel: Panel) -> Json:
    plot: Json = {"data": _data(panel, panel.marks), "layout": _layout(panel)}
    plot["place"] = {"at": dict(panel.place.at), "over": panel.place.over}
    if panel.along is not None:
        plot["along"] = {
            "path": panel.along.path,
            "values": panel.along.values,
            "x": coordinate(panel.along.x, panel.x).tolist(),
        }
    plot["details"] = [
        {"at": dict(detail.at), "data": _data(panel, detail.marks)} for detail in panel.details
    ]
    return plot


def _data(panel: Panel, marks: tuple[Mark, ...]) -> list[Json]:
    """Collect the traces of marks, with one entry of the legend for each label."""
    traces = [trace for mark in marks for trace in traces_of(mark, panel)]
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
    x = _axis(panel.x, panel.x_categories) | {"automargin": "bottom"}
    for layout, axis, names in ((x, panel.x, _ACROSS), (y, panel.y, _UP)):
        if axis.scale == "log" and _num_decades(panel, axis, names) < 1.5:
            layout["dtick"] = "D2"  # 1, 2 and 5: plotly would print all digits
    return {
        "xaxis": x,
        "yaxis": y,
        "shapes": [shape for mark in panel.marks for shape in shapes_of(mark, panel)],
        "barmode": "overlay",
        "font": {"family": _FONT, "size": 13, "color": rgba(INK)},
        "paper_bgcolor": _NO_COLOUR,
        "plot_bgcolor": _NO_COLOUR,
        "margin": {"l": 8, "r": 18, "t": 8, "b": 8},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": _FONT}, "align": "left"},
    }


_ACROSS, _UP = ("x", "edges"), ("y", "values", "low", "high")
"""Where marks keep the values of an axis."""


def _num_decades(panel: Panel, axis: DrawnAxis, names: tuple[str, ...]) -> float:
    """Count the decades that a logarithmic axis will span."""
    found = [
        np.ravel(getattr(mark, name))
        for mark in panel.marks
        for name in names
        if getattr(mark, name, None) is not None
    ]
    values = np.concatenate([*found, axis.limits or ()]).astype(float)
    values = values[axis.shows(values)]
    return float(np.log10(values.max() / values.min())) if values.size else np.inf


# Axes


def _axis(axis: DrawnAxis, categories: tuple[str, ...] | None) -> Json:
    layout: Json = {
        "title": {"text": "<br>".join(wrap(text_of(axis.label), _TITLE_WIDTH)), "standoff": 12},
        "tickfont": {"size": 12},
        "type": "log" if axis.scale == "log" else "linear",
        "zeroline": False,
        "gridcolor": rgba(GRID),
        "linecolor": rgba(INK),
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": rgba(INK),
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
        layout |= {"tickvals": coordinate(np.array(ticks), axis).tolist(), "ticktext": texts}
    if categories is not None:
        texts = [text_of(category) for category in categories]
        layout |= {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False}
    return layout


def _range(axis: DrawnAxis, limits: tuple[float, float]) -> list[float]:
    ends = np.array(limits)
    places = np.log10(ends) if axis.scale == "log" else coordinate(ends, axis)
    return [float(place) for place in places]
