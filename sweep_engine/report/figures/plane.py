"""The two pictures: what you think is searched and found, and what is.

Wherever theta has two parameters, or is projected on two canonical coordinates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float

from sweep_engine.densities import Study
from sweep_engine.densities.subject import column_words
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Mark, Points, ShownRuns
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.figures.runs import OUTCOMES, runs_of
from sweep_engine.report.figures.solution_curve import (
    along_the_curve,
    is_factorisation,
    solution_curve,
)
from sweep_engine.report.words import source_words
from sweep_engine.spec.laws import Ball, Box, Sphere
from sweep_engine.spec.observables import ProjectionPlane
from sweep_engine.spec.sources import SourceRole

MAX_DOTS = 4000

IS_MEASURED = {
    SourceRole.PRIOR: False,
    SourceRole.CONDITIONED: False,
    SourceRole.POSTERIOR: False,
    SourceRole.TRAINED: True,
    SourceRole.STORED: True,
}
"""Which of the two pictures shows a source: the search as it is, or as one thinks of it."""

Dots = tuple[Float[np.ndarray, "n 2"], ShownRuns]


@dataclass(frozen=True)
class Plane:
    """Two coordinates in which every network is a dot.

    Attributes:
        name: Of the figure.
        words: What a dot is.
        labels: Of the axes.
        dots: Where the networks of a source are.
        query: How to get them.
    """

    name: str
    words: str
    labels: tuple[str, str]
    dots: Callable[[str], Dots]
    query: str


def plane_figures(study: Study) -> list[Figure]:
    """Draw the two pictures, and the density along the curve where it is known."""
    figures = [_two_pictures(study, plane) for plane in _planes(study)]
    if is_factorisation(study):
        figures.append(along_the_curve(study))
    return [figure for figure in figures if figure is not None]


def _planes(study: Study) -> Iterator[Plane]:
    if _num_params(study) == 2:
        labels = ("a", "b") if is_factorisation(study) else ("theta 1", "theta 2")
        query = (
            "SELECT source, theta[1] AS theta_1, theta[2] AS theta_2 FROM "
            "read_parquet('params/**/*.parquet', hive_partitioning = true)"
        )
        words = "one network with two parameters"
        yield Plane("two_pictures", words, labels, partial(_theta, study), query)
    for spec in study.sweep.observables:
        if spec.projection_plane is not None:
            yield _projected(study, spec.projection_plane)


def _projected(study: Study, plane: ProjectionPlane) -> Plane:
    first, second = plane.columns
    query = (
        f"SELECT source, {first}, {second} FROM read_parquet('runs/**/*.parquet', "
        f"hive_partitioning = true) WHERE {first} IS NOT NULL"
    )
    words = f"one network, its {plane.point} projected on {plane.plane}"
    name = f"two_pictures_{first.removesuffix('_1')}"
    dots = partial(_columns, study, (first, second))
    return Plane(name, words, (first, second), dots, query)


def _num_params(study: Study) -> int:
    records = study.results.table("params").records
    if not records:
        return 0
    _, source, bucket = (part.split("=")[-1] for part in records[0].path.split("/")[:3])
    layout = study.results.file_metadata("params", source, bucket)["layout"]
    return sum(int(np.prod(leaf["shape"])) for leaf in layout)


def _two_pictures(study: Study, plane: Plane) -> Figure | None:
    think, see = _sides(study)
    dots = {name: plane.dots(name) for name in (*think, *see)}
    if not any(len(at) for at, _ in dots.values()):
        return None
    limits = _limits(study, [at for at, _ in dots.values()])
    panels = [
        _panel(study, plane, title, {name: dots[name] for name in names}, limits)
        for title, names in (
            ("What you think the search looks like", think),
            ("What it looks like", see),
        )
    ]
    return Figure(
        name=plane.name,
        title=f"Two pictures of the search: {plane.labels[0]} and {plane.labels[1]}",
        caption=(
            f"Every dot is {plane.words}. Left: {_words(study, think)}. Right: "
            f"{_words(study, see)}. Both panels have the same scale."
        ),
        panels=tuple(panel for panel in panels if panel.marks),
        query=plane.query,
    )


def _sides(study: Study) -> tuple[list[str], list[str]]:
    """Sources of the naive picture, of one law (a uniform one if any), and of the measured one."""
    sources = study.sweep.sources
    drawn = [name for name, spec in sources.items() if not IS_MEASURED[spec.role]]
    measured = [name for name, spec in sources.items() if IS_MEASURED[spec.role]]
    laws = [sources[name].start_law for name in drawn]
    law = next((law for law in laws if isinstance(law, Box | Ball | Sphere)), [*laws, None][0])
    think = [name for name in drawn if sources[name].start_law == law]
    starts = [sources[name].start_law for name in measured]
    priors = [name for name in drawn if sources[name].role is SourceRole.PRIOR]
    init = [name for name in priors if sources[name].start_law in starts]
    return think, [*(name for name in init if name not in think), *measured]


def _words(study: Study, names: list[str]) -> str:
    return "; ".join(source_words(name, study.sweep.sources[name]) for name in names)


def _limits(study: Study, dots: list[Float[np.ndarray, "n 2"]]) -> tuple[float, float]:
    """One square for both panels: the box that is searched, or all but the outermost dots."""
    laws = [spec.start_law for spec in study.sweep.sources.values()]
    widths = [float(law.half_width) for law in laws if isinstance(law, Box)]
    if widths and _num_params(study) == 2:
        return -max(widths), max(widths)
    reach = np.abs(np.concatenate([at.ravel() for at in dots] or [np.zeros(0)]))
    reach = reach[np.isfinite(reach)]
    limit = (1.1 * float(np.quantile(reach, 0.999)) if reach.size else 0.0) or 1.0
    return -limit, limit


def _panel(
    study: Study, plane: Plane, title: str, dots: dict[str, Dots], limits: tuple[float, float]
) -> Panel:
    colours = source_colours(study.sweep)
    marks: list[Mark] = []
    if dots and plane.name == "two_pictures" and is_factorisation(study):
        marks.append(solution_curve(study, limits[1]))
    marks += [
        Points(
            at[:, 0], at[:, 1], label=name, colour=colours[name], size=2.5, opacity=0.5, runs=runs
        )
        for name, (at, runs) in dots.items()
        if len(at)
    ]
    axes = [DrawnAxis(column_words(label), limits=limits) for label in plane.labels]
    return Panel(title, axes[0], axes[1], tuple(marks), equal_aspect=True)


def _columns(study: Study, columns: tuple[str, str], source: str) -> Dots:
    ours = (pc.field("source") == source) & pc.field(columns[0]).is_valid()
    table = study.results.runs(["run_id", "setting", *columns, *OUTCOMES], ours)
    table = table.take(_thinned(np.arange(len(table))))
    at = np.stack([table[name].to_numpy().astype(float) for name in columns], axis=1)
    return at, runs_of(table)


def _thinned(rows: np.ndarray) -> np.ndarray:
    """As many rows as are shown, evenly spread."""
    return rows[:: max(1, -(-len(rows) // MAX_DOTS))]


def _theta(study: Study, source: str) -> Dots:
    """The last stored states of a source's runs, as many as are shown, and which runs they are."""
    parts = study.results.params(source)
    if not parts:
        return np.zeros((0, 2)), ShownRuns(np.zeros(0, int), np.zeros(0, int))
    run_id = np.concatenate([part.run_id for part in parts])
    step = np.concatenate([part.step for part in parts])
    theta = np.concatenate([part.theta for part in parts])
    order = np.lexsort((step, run_id))
    is_last = np.append(run_id[order][1:] != run_id[order][:-1], True)
    shown = _thinned(order[is_last])
    return theta[shown], _found(study, source, run_id[shown])


def _found(study: Study, source: str, run_id: np.ndarray) -> ShownRuns:
    """Read how runs ended, in their order."""
    ours = (pc.field("source") == source) & pc.field("run_id").isin(run_id.tolist())
    table = study.results.runs(["run_id", "setting", *OUTCOMES], ours)
    return runs_of(table.sort_by("run_id")).take(np.argsort(np.argsort(run_id)))
