"""Figures in function space: the scatter of probabilities, and the rank plot."""

from dataclasses import replace

import numpy as np

from sweep_engine.densities import Estimate, Pair, Study, function_cells, rank_plot, scatter
from sweep_engine.densities.cells.counts import CellCounts
from sweep_engine.densities.estimator import Table
from sweep_engine.densities.functions.plots import Scatter
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Bars, Line, Points
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.places import place_of_pair
from sweep_engine.report.words import table_of

MAX_FUNCTIONS = 500
MAX_RANKS = 500
"""Points of a rank plot's curve: the first so many, and as many spread over the others."""

_ROOM = 1.3
"""An axis of P(f) ends so many times above the highest interval."""

_BESIDE_NULL = (
    "Below: each divergence beside what the same estimator says of two halves of one source (the "
    "null): only what stands above the null is a difference. "
)

SHORT = {
    "total_variation": "TV",
    "jensen_shannon": "JS",
    "kl": "KL",
    "rank_correlation": "rank corr.",
}


def function_figures(study: Study, pair: Pair, estimates: list[Estimate]) -> list[Figure]:
    """Draw one comparison in function space."""
    try:
        ids, counts = function_cells(study, pair)
    except (IncomparableSources, InsufficientSamples):
        return []
    source, reference = pair.comparison.source, pair.comparison.reference
    beside_null = _null_panels(estimates)
    given = " given a fit" if pair.comparison.given == "fit" else ""
    return [
        Figure(
            name=figure_name("functions", pair),
            title=f"P(f) under {source} and under {reference}{given}" + _at(pair),
            caption=(
                f"Left: each dot is one function, of the {MAX_FUNCTIONS} most frequent, with exact "
                "95% intervals; on the line both sources find it equally often. A function that "
                "one side never drew stands at that side's edge. Right: all functions by rank. "
                f"{_BESIDE_NULL if beside_null else ''}"
                f"{round(counts.num_source):,} networks of {source}, "
                f"{round(counts.num_reference):,} of {reference}."
            ),
            panels=tuple(
                replace(panel, place=place_of_pair(study, pair))
                for panel in (*_probability_panels(ids, counts, pair), *beside_null)
            ),
            columns=2,
            last_is_wide=bool(beside_null),
            query=(
                "SELECT source, function_id, sum(count) FROM read_parquet('tallies/**/*.parquet', "
                "hive_partitioning = true) WHERE what LIKE 'function%' GROUP BY ALL"
            ),
        )
    ]


def _at(pair: Pair) -> str:
    return f", {pair.label()}" if pair.at else ""


def _probability_panels(ids: np.ndarray, counts: CellCounts, pair: Pair) -> tuple[Panel, Panel]:
    """Draw every function, and all by rank, on one scale of P(f) that ends where the data do."""
    points = scatter(ids, counts, num_functions=MAX_FUNCTIONS)
    floor = 0.5 / max(counts.num_source, counts.num_reference)
    highest = max(side.high.max(initial=floor) for side in (points.reference, points.source))
    limits = (floor, min(1.0, float(_ROOM * highest)))
    return _scatter_panel(points, limits, pair), _rank_panel(counts, limits, pair)


def _scatter_panel(points: Scatter, limits: tuple[float, float], pair: Pair) -> Panel:
    floor, x, y = limits[0], points.reference, points.source
    line = np.array(limits)
    hover = tuple(
        f"{name.decode()[:12]}: {int(a):,} and {int(b):,} draws"
        for name, a, b in zip(points.ids, y.counts, x.counts, strict=True)
    )
    return Panel(
        "Every function",
        DrawnAxis(f"P(f), {pair.comparison.reference}", scale="log", limits=limits),
        DrawnAxis(f"P(f), {pair.comparison.source}", scale="log", limits=limits),
        (
            Line(line, line, label="equal", colour=Role.NULL, dash="dash"),
            Points(
                np.maximum(x.probability, floor),
                np.maximum(y.probability, floor),
                label="a function",
                colour=Role.SOURCE,
                hover=hover,
                x_low=np.maximum(x.low, floor),
                x_high=x.high,
                y_low=np.maximum(y.low, floor),
                y_high=y.high,
            ),
        ),
    )


def _rank_panel(counts: CellCounts, limits: tuple[float, float], pair: Pair) -> Panel:
    marks = []
    for name, side, colour in (
        (pair.comparison.source, counts.source, Role.SOURCE),
        (pair.comparison.reference, counts.reference, Role.REFERENCE),
    ):
        plot = rank_plot(side, max_ranks=MAX_RANKS)
        marks.append(Line(plot.rank, plot.frequencies.probability, label=name, colour=colour))
    y = DrawnAxis("P(f)", scale="log", limits=limits)
    return Panel("By rank", DrawnAxis("rank", scale="log"), y, tuple(marks))


def _null_panels(estimates: list[Estimate]) -> tuple[Panel, ...]:
    """Draw bars of what is finite on both sides, if anything is; the rest stands in the tables."""
    shown = [
        e
        for e in estimates
        if e.null_value is not None
        and np.isfinite([e.value, e.null_value]).all()
        and table_of(e) is not Table.DECOMPOSITION
    ]
    if not shown:
        return ()
    names = tuple(_short(e.name) for e in shown)
    panel = Panel(
        "Beside the same-source null",
        DrawnAxis("", categories=names),
        DrawnAxis("divergence"),
        (
            Bars(
                names,
                np.array([e.value for e in shown]),
                low=np.array([e.low for e in shown]),
                high=np.array([e.high for e in shown]),
                label="source against reference",
                colour=Role.SOURCE,
            ),
            Bars(
                names,
                np.array([e.null_value for e in shown]),
                low=np.array([e.null_low for e in shown]),
                high=np.array([e.null_high for e in shown]),
                label="two halves of one source",
                colour=Role.NULL,
            ),
        ),
    )
    return (panel,)


def _short(name: str) -> str:
    bound = name.endswith("_lower_bound")
    return SHORT.get(name.removesuffix("_lower_bound"), name) + (" ≥" if bound else "")
