"""Figures along the swept axes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float, Int

from sweep_engine.comparability import numeric_columns, split_columns
from sweep_engine.densities import Study
from sweep_engine.densities.subject import axis_label, column_words
from sweep_engine.report.drawing.axes import DrawnAxis, scale_of
from sweep_engine.report.drawing.colours import Colour
from sweep_engine.report.drawing.figure import Along, Detail, Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import Quantiles
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.figures.quantiles import LEVELS, QUANTILE_WORDS
from sweep_engine.report.places import place_of, texts_of, words_of
from sweep_engine.spec import Setting, axis_paths
from sweep_engine.spec.sources import SourceRole
from sweep_engine.spec.wording import value_text

MEASURED = ("test_error", "l2_norm", "steps", "hessian_eigenvalue_max", "edge_ratio")
WIDE = 3
"""Largest value over the least from which an axis is logarithmic."""

MARGIN = 0.45
"""Beside the outer values, in gaps: no positive axis reaches below 0."""

MAX_DETAILS = 24
"""Points of the other axes that a figure can be taken apart into."""


@dataclass(frozen=True)
class RunColumn:
    """One column of the trained runs.

    Attributes:
        values: One a run.
        setting: Id of the run's setting.
    """

    name: str
    values: Float[np.ndarray, " R"]
    setting: Int[np.ndarray, " R"]

    def levels(self, settings: Sequence[Setting]) -> Float[np.ndarray, " 5"]:
        """Compute the quantiles of the finite values of some settings' runs."""
        chosen = np.isin(self.setting, [setting.id for setting in settings])
        finite = self.values[chosen & np.isfinite(self.values)]
        return np.quantile(finite, LEVELS) if len(finite) else np.full(len(LEVELS), np.nan)


def swept_figures(study: Study) -> Iterator[Figure]:
    """Draw how what is compared, and error, norm and steps, move along each swept numeric axis."""
    trained = [s for s in study.plan.settings.values() if s.spec.role is SourceRole.TRAINED]
    columns = _columns(study, trained) if trained and axis_paths(study.sweep) else []
    for path in axis_paths(study.sweep):
        settings = [setting for setting in trained if path in setting.values]
        values = {value_text(s.values[path]): s.values[path] for s in settings}
        if len(values) > 1 and all(isinstance(value, int | float) for value in values.values()):
            along = dict(sorted(values.items(), key=lambda item: item[1]))
            panels = [_panel(study, column, path, along, settings) for column in columns]
            if panels := [panel for panel in panels if panel.marks]:
                yield _figure(path, panels)


def _columns(study: Study, trained: Sequence[Setting]) -> list[RunColumn]:
    compared = (split_columns(comparison.observable) for comparison in study.sweep.compare)
    wanted = dict.fromkeys((*chain.from_iterable(compared), *MEASURED))
    names = [name for name in wanted if name in numeric_columns(study.sweep)]
    ours = pc.field("source").isin(sorted({setting.source for setting in trained}))
    runs = study.results.runs(["setting", *names], ours)
    setting = runs["setting"].to_numpy()
    return [
        RunColumn(name, runs[name].to_numpy(zero_copy_only=False).astype(float), setting)
        for name in names
    ]


def _figure(path: str, panels: Sequence[Panel]) -> Figure:
    first = panels[0].title
    pooled = " Other swept axes are pooled here." if panels[0].place.over else ""
    return Figure(
        name=f"along_{path.replace('.', '_')}",
        title=f"Along {path.removeprefix('sources.')}",
        caption=f"{QUANTILE_WORDS}{pooled}",
        panels=tuple(panels),
        columns=3,
        query=f'SELECT source, "{path}", quantile_cont({first}, {list(LEVELS)}) FROM '
        "read_parquet('runs/**/*.parquet', hive_partitioning = true) "
        f'WHERE "{path}" IS NOT NULL AND isfinite({first}) GROUP BY ALL',
    )


def _panel(
    study: Study,
    column: RunColumn,
    path: str,
    values: Mapping[str, float],
    settings: Sequence[Setting],
) -> Panel:
    numbers = np.array(list(values.values()), float)
    x = _axis(path, numbers)
    place = place_of(settings)
    over = tuple(other for other in place.over if other != path)
    colours = source_colours(study.sweep)
    whole = [
        _quantiles(column, path, numbers, list(group), name, colours[name])
        for name, group in groupby(settings, key=lambda setting: setting.source)
    ]
    marks = tuple(mark for mark in whole if np.isfinite(mark.values).any())
    drawn = np.concatenate([mark.values.ravel() for mark in marks]) if marks else np.empty(0)
    words = axis_label(study.results.table("runs").schema, column.name)
    return Panel(
        column.name,
        x,
        DrawnAxis(words, scale=scale_of(drawn)),
        marks,
        place=SweptPlace(place.at, over),
        along=Along(path, tuple(values), numbers),
        details=_details(column, path, x, numbers, settings, over),
    )


def _quantiles(
    column: RunColumn,
    path: str,
    numbers: Float[np.ndarray, " n"],
    settings: Sequence[Setting],
    label: str,
    colour: Colour,
) -> Quantiles:
    table = [column.levels([s for s in settings if s.values[path] == at]) for at in numbers]
    return Quantiles(numbers, np.array(table), label=label, colour=colour)


def _details(
    column: RunColumn,
    path: str,
    x: DrawnAxis,
    numbers: Float[np.ndarray, " n"],
    settings: Sequence[Setting],
    over: tuple[str, ...],
) -> tuple[Detail, ...]:
    """Take the quantiles apart by source and by the axes that are pooled, side by side."""
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in settings:
        texts = texts_of(setting)
        groups.setdefault((setting.source, *(texts.get(other, "") for other in over)), []).append(
            setting
        )
    if not over or len(groups) > MAX_DETAILS:
        return ()
    details = []
    for rank, group in enumerate(groups.values()):
        at = {other: text for other, text in texts_of(group[0]).items() if other in over}
        label = words_of(group[0].source, at)
        marks = _quantiles(column, path, numbers, group, label, rank)
        place = _beside(numbers, x, 0.7 * ((rank + 0.5) / len(groups) - 0.5))
        details.append(Detail(at, (Quantiles(place, marks.values, label=label, colour=rank),)))
    return tuple(details)


def _axis(path: str, numbers: Float[np.ndarray, " n"]) -> DrawnAxis:
    """Show all values of the axis, whichever of them the page's filter leaves."""
    is_wide = numbers.min() > 0 and numbers.max() > WIDE * numbers.min()
    axis = DrawnAxis(column_words(path.split(".")[-1]), scale="log" if is_wide else "linear")
    low, high = _beside(numbers, axis, -MARGIN)[0], _beside(numbers, axis, MARGIN)[-1]
    return replace(axis, limits=(float(low), float(high)))


def _beside(
    numbers: Float[np.ndarray, " n"], x: DrawnAxis, share: float
) -> Float[np.ndarray, " n"]:
    """Move numbers aside by a share of the least gap between two."""
    at = np.log(numbers) if x.scale == "log" else numbers
    moved = at + share * np.diff(at).min()
    return np.exp(moved) if x.scale == "log" else moved
