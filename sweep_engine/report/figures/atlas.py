"""Figures of a design's effects: a map of all, each property's with intervals, and shares."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from sweep_engine.atlas import Effect, Effects, ResponseEffects
from sweep_engine.atlas.splits import Split
from sweep_engine.densities import Pair, Study
from sweep_engine.numbers import format_interval
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Bars, Heatmap, Line, Mark, Points, Rule
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.places import place_of_pair

STROKES = 3
"""Of the hatching of a cell."""

MAX_EFFECTS = 14
"""Effects of one chart; the others, interactions that are not shown, are in the table."""


def atlas_figures(study: Study, found: Effects) -> Iterator[Figure]:
    """Draw the map of effects, the effects of each response, shares, and the splits."""
    pairs = [row.pair for row in found.rows]
    shifts = [each for each in found.responses if each.unit == "sd"]
    yield _map(study, pairs, shifts or list(found.responses))
    yield _intervals(study, pairs, found.responses)
    yield _shares(study, pairs, found.responses)
    if found.splits:
        yield _splits(study, pairs, found.splits)


def _name(kind: str, pairs: Sequence[Pair]) -> str:
    return figure_name(f"effects {kind}", Pair(pairs[0].comparison, {}, (), ()))


def _map(study: Study, pairs: Sequence[Pair], responses: Sequence[ResponseEffects]) -> Figure:
    names = list(dict.fromkeys(_short_name(e) for each in responses for e in each.main_effects))
    values = np.full((len(names), len(responses)), np.nan)
    strokes: list[tuple[float, float]] = []
    for column, response in enumerate(responses):
        for effect in response.main_effects:
            row = names.index(_short_name(effect))
            values[row, column] = effect.value
            if not effect.is_shown:
                strokes += _hatching(column, row)
    top = max(float(np.nanmax(np.abs(values))), 1e-12)
    edges = np.arange(len(responses) + 1) - 0.5, np.arange(len(names) + 1) - 0.5
    x, y = np.array(strokes or [(np.nan, np.nan)]).T
    marks: tuple[Mark, ...] = (
        Heatmap(*edges, values, label=f"effect, {responses[0].unit}", limits=(-top, top),
                is_signed=True),
        Line(x, y, label="the interval holds 0", colour=Role.NULL),
    )  # fmt: skip
    panel = Panel(
        "",
        DrawnAxis("", categories=tuple(each.response for each in responses)),
        DrawnAxis("", categories=tuple(names)),
        marks,
        place=place_of_pair(study, *pairs),
    )
    return Figure(
        name=_name("map", pairs),
        title="Which factor moves which property, and how far",
        caption="Each cell: what a change of levels does to the shift of a property, in standard "
        "deviations of the row's own prior given a fit. Hatched: the interval, which holds at once "
        "for all effects, has 0 in it.",
        panels=(panel,),
        columns=1,
    )


def _hatching(column: int, row: int) -> list[tuple[float, float]]:
    """Strokes across a cell, each ended by NaN, which breaks a line."""
    points: list[tuple[float, float]] = []
    for offset in np.linspace(-0.6, 0.6, STROKES):
        low, high = max(-0.5, -0.5 + offset), min(0.5, 0.5 + offset)
        points += [
            (column + low, row + low - offset),
            (column + high, row + high - offset),
            (np.nan, np.nan),
        ]
    return points


def _intervals(study: Study, pairs: Sequence[Pair], responses: Sequence[ResponseEffects]) -> Figure:
    place = place_of_pair(study, *pairs)
    panels = []
    for response in responses:
        chosen = _chosen(response)
        y = np.arange(len(chosen), dtype=float)[::-1]
        values, low, high = np.array([(e.value, e.low, e.high) for e in chosen]).T
        points = Points(
            values, y, opacity=1.0, size=6.0,
            hover=tuple(f"{e.name}: {format_interval(e.value, e.low, e.high)}" for e in chosen),
        )  # fmt: skip
        apart = np.full(len(y), np.nan)
        bars = Line(np.stack([low, high, apart], 1).ravel(), np.repeat(y, 3), colour=Role.SOURCE)
        marks: tuple[Mark, ...] = (Rule(0.0, "vertical"), bars, points)
        names = tuple(map(_short_name, reversed(chosen)))
        axis = DrawnAxis(f"effect, {response.unit}")
        panels.append(
            Panel(response.response, axis, DrawnAxis("", categories=names), marks, place=place)
        )
    return Figure(
        name=_name("intervals", pairs),
        title="Every effect with its interval",
        caption="Dots are effects, bars intervals that hold at once for all effects of all "
        "responses (95%). Main effects, and the interactions that are shown.",
        panels=tuple(panels),
        columns=2,
    )


def _short_name(effect: Effect) -> str:
    """Name an effect in a few letters: of an interaction the factors, which leave room to draw."""
    factors = " × ".join(factor.split(".")[-1] for factor in effect.term)
    words = "" if len(effect.term) > 1 else effect.words
    return ": ".join(part for part in (factors, words) if part)


def _chosen(response: ResponseEffects) -> list[Effect]:
    others = [each for each in response.effects if len(each.term) > 1 and each.is_shown]
    others.sort(key=lambda each: -abs(each.value))
    return [response.mean, *response.main_effects, *others][:MAX_EFFECTS]


def _shares(study: Study, pairs: Sequence[Pair], responses: Sequence[ResponseEffects]) -> Figure:
    place = place_of_pair(study, *pairs)
    panels = []
    for response in responses:
        known = [each for each in response.shares if np.isfinite(each.value)]
        if known:
            names = tuple(each.factor.split(".")[-1] for each in known)
            values, low, high = np.array([(e.value, e.low, e.high) for e in known]).T
            bars = Bars(names, values, low, high)
            axis = DrawnAxis("share of variance", limits=(0.0, 1.0))
            panels.append(Panel(response.response, DrawnAxis(""), axis, (bars,), place=place))
    return Figure(
        name=_name("shares", pairs),
        title="How much of the difference between rows is each factor's",
        caption="Shapley values of main effects; sampling errors are taken off. Lines: 95% "
        "intervals by a bootstrap over rows.",
        panels=tuple(panels),
        columns=2,
    )


def _splits(study: Study, pairs: Sequence[Pair], splits: Sequence[Split]) -> Figure:
    """Draw the mean size of every part over the rows, property by property."""
    place = place_of_pair(study, *pairs)
    panels = []
    for prop in dict.fromkeys(each.prop for each in splits):
        parts: dict[str, list[float]] = defaultdict(list)
        for each in splits:
            if each.prop == prop:
                for name, part in each.parts.items():
                    parts[name].append(part.value)
        categories = tuple(name for name, values in parts.items() if np.any(values))
        means = [np.mean(parts[name]) for name in categories]
        sizes = [np.mean(np.abs(parts[name])) for name in categories]
        marks = (
            Bars(categories, np.array(means), label="mean over rows", colour=Role.SOURCE),
            Bars(categories, np.array(sizes), label="mean size", colour=Role.REFERENCE),
        )
        panels.append(Panel(prop, DrawnAxis(""), DrawnAxis("shift, sd"), marks, place=place))
    return Figure(
        name=_name("split", pairs),
        title="What architecture, initialisation and optimiser each put there",
        caption="From the prior of the base row (the base levels of architecture and "
        "initialisation, on the same task) to a row's trained networks, in standard deviations of "
        "the base row's prior. The interaction is what architecture and initialisation do together "
        "beyond each by itself. In every row the parts add up to the whole.",
        panels=tuple(panels),
        columns=2,
    )
