"""A figure as plain data: what is shown, not how it is drawn.

A `Figure` is described once and drawn twice: by `plotly_page` for the HTML page and by
`matplotlib_files` for PNG and SVG. Nothing here imports a plotting library.
"""

import re
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[Any]
Dash: TypeAlias = Literal["solid", "dash", "dot"]
Scale: TypeAlias = Literal["linear", "log", "symlog"]

MAX_POINTS = 5_000
"""A larger scatter is thinned: it would only fill the panel. A `Heatmap` shows all."""


# Colours


class Role(Enum):
    """What a mark stands for; its colour follows."""

    SOURCE = "source"
    REFERENCE = "reference"
    EXACT = "exact"
    NULL = "null"


Colour: TypeAlias = Role | int
"""A role, or the number of a source where there are more than two."""


class Shade(NamedTuple):
    """One colour, as it appears on a light and on a dark ground."""

    light: str
    dark: str


CATEGORICAL = (  # Okabe & Ito (2008), then two of Tol's: told apart by colour-blind readers
    Shade("#0072b2", "#4aa8e0"),
    Shade("#d55e00", "#f58a4b"),
    Shade("#009e73", "#2fc79d"),
    Shade("#cc79a7", "#e5a0c6"),
    Shade("#e69f00", "#f4c04d"),
    Shade("#56b4e9", "#a9dcf7"),
    Shade("#882255", "#c9689a"),
    Shade("#999933", "#c6c66a"),
)
ROLES = {
    Role.SOURCE: CATEGORICAL[0],
    Role.REFERENCE: CATEGORICAL[1],
    Role.EXACT: Shade("#111417", "#f4f6f8"),
    Role.NULL: Shade("#7b838a", "#98a1a9"),
}
SEQUENTIAL = (  # from few to many
    Shade("#e1ecf5", "#17293a"),
    Shade("#a6cbe4", "#1d4c74"),
    Shade("#559fcd", "#2f7fb8"),
    Shade("#1b6cae", "#79b8e3"),
    Shade("#0b3a75", "#dceefb"),
)
INK = Shade("#2b3137", "#d6dce1")
GRID = Shade("#e3e7ea", "#2c343b")


def shade(colour: Colour) -> Shade:
    """Give a role's shade, or that of the i-th source (the palette repeats after eight)."""
    return ROLES[colour] if isinstance(colour, Role) else CATEGORICAL[colour % len(CATEGORICAL)]


# Axes


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Attributes:
        label: The quantity, with its unit.
        scale: `symlog` is asinh(value / linear_width): linear near 0, logarithmic far out.
        limits: The ends shown; chosen from the data where absent.
        categories: Names of the positions 0, 1, 2, ...
        linear_width: Half the width of the linear part of a `symlog` axis.
    """

    label: str
    scale: Scale = "linear"
    limits: tuple[float, float] | None = None
    categories: tuple[str, ...] | None = None
    linear_width: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.limits or (1.0, 2.0)
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(f"axis {self.label!r}: expected limits low < high, got {self.limits}")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"axis {self.label!r}: log limits must be positive: {self.limits}")
        if self.linear_width <= 0:
            raise ValueError(f"axis {self.label!r}: linear_width must be positive")

    def shows(self, values: Values) -> NDArray[np.bool_]:
        """Tell which values have a place on the axis."""
        low, high = self.limits or (-np.inf, np.inf)
        shown = np.isfinite(values) & (values >= low) & (values <= high)
        return shown & (values > 0) if self.scale == "log" else shown

    def ends(self, low: Values, high: Values, *drawn: Values) -> tuple[Values, Values]:
        """Bring ends of intervals that have no place on the axis to its outskirts.

        Infinite ends go to the outermost finite value; on a log axis, where an end may also
        be 0, they go to half and to twice that value. NaN stays NaN.

        Args:
            low: Lower ends.
            high: Upper ends.
            *drawn: What is drawn with them.
        """
        log = self.scale == "log"
        pool = np.concatenate([low, high, *drawn])
        pool = pool[np.isfinite(pool) & ((pool > 0) | (not log))]
        if not pool.size:
            return low, high
        margin = 2 if log else 1
        first, last = pool.min() / margin, pool.max() * margin
        return np.clip(low, first, last), np.clip(high, first, last)

    @property
    def symlog_ticks(self) -> tuple[list[float], list[str]]:
        """Zero and the decades on both sides: values, and how to print them."""
        decades = [self.linear_width * 10.0**k for k in range(16)]
        ticks = [-d for d in reversed(decades)] + [0.0] + decades
        return ticks, [_tick_text(tick) for tick in ticks]


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """Print a power of ten in plain Unicode.

    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def _tick_text(value: float) -> str:
    exponent = np.log10(abs(value)) if value else 0.0
    if abs(exponent) < 4 or exponent != round(exponent):
        return f"{value:g}".replace("-", "−")
    return ("−" if value < 0 else "") + power_of_ten(round(exponent))


# Marks


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
class Points:
    """A scatter, with intervals where their ends (not half-widths) are given.

    Attributes:
        size: Diameter of a dot, in points.
        hover: One text a point, for the page.
    """

    x: Values
    y: Values
    label: str = ""
    colour: Colour = Role.SOURCE
    size: float = 5.0
    opacity: float = 0.7
    hover: tuple[str, ...] | None = None
    x_low: Values | None = None
    x_high: Values | None = None
    y_low: Values | None = None
    y_high: Values | None = None

    def __post_init__(self) -> None:
        names = ("x", "y", "hover", "x_low", "x_high", "y_low", "y_high")
        _check_lengths(self, **{name: getattr(self, name) for name in names})
        _check_interval(self, self.x_low, self.x_high)
        _check_interval(self, self.y_low, self.y_high)

    def drawable(self, x: Axis, y: Axis, limit: int = MAX_POINTS) -> "Points":
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
            field.name: value[rows]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        hover = None if self.hover is None else tuple(self.hover[row] for row in rows)
        return replace(self, **arrays, hover=hover)


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
class Heatmap:
    """Values over cells of the plane; `values[i, j]` is row i of y, column j of x.

    Attributes:
        label: What the values are, beside the colour bar.
        log: Colour by the logarithm; cells that are not positive stay empty.
    """

    x_edges: Values
    y_edges: Values
    values: Values
    label: str = ""
    log: bool = False

    def __post_init__(self) -> None:
        expected = (len(self.y_edges) - 1, len(self.x_edges) - 1)
        if self.values.shape != expected:
            raise ValueError(f"Heatmap: expected values {expected}, got {self.values.shape}")
        if not np.isfinite(self.cells).any():
            raise ValueError(f"Heatmap: no {'positive' if self.log else 'finite'} value to show")

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


# Panels and figures


@dataclass(frozen=True)
class Panel:
    """Marks on one pair of axes, drawn in order.

    Marks of one label share an entry of the legend.
    """

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    equal_aspect: bool = False

    def __post_init__(self) -> None:
        named = {bars.categories for bars in self.bars}
        if self.x.categories is not None:
            named.add(self.x.categories)
        if len(named) > 1:
            raise ValueError(f"panel {self.title!r}: all Bars and x must have equal categories")

    @property
    def bars(self) -> tuple[Bars, ...]:
        """The marks that stand side by side."""
        return tuple(mark for mark in self.marks if isinstance(mark, Bars))

    @property
    def x_categories(self) -> tuple[str, ...] | None:
        """Names of the x positions 0, 1, 2, ..., if they have names."""
        return self.bars[0].categories if self.bars else self.x.categories

    def bar_slots(self, bars: Bars) -> tuple[Values, float]:
        """Centres and width of the bars of one mark."""
        width = 0.8 / len(self.bars)
        rank = next(i for i, other in enumerate(self.bars) if other is bars)
        return np.arange(len(bars.values)) + (rank + 0.5) * width - 0.4, width


@dataclass(frozen=True)
class Figure:
    """Panels that answer one question together.

    Attributes:
        name: Stem of the files and anchor on the page.
        title: The question, or the answer.
        caption: What is shown, how to read it, how many draws it rests on.
        columns: Panels side by side.
        query: How to get the data shown, for example as SQL.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    columns: int = 2
    query: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"figure name {self.name!r}: use letters, digits, '.', '_' and '-'")
        if not self.panels:
            raise ValueError(f"figure {self.name!r}: expected at least one panel")
        if self.columns < 1:
            raise ValueError(f"figure {self.name!r}: expected columns >= 1, got {self.columns}")
