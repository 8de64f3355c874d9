import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Bars, Line, Points, Rule, Steps
from sweep_engine.report.drawing.plotly_json import DARK
from sweep_engine.report.drawing.plotly_page import to_plotly

X = np.arange(1.0, 4.0)


def decode(array):
    return np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])


def one_panel(*marks, x=None, y=None, **options):
    panel = Panel("p", x or DrawnAxis("x"), y or DrawnAxis("y"), marks, **options)
    (plot,) = to_plotly(Figure("f", "t", "c", (panel,)))
    return plot


def test_plotly_accepts_every_mark_on_every_scale(mark_figure):
    for plot in to_plotly(mark_figure):
        go.Figure(plot)
        json.dumps(plot, allow_nan=False)


def test_every_colour_has_a_dark_twin(every_mark):
    text = json.dumps(to_plotly(every_mark))
    used = {part.split('"')[0].rsplit(",", 1)[0] for part in text.split('"rgba(')[1:]}
    assert used - {"0,0,0"} <= set(DARK)
    assert len(used) > 8


def test_values_arrive_unchanged():
    (trace,) = one_panel(Line(X, np.array([1, np.nan, 1 / 3])))["data"]
    np.testing.assert_array_equal(decode(trace["x"]), X)
    np.testing.assert_array_equal(decode(trace["y"]), [1, np.nan, 1 / 3])


def test_a_symlog_axis_is_an_asinh_axis_with_true_ticks():
    axis = DrawnAxis("x", "symlog", linear_width=0.5)
    plot = one_panel(Line(X, X), x=axis)
    np.testing.assert_allclose(np.sinh(decode(plot["data"][0]["x"])) * 0.5, X)
    layout = plot["layout"]["xaxis"]
    ticks = dict(zip(layout["ticktext"], layout["tickvals"], strict=True))
    np.testing.assert_allclose(np.sinh(ticks["−50"]) * 0.5, -50)
    assert plot["data"][0]["text"][0] == "1, 1"


def test_limits_of_a_log_axis_are_exponents():
    layout = one_panel(Line(X, X), y=DrawnAxis("y", "log", limits=(0.01, 100)))["layout"]
    assert layout["yaxis"]["range"] == [-2, 2]


def test_a_short_log_axis_prints_few_digits():
    short, long = (Line(X, factor**X) for factor in (2.0, 100.0))
    axis = DrawnAxis("y", "log")
    assert one_panel(short, y=axis)["layout"]["yaxis"]["dtick"] == "D2"
    assert "dtick" not in one_panel(long, y=axis)["layout"]["yaxis"]
    assert "dtick" not in one_panel(short, y=DrawnAxis("y"))["layout"]["yaxis"]


def test_one_entry_of_the_legend_for_each_label():
    steps = Steps(np.arange(4.0), X, "sgd", low=X, high=X, fill=True)
    plot = one_panel(steps, Line(X, X, "sgd"), Line(X, X), Rule(1, "vertical", "null"))
    items = plot["data"] + plot["layout"]["shapes"]
    assert [item["name"] for item in items if item["showlegend"]] == ["sgd", "null"]


@pytest.mark.parametrize("text", ["<b>", "a & b", "<a href='javascript:alert(1)'>x</a>"])
def test_plotly_sees_no_markup(text):
    categories = (text, "b", "c")
    points = Points(X, X, text, hover=categories)
    plot = one_panel(
        points, Bars(categories, X), x=DrawnAxis(text), y=DrawnAxis("y", categories=categories)
    )
    for trace in plot["data"]:
        trace.pop("name")  # the page writes it as text
    assert "<a" not in json.dumps(plot)
    assert "<b>" not in json.dumps(plot)


def test_equal_aspect_ties_the_axes():
    layout = one_panel(Line(X, X, colour=Role.EXACT), equal_aspect=True)["layout"]
    assert layout["yaxis"]["scaleanchor"] == "x"
