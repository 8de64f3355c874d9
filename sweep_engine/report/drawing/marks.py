"""Marks: what is drawn on the axes of a panel, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.colours import DIVERGING, SEQUENTIAL, Colour, Role, Shade

Dash: TypeAlias = Literal["solid", "dash", "dot"]

MAX_POINTS = 5_000
"""A larger scatter is thinned: it would only fill the panel. A `Heatmap` shows all."""


def _check_lengths(mark: object, **arrays: Values | tuple[str, ...] | None) -> None:
    """Refuse arrays of one mark that are not one-dimensional and equally long."""
    given = {name: array for name, array in arrays.items() if array is not None}
    shapes = {name: np.shape(array) for name, array in given.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{type(mark).__name__}: expected 1-D arrays of equal length, got {got}")


def _check_interval(mark: object, low: Values | None, high: Values | None) -> None:
    """Refuse an interval with one end, or with its ends exchanged."""
    if (low is None) != (high is None):
        raise ValueError(f"{type(mark).__name__}: give both ends of an interval or neither")
    if low is not None and high is not None and (low > high).any():
        raise ValueError(f"{type(mark).__name__}: expected low <= high everywhere")


@dataclass(frozen=True, eq=False)
class ShownRuns:
    """Which run each point of a scatter is; the page shows it under the pointer.

    Attributes:
        run_id: The runs' ids.
        setting: The ids of their settings; the page's filter hides points by them.
        outcomes: By name, a number or a word a run.
    """

    run_id: Values
    setting: Values
    outcomes: Mapping[str, Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_lengths(self, run_id=self.run_id, setting=self.setting, **self.outcomes)

    def take(self, rows: NDArray[Any]) -> "ShownRuns":
        """Choose some runs."""
        outcomes = {name: values[rows] for name, values in self.outcomes.items()}
        return ShownRuns(self.run_id[rows], self.setting[rows], outcomes)


@dataclass(frozen=True, eq=False)
class Points:
    """A scatter, with intervals where their ends (not half-widths) are given.

    Attributes:
        size: Diameter of a dot, in points.
        hover: One text a point, for the page.
        runs: Which runs the points are, for the page.
    """

    x: Values
    y: Values
    label: str = ""
    colour: Colour = Role.SOURCE
    size: float = 5.0
    opacity: float = 0.7
    hover: tuple[str, ...] | None = None
    runs: ShownRuns | None = None
    x_low: Values | None = None
    x_high: Values | None = None
    y_low: Values | None = None
    y_high: Values | None = None

    def __post_init__(self) -> None:
        names = ("x", "y", "hover", "x_low", "x_high", "y_low", "y_high")
        _check_lengths(self, **{name: getattr(self, name) for name in names})
        _check_lengths(self, x=self.x, runs=None if self.runs is None else self.runs.run_id)
        _check_interval(self, self.x_low, self.x_high)
        _check_interval(self, self.y_low, self.y_high)

    def drawable(self, x: DrawnAxis, y: DrawnAxis, limit: int = MAX_POINTS) -> "Points":
        """Keep the points that both axes can show, and of these a fixed random `limit`.

        Where any is left out, the label says how many are shown.
        """
        keep = np.flatnonzero(x.shows(self.x) & y.shows(self.y))
        if keep.size > limit:
            keep = np.sort(np.random.default_rng(0).choice(keep, limit, replace=False))
        if keep.size == self.x.size:
            return self
        note = f"{keep.size:,} of {self.x.size:,} shown"
        return replace(self._take(keep), label=f"{self.label} ({note})" if self.label else note)

    def _take(self, rows: NDArray[np.intp]) -> "Points":
        arrays: dict[str, Any] = {
            each.name: value[rows]
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), np.ndarray)
        }
        hover = None if self.hover is None else tuple(self.hover[row] for row in rows)
        runs = None if self.runs is None else self.runs.take(rows)
        return replace(self, **arrays, hover=hover, runs=runs)


@dataclass(frozen=True, eq=False)
class Line:
    """A curve through points in order; NaN breaks it."""

    x: Values
    y: Values
    label: str = ""
    colour: Colour = Role.EXACT
    dash: Dash = "solid"

    def __post_init__(self) -> None:
        _check_lengths(self, x=self.x, y=self.y)


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two curves."""

    x: Values
    low: Values
    high: Values
    label: str = ""
    colour: Colour = Role.SOURCE

    def __post_init__(self) -> None:
        _check_lengths(self, x=self.x, low=self.low, high=self.high)
        _check_interval(self, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Steps:
    """A histogram's outline: `values[i]` from `edges[i]` to `edges[i + 1]`, with intervals."""

    edges: Values
    values: Values
    label: str = ""
    colour: Colour = Role.SOURCE
    fill: bool = False
    low: Values | None = None
    high: Values | None = None

    def __post_init__(self) -> None:
        _check_lengths(self, values=self.values, low=self.low, high=self.high)
        _check_lengths(self, edges_but_last=self.edges[:-1], values=self.values)
        _check_interval(self, self.low, self.high)

    def outline(self, values: Values) -> tuple[Values, Values]:
        """Corners of the steps through `values`, one a bin."""
        return np.repeat(self.edges, 2)[1:-1], np.repeat(values, 2)


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts of a heatmap apart by setting: an entry for each cell and setting.

    Attributes:
        row: The cell's row.
        column: The cell's column.
        count: ShownRuns of the setting in the cell.
        setting: The setting's id.
        run_id: One of these runs.
    """

    row: Values
    column: Values
    count: Values
    setting: Values
    run_id: Values

    def __post_init__(self) -> None:
        _check_lengths(self, **{name: getattr(self, name) for name in self.__annotations__})


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Values over cells of the plane; `values[i, j]` is row i of y, column j of x.

    Attributes:
        label: What the values are, beside the colour bar.
        log: Colour by the logarithm; cells that are not positive stay empty.
        limits: The values at the ends of the colours; the least and the largest if left out.
        counts: Where values are counts of runs, of which settings; for the page.
        is_signed: Values below 0 and above it have colours of their own: give even limits.
    """

    x_edges: Values
    y_edges: Values
    values: Values
    label: str = ""
    log: bool = False
    limits: tuple[float, float] | None = None
    counts: Counts | None = None
    is_signed: bool = False

    def __post_init__(self) -> None:
        expected = (len(self.y_edges) - 1, len(self.x_edges) - 1)
        if self.values.shape != expected:
            raise ValueError(f"Heatmap: expected values {expected}, got {self.values.shape}")
        if not np.isfinite(self.cells).any():
            raise ValueError(f"Heatmap: no {'positive' if self.log else 'finite'} value to show")

    @property
    def colours(self) -> tuple[Shade, ...]:
        """The colours from the least value to the largest."""
        return DIVERGING if self.is_signed else SEQUENTIAL

    @property
    def cells(self) -> Values:
        """The values, NaN where a cell stays empty."""
        empty = ~np.isfinite(self.values) | (self.log & (self.values <= 0))
        return np.where(empty, np.nan, self.values)


@dataclass(frozen=True, eq=False)
class Bars:
    """One bar from 0 a category; several `Bars` of a panel stand side by side."""

    categories: tuple[str, ...]
    values: Values
    low: Values | None = None
    high: Values | None = None
    label: str = ""
    colour: Colour = Role.SOURCE

    def __post_init__(self) -> None:
        names = ("categories", "values", "low", "high")
        _check_lengths(self, **{name: getattr(self, name) for name in names})
        _check_interval(self, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A distribution at each x: thin bar 5 to 95%, thick bar 25 to 75%, dot at the median.

    Attributes:
        values: One row an x; columns 5, 25, 50, 75 and 95%.
    """

    x: Values
    values: Values
    label: str = ""
    colour: Colour = Role.SOURCE

    def __post_init__(self) -> None:
        if np.shape(self.values) != (len(self.x), 5):
            got = np.shape(self.values)
            raise ValueError(f"Quantiles: expected values {(len(self.x), 5)}, got {got}")
        if (np.diff(self.values, axis=1) < 0).any():
            raise ValueError("Quantiles: expected every row of values in ascending order")


@dataclass(frozen=True)
class Rule:
    """A straight line across the panel at one value."""

    value: float
    orientation: Literal["horizontal", "vertical"]
    label: str = ""
    colour: Colour = Role.NULL
    dash: Dash = "dash"

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"Rule {self.label!r}: expected a finite value, got {self.value}")


Mark: TypeAlias = Points | Line | Band | Steps | Heatmap | Bars | Quantiles | Rule
