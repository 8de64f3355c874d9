"""A figure as plain data: what is shown, not how it is drawn.

A `Figure` is described once and drawn twice: by `plotly_page` for the HTML page and by
`matplotlib_files` for PNG and SVG. Nothing here imports a plotting library.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sweep_engine.report.drawing.axes import DrawnAxis, Values
from sweep_engine.report.drawing.marks import Bars, Mark


@dataclass(frozen=True)
class SweptPlace:
    """Where on the swept axes something stands: the page's filter goes by it.

    Attributes:
        at: The axis values it is of, as text, by path.
        over: The axes of which it pools several values.
    """

    at: Mapping[str, str] = field(default_factory=dict)
    over: tuple[str, ...] = ()


ANYWHERE = SweptPlace()
"""Of what depends on no swept axis."""


class Along(NamedTuple):
    """A swept axis that runs along x.

    Attributes:
        path: Of the axis.
        values: Its values, as text.
        x: Where each stands.
    """

    path: str
    values: tuple[str, ...]
    x: Values


class Detail(NamedTuple):
    """Marks of one point of the axes that a panel pools."""

    at: Mapping[str, str]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Panel:
    """Marks on one pair of axes, drawn in order.

    Marks of one label share an entry of the legend.

    Attributes:
        place: What the marks are of; points and cells know their runs' settings themselves.
        along: The swept axis that x is, if it is one.
        details: What the page draws instead of the marks once its filter divides what they pool.
    """

    title: str
    x: DrawnAxis
    y: DrawnAxis
    marks: tuple[Mark, ...]
    equal_aspect: bool = False
    place: SweptPlace = ANYWHERE
    along: Along | None = None
    details: tuple[Detail, ...] = ()

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
        last_is_wide: Whether the last panel takes a row of its own, as wide as the others together.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    columns: int = 2
    query: str = ""
    last_is_wide: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"figure name {self.name!r}: use letters, digits, '.', '_' and '-'")
        if not self.panels:
            raise ValueError(f"figure {self.name!r}: expected at least one panel")
        if self.columns < 1:
            raise ValueError(f"figure {self.name!r}: expected columns >= 1, got {self.columns}")
