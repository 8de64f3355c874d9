"""Figures as PNG and SVG files, for papers and slides."""

import io
import math
from functools import singledispatch
from pathlib import Path
from textwrap import fill
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import (
    DIVERGING,
    GRID,
    INK,
    SEQUENTIAL,
    Colour,
    Shade,
    shade,
)
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import (
    Band,
    Bars,
    Dash,
    Heatmap,
    Line,
    Mark,
    Points,
    Quantiles,
    Rule,
    Steps,
)
from sweep_engine.spec.wording import shortened

_TICK_LETTERS = 32
"""Of a category beside an axis; the page shows all."""

FEW_DECADES = 300.0
"""A logarithmic axis over a smaller factor has names between the powers of 10."""

_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.edgecolor": INK.light,
    "axes.labelcolor": INK.light,
    "text.color": INK.light,
    "xtick.color": INK.light,
    "ytick.color": INK.light,
    "grid.color": GRID.light,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "sweep_engine",  # ids in the file depend on its content alone
}
_STYLE_LOCK = Lock()  # the style is process-wide while a figure is drawn
_DASHES: dict[Dash, str] = {"solid": "-", "dash": "--", "dot": ":"}
_MAPS: dict[tuple[Shade, ...], LinearSegmentedColormap] = {
    colours: LinearSegmentedColormap.from_list("shades", [shade.light for shade in colours])
    for colours in (SEQUENTIAL, DIVERGING)
}
_PANEL_WIDTH, _PANEL_HEIGHT = 4.7, 3.6  # inches
_CHARACTERS_PER_INCH = 9.0  # of the bold title; a little less than fits of the other texts


def save(figure: Figure, folder: Path) -> list[Path]:
    """Write `<name>.png` (150 dpi) and `<name>.svg`, and return their paths.

    The same figure gives the same SVG byte for byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / name: data for name, data in draw_files(figure).items()}
    for path, data in contents.items():
        path.write_bytes(data)
    return list(contents)


def draw_files(figure: Figure) -> dict[str, bytes]:
    """Draw `<name>.png` (150 dpi) and `<name>.svg`, and return what they hold."""
    png, svg = io.BytesIO(), io.BytesIO()
    with _STYLE_LOCK, mpl.rc_context(_STYLE):
        sheet = _draw_figure(figure)
        sheet.savefig(png, format="png", dpi=150)
        sheet.set_layout_engine("none")  # panels stay where that put them: it takes as long again
        sheet.savefig(svg, format="svg", dpi=150, metadata={"Date": None})
    return {f"{figure.name}.png": png.getvalue(), f"{figure.name}.svg": svg.getvalue()}


def draw_sheet(figure: Figure) -> Sheet:
    """Draw a figure as matplotlib's, to change, show or save."""
    with _STYLE_LOCK, mpl.rc_context(_STYLE):
        return _draw_figure(figure)


def _draw_figure(figure: Figure) -> Sheet:
    columns = min(figure.columns, len(figure.panels))
    num_narrow = len(figure.panels) - figure.last_is_wide
    rows = -(-num_narrow // columns) + figure.last_is_wide
    width = max(columns * _PANEL_WIDTH, 1.3 * _PANEL_WIDTH)
    sheet = Sheet(figsize=(width, rows * _PANEL_HEIGHT + 0.8), layout="constrained")
    FigureCanvasAgg(sheet)
    grid = sheet.add_gridspec(rows, columns)
    places = [grid[i // columns, i % columns] for i in range(num_narrow)]
    places += [grid[-1, :]] * figure.last_is_wide
    for place, panel in zip(places, figure.panels, strict=True):
        _draw_panel(sheet.add_subplot(place), panel)
    sheet.suptitle(_plain(figure.title, width), x=0.01, ha="left", weight="bold", size=12)
    _draw_legend(sheet, columns)
    return sheet


def _draw_legend(sheet: Sheet, columns: int) -> None:
    """Put one legend below all panels, with one entry a label."""
    entries: dict[str, Any] = {}
    for axes in sheet.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        per_row = min(len(entries), 2 * columns)
        handles, labels = list(entries.values()), list(entries)
        legend = sheet.legend(handles, labels, loc="outside lower center", ncols=per_row)
        for dots in legend.findobj(PathCollection):  # small, pale ones would be hard to match
            dots.set(sizes=[30], alpha=1)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    axes.set_title(_plain(panel.title, _PANEL_WIDTH))
    axes.set_xlabel(_plain(panel.x.label, _PANEL_WIDTH))
    axes.set_ylabel(_plain(panel.y.label, _PANEL_HEIGHT))
    _set_scale(axes, "x", panel.x)
    _set_scale(axes, "y", panel.y)
    for rank, mark in enumerate(panel.marks):
        below = set(axes.get_children())
        _draw(mark, axes, panel)
        for artist in set(axes.get_children()) - below:
            artist.set_zorder(2 + rank / 100)  # in order, whatever the kind of mark
    _set_ticks(axes, panel)
    if panel.equal_aspect:
        axes.set_aspect("equal", adjustable="box")


def _set_scale(axes: Axes, name: str, axis: DrawnAxis) -> None:
    set_scale = getattr(axes, f"set_{name}scale")
    if axis.scale == "symlog":
        set_scale("asinh", linear_width=axis.linear_width)
    elif axis.scale == "log":
        set_scale("log", nonpositive="mask")
    if axis.limits is not None:
        getattr(axes, f"set_{name}lim")(axis.limits)


def _set_ticks(axes: Axes, panel: Panel) -> None:
    for name, axis in (("x", panel.x), ("y", panel.y)):
        if axis.scale == "symlog":
            ticks, texts = axis.symlog_ticks
            _name_ticks(axes, name, ticks, texts)
        elif axis.scale == "log":
            _set_log_ticks(axes.xaxis if name == "x" else axes.yaxis)
    if panel.x_categories is not None:
        names = [shortened(name, _TICK_LETTERS) for name in panel.x_categories]
        _name_ticks(axes, "x", range(len(names)), names)
        if sum(map(len, names)) > 40:
            for label in axes.get_xticklabels():
                label.set(rotation=30, ha="right", rotation_mode="anchor")
    if panel.y.categories is not None:
        _name_ticks(axes, "y", range(len(panel.y.categories)), panel.y.categories)


def _set_log_ticks(axis: Axis) -> None:
    """Name 1, 2, 5, 10, ... where there is room for them; matplotlib would name every digit."""
    low, high = axis.get_view_interval()
    if high < FEW_DECADES * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _name_ticks(axes: Axes, name: str, ticks: Any, texts: Any) -> None:
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, position: _tick_name(value, ticks, texts))


def _tick_name(value: float, ticks: Any, texts: Any) -> str:
    return _plain(texts[int(np.argmin(np.abs(np.asarray(ticks) - value)))])


def _plain(text: str, width: float = math.inf) -> str:
    """Break lines at a width in inches, and keep a dollar sign from opening a formula."""
    if math.isfinite(width):
        text = fill(text, int(width * _CHARACTERS_PER_INCH))
    return text.replace("$", r"\$")


def _style(label: str, colour: Colour) -> dict[str, Any]:
    return {"label": _plain(label) or None, "color": shade(colour).light}


# One function a mark


@singledispatch
def _draw(mark: Mark, axes: Axes, panel: Panel) -> None:
    raise TypeError(f"no drawing for {type(mark).__name__}")


@_draw.register
def _draw_points(mark: Points, axes: Axes, panel: Panel) -> None:
    shown = mark.drawable(panel.x, panel.y)
    style = _style(shown.label, shown.colour)
    bars: dict[str, Any] = {"color": style["color"], "alpha": 0.3 * shown.opacity, "lw": 1}
    if shown.y_low is not None and shown.y_high is not None:
        axes.vlines(shown.x, *panel.y.ends(shown.y_low, shown.y_high, shown.y), **bars)
    if shown.x_low is not None and shown.x_high is not None:
        axes.hlines(shown.y, *panel.x.ends(shown.x_low, shown.x_high, shown.x), **bars)
    axes.scatter(
        shown.x,
        shown.y,
        s=shown.size**2,
        alpha=shown.opacity,
        linewidths=0,
        **style,
    )


@_draw.register
def _draw_line(mark: Line, axes: Axes, panel: Panel) -> None:
    style = _style(mark.label, mark.colour)
    axes.plot(mark.x, mark.y, lw=1.6, ls=_DASHES[mark.dash], **style)


@_draw.register
def _draw_band(mark: Band, axes: Axes, panel: Panel) -> None:
    low, high = panel.y.ends(mark.low, mark.high)
    axes.fill_between(mark.x, low, high, alpha=0.22, lw=0, **_style(mark.label, mark.colour))


@_draw.register
def _draw_steps(mark: Steps, axes: Axes, panel: Panel) -> None:
    style = _style(mark.label, mark.colour)
    unnamed = {**style, "label": None}
    x, y = mark.outline(mark.values)
    if mark.low is not None and mark.high is not None:
        low, high = panel.y.ends(mark.low, mark.high, mark.values)
        axes.fill_between(x, np.repeat(low, 2), np.repeat(high, 2), alpha=0.25, lw=0, **unnamed)
    if mark.fill:
        axes.fill_between(x, *panel.y.ends(np.zeros_like(y), y), alpha=0.15, lw=0, **unnamed)
    axes.plot(x, y, lw=1.4, **style)


@_draw.register
def _draw_heatmap(mark: Heatmap, axes: Axes, panel: Panel) -> None:
    low, high = mark.limits or (None, None)
    norm = LogNorm(low, high) if mark.log else Normalize(low, high)
    mesh = axes.pcolormesh(
        mark.x_edges,
        mark.y_edges,
        np.ma.masked_invalid(mark.cells),
        cmap=_MAPS[mark.colours],
        norm=norm,
        rasterized=True,
    )
    bar = axes.figure.colorbar(mesh, ax=axes, label=_plain(mark.label))
    bar.outline.set_visible(False)
    axes.grid(False)


@_draw.register
def _draw_bars(mark: Bars, axes: Axes, panel: Panel) -> None:
    centres, width = panel.bar_slots(mark)
    axes.bar(centres, mark.values, width * 0.92, **_style(mark.label, mark.colour))
    if mark.low is not None and mark.high is not None:
        ends = panel.y.ends(mark.low, mark.high, mark.values)
        axes.vlines(centres, *ends, color=INK.light, lw=1.3)
    axes.grid(False, axis="x")


@_draw.register
def _draw_quantiles(mark: Quantiles, axes: Axes, panel: Panel) -> None:
    style = _style(mark.label, mark.colour)
    q05, q25, median, q75, q95 = mark.values.T
    axes.vlines(mark.x, q05, q95, color=style["color"], lw=1.2)
    axes.vlines(mark.x, q25, q75, color=style["color"], lw=6, alpha=0.45)
    axes.plot(mark.x, median, "o", ms=5, mec="white", mew=0.8, **style)


@_draw.register
def _draw_rule(mark: Rule, axes: Axes, panel: Panel) -> None:
    draw = axes.axhline if mark.orientation == "horizontal" else axes.axvline
    draw(mark.value, lw=1.3, ls=_DASHES[mark.dash], **_style(mark.label, mark.colour))
