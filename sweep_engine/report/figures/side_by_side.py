"""All sources side by side in one observable, where a sweep compares more than two."""

from collections import defaultdict
from collections.abc import Iterator

from sweep_engine.densities import Draws, Study, histograms, pairs
from sweep_engine.densities.subject import axis_label, column_words
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.figure import Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import Steps
from sweep_engine.report.figures.laws import Window, num_bins
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import place_of
from sweep_engine.spec import Comparison, Setting


def side_by_side_figures(study: Study) -> Iterator[Figure]:
    """Draw every column in which one source meets several others: all of them in one panel."""
    for column, compared in _by_column(study).items():
        samples, settings = _samples(study, column, compared)
        if len(samples) > 2:
            figure = _figure(study, column, samples, place_of(settings))
            if figure is not None:
                yield figure


def _by_column(study: Study) -> dict[str, list[Comparison]]:
    by_observable: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in study.sweep.compare:
        one_column = comparison.is_of_columns and "," not in comparison.observable
        whole = not (comparison.at or comparison.where or comparison.match)
        if one_column and whole:
            by_observable[comparison.observable].append(comparison)
    return by_observable


def _samples(
    study: Study, column: str, compared: list[Comparison]
) -> tuple[dict[str, Draws], list[Setting]]:
    """The draws of every source that is compared as a whole, by name, and their settings."""
    samples: dict[str, Draws] = {}
    used: list[Setting] = []
    for comparison in compared:
        paired = pairs(study.plan, comparison)
        if len(paired) != 1:
            continue
        sides = (comparison.source, paired[0].source), (comparison.reference, paired[0].reference)
        for name, settings in sides:
            try:
                draws = study.draws(name, settings, [column], comparison.given)
            except (IncomparableSources, InsufficientSamples):
                continue
            if len(draws) and name not in samples:
                samples[name] = draws
                used += [study.plan.settings[i] for i in settings]
    return samples, used


def _figure(
    study: Study, column: str, samples: dict[str, Draws], place: SweptPlace
) -> Figure | None:
    colours = source_colours(study.sweep)
    draws_of_all = list(samples.values())
    window = Window.of(draws_of_all)
    if window is None:
        return None
    edges, densities = histograms(
        list(map(window.cut, draws_of_all)), num_bins=num_bins(draws_of_all)
    )
    marks = tuple(
        Steps(edges, density.density, label=name, colour=colours[name])
        for name, density in zip(samples, densities, strict=True)
    )
    label = axis_label(study.results.table("runs").schema, column)
    x = DrawnAxis(label, limits=(window.low, window.high))
    numbers = ", ".join(f"{name} {draws.n_eff:,.4g}" for name, draws in samples.items())
    return Figure(
        name=f"side_by_side_{column}",
        title=f"{column_words(column)}: all sources side by side",
        caption="Each source as it first stands in a comparison of this column, given a fit where "
        f"that says so. Their effective numbers of draws: {numbers}. {window.words}".strip(),
        panels=(Panel("", x, DrawnAxis("density"), marks, place=place),),
        columns=1,
        query=f"SELECT source, {column} FROM read_parquet('runs/**/*.parquet', "
        "hive_partitioning = true)",
    )
