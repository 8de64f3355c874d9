"""One panel for every mark, drawn by both renderers."""

import numpy as np
import pytest

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import (
    Band,
    Bars,
    Heatmap,
    Line,
    Points,
    Quantiles,
    Rule,
    Steps,
)

GRID = np.linspace(0.1, 1.0, 5)
ONES = np.ones(5)

MARKS = {
    "points": Points(GRID, GRID, "p", hover=tuple("abcde"), y_low=0 * ONES, y_high=2 * GRID),
    "crosses": Points(GRID, GRID, "c", x_low=GRID / 2, x_high=np.inf * ONES),
    "line": Line(GRID, np.where(GRID > 0.5, np.nan, GRID), "l", Role.EXACT, "dash"),
    "band": Band(GRID, 0 * GRID, GRID, "b"),
    "steps": Steps(np.linspace(0.1, 1, 6), GRID, "s", 2, fill=True, low=GRID / 2, high=2 * GRID),
    "heatmap": Heatmap(np.arange(1.0, 7), np.arange(1.0, 4), np.arange(10.0).reshape(2, 5), "h"),
    "log_heatmap": Heatmap(np.arange(1.0, 7), np.arange(1.0, 3), GRID[None] - 0.1, "h", log=True),
    "bars": Bars(("fit", "max_steps"), np.array([0.9, 0.1]), np.zeros(2), np.ones(2), "b"),
    "quantiles": Quantiles(GRID, np.outer(GRID, np.arange(1, 6)), "q", 3),
    "across": Rule(0.5, "horizontal", "r"),
    "upright": Rule(0.5, "vertical", "r", Role.NULL, "dot"),
}


def figure_of(*panels: Panel, name: str = "name", columns: int = 2) -> Figure:
    return Figure(name, "A title", "A caption.", panels, columns)


CASES = [
    (name, scale)
    for name, mark in MARKS.items()
    for scale in ("linear", "log", "symlog")
    if scale == "linear" or not isinstance(mark, Bars)  # bars stand on named positions
]


@pytest.fixture(params=CASES, ids="-".join)
def mark_figure(request):
    """A mark between two others, on axes of each scale."""
    name, scale = request.param
    line = Line(GRID, GRID, "a line")
    return figure_of(
        Panel("A panel", DrawnAxis("x", scale), DrawnAxis("y", scale), (line, MARKS[name], line))
    )


@pytest.fixture
def every_mark():
    """A figure with a panel for each mark."""
    panels = (Panel(name, DrawnAxis("x"), DrawnAxis("y"), (mark,)) for name, mark in MARKS.items())
    return figure_of(*panels, name="every-mark", columns=3)
