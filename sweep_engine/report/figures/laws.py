"""Both laws of one column in one panel: where the networks of source and reference land."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweep_engine.densities import Draws, Pair, Study, histogram, quantiles, read_pair
from sweep_engine.densities.subject import axis_label
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Colour, Role
from sweep_engine.report.drawing.figure import Panel
from sweep_engine.report.drawing.marks import Mark, Rule, Steps
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import place_of_pair

LEAST_BINS, MOST_BINS = 6, 48

TAIL = 0.005
"""Share of a side's draws at each end that may lie beyond the axis."""

WORTH_A_CUT = 1.5
"""The axis is cut where all draws would need so many times its length."""


@dataclass(frozen=True)
class Window:
    """The part of a column that panels show: all of a figure's have one.

    Attributes:
        low: Left end.
        high: Right end.
        share_outside: Of the finite draws, the larger share of the two sides.
    """

    low: float
    high: float
    share_outside: float

    @classmethod
    def of(cls, samples: Sequence[Draws]) -> "Window | None":
        """Fit the window to the draws; None where there is nothing to show.

        Example:
            >>> values = np.append(np.linspace(0.0, 1.0, 999), 50.0)
            >>> window = Window.of([Draws.of(values)])
            >>> window.high < 1.1, window.share_outside
            (True, 0.001)
        """
        finite = [draws.finite for draws in samples if len(draws.finite)]
        if not finite:
            return None
        ends = np.array([(side.values.min(), side.values.max()) for side in finite])
        tails = np.array([_tails(side) for side in finite])
        (low, high), (least, most) = (
            (float(each[:, 0].min()), float(each[:, 1].max())) for each in (tails, ends)
        )
        if most - least <= WORTH_A_CUT * (high - low):
            low, high = least, most
        margin = 0.03 * (high - low) or 0.5 * max(abs(high), 1.0)
        low, high = low - margin, high + margin
        inside = [np.average(_inside(side, low, high), weights=side.weights) for side in finite]
        return cls(low, high, round(1 - float(min(inside)), 9))

    def cut(self, draws: Draws) -> Draws:
        """Send draws outside the window to no bin; the others keep their density."""
        inside = _inside(draws, self.low, self.high)
        return replace(draws, values=np.where(inside, draws.values, np.nan))

    def holds(self, value: float) -> bool:
        """Tell whether a value has a place in it."""
        return self.low <= value <= self.high

    @property
    def words(self) -> str:
        """Say what lies outside."""
        if not self.share_outside:
            return ""
        return f"Up to {self.share_outside:.2g} of a source's draws lie outside the axis."


def _tails(draws: Draws) -> tuple[float, float]:
    order = np.argsort(draws.values, kind="stable")  # at once where they are in order
    mass = np.cumsum(draws.weights[order]) / draws.weights.sum()
    first, last = np.searchsorted(mass, (TAIL, 1 - TAIL))
    return draws.values[order[first]], draws.values[order[min(last, len(order) - 1)]]


def _inside(draws: Draws, low: float, high: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (draws.values >= low) & (draws.values <= high)


def num_bins(samples: Sequence[Draws]) -> int:
    """Choose 2 ∛n bins, n the effective draws of the smaller sample (Rice's rule).

    Example:
        >>> num_bins([Draws.of(np.zeros(1000)), Draws.of(np.zeros(64))])
        8
    """
    fewest = min(draws.n_eff for draws in samples)
    return int(np.clip(np.ceil(2 * fewest ** (1 / 3) - 1e-9), LEAST_BINS, MOST_BINS))


def laws_panel(
    study: Study, pair: Pair, window: Window, other: Study | None = None, more: Sequence[Mark] = ()
) -> Panel:
    """Draw the densities of both sides, and mark their medians.

    Args:
        study: Where the source's runs are.
        pair: What is compared: one column.
        window: What is shown of it.
        other: Where the reference's runs are, if elsewhere.
        more: Marks to draw beside.

    Raises:
        InsufficientSamples: one side has no draw.
        IncomparableSources: the observable is no column that both sources fill.
    """
    colours = source_colours(study.sweep)
    sides = read_pair(study, pair, other)
    shown = histogram(*map(window.cut, sides), num_bins=num_bins(sides))
    names = _names(pair)
    marks: list[Mark] = [
        Steps(shown.edges, law.density, name, colour, True, law.low, law.high)
        for name, law, colour in zip(
            names, (shown.source, shown.reference), _colours(pair, colours), strict=True
        )
    ]
    for name, draws, colour in zip(names, sides, _colours(pair, colours), strict=True):
        (median,) = quantiles(draws, (0.5,))
        if window.holds(median.value):
            marks.append(Rule(median.value, "vertical", f"median of {name}", colour, "dot"))
    column = pair.comparison.observable
    schema = study.results.table("runs").schema
    return Panel(
        pair.label(),
        DrawnAxis(axis_label(schema, column), limits=(window.low, window.high)),
        DrawnAxis("density"),
        (*marks, *more),
        place=place_of_pair(study, pair),
    )


def _names(pair: Pair) -> tuple[str, str]:
    comparison = pair.comparison
    if comparison.is_within_one:
        return comparison.source, f"{comparison.reference} (reference)"
    return comparison.source, comparison.reference


def _colours(pair: Pair, colours: Mapping[str, Colour]) -> tuple[Colour, Colour]:
    """A source compared with the same one elsewhere gets the reference's colour there."""
    first = colours.get(pair.comparison.source, Role.NULL)
    second = colours.get(pair.comparison.reference, Role.NULL)
    return first, Role.REFERENCE if first == second else second


def share_heights(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Give panels of densities one height, where the tallest is not many times the lowest."""
    tops = [max(_top(mark) for mark in panel.marks if isinstance(mark, Steps)) for panel in panels]
    if not tops or max(tops) > SHARED_HEIGHT * min(tops):
        return tuple(panels)
    axis = DrawnAxis("density", limits=(0.0, 1.08 * max(tops)))
    return tuple(replace(panel, y=axis) for panel in panels)


def _top(law: Steps) -> float:
    return float(np.nanmax(law.values if law.high is None else law.high))


SHARED_HEIGHT = 5.0
"""Beyond this ratio of heights a low density could not be read beside a tall one."""
