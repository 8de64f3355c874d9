"""The KL decomposition along a swept axis: what the data explain and what the optimiser adds."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from sweep_engine.densities import Pair, Study
from sweep_engine.densities.decomposition.nats import DATA, OPTIMISER
from sweep_engine.report.decomposition import Decomposed, error_labels
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Role
from sweep_engine.report.drawing.figure import Along, Figure, Panel, SweptPlace
from sweep_engine.report.drawing.marks import Band, Line, Mark, Points
from sweep_engine.report.figures.names import figure_name
from sweep_engine.report.places import place_of_pair
from sweep_engine.report.words import shown_ends
from sweep_engine.spec.wording import value_text


def decomposition_figures(study: Study, decomposed: Sequence[Decomposed]) -> Iterator[Figure]:
    """Draw the decomposition along every numeric axis on which it has several points."""
    groups: dict[tuple[str, ...], list[Decomposed]] = defaultdict(list)
    for each in decomposed:
        comparison = each.pair.comparison
        groups[comparison.source, comparison.reference, comparison.observable].append(each)
    for group in groups.values():
        for path in group[0].pair.at:
            values = [each.pair.at.get(path) for each in group]
            others = {str({k: v for k, v in e.pair.at.items() if k != path}) for e in group}
            numeric = all(isinstance(v, int | float) for v in values)
            if numeric and len(set(values)) > 1 and len(others) == 1:
                yield _along(study, path, sorted(group, key=lambda each: each.pair.at[path]))


def _along(study: Study, path: str, group: Sequence[Decomposed]) -> Figure:
    comparison, name = group[0].pair.comparison, path.split(".")[-1]
    axis = DrawnAxis("training examples" if path == "task.train" else name)
    nats = [
        mark
        for key, label, colour in (
            (DATA.name, "the data explain", Role.REFERENCE),
            (OPTIMISER.name, "the optimiser adds, at least", Role.SOURCE),
        )
        for mark in _marks(path, group, key, label, colour)
    ]
    colours = (Role.EXACT, Role.REFERENCE, Role.SOURCE)
    errors = [
        mark
        for (key, label), colour in zip(error_labels(group[0].pair).items(), colours, strict=True)
        for mark in _marks(path, group, key, label, colour)
    ]
    whole = place_of_pair(study, *(each.pair for each in group))
    place = SweptPlace(whole.at, tuple(other for other in whole.over if other != path))
    values = [each.pair.at[path] for each in group]
    along = Along(path, tuple(map(value_text, values)), np.array(values, float))
    panels = [
        Panel(title, axis, DrawnAxis(label), tuple(marks), place=place, along=along)
        for title, label, marks in (
            ("What it costs to land there", "nats", nats),
            ("What that promises", "error", errors),
        )
        if marks
    ]
    kind = f"decomposition along {name} {comparison.observable}"
    return Figure(
        name=figure_name(kind, Pair(comparison, {}, (), ())),
        title=f"The KL decomposition along {name}: {comparison.source} and "
        f"{comparison.reference}, {group[0].observable}",
        caption="Bands are 95% intervals that hold at once; that of a lower bound is open "
        "upwards, and is drawn up to its value. The bound is on the error, over the "
        "population that the training set was drawn from, of the prior given a fit; it holds with "
        "95% confidence. The test error is over inputs that are not in the training set.",
        panels=tuple(panels),
        query='SELECT "at", name, value, low_simultaneous, high_simultaneous '
        f"FROM 'comparisons.parquet' WHERE source = '{comparison.source}' AND "
        f"reference = '{comparison.reference}' AND "
        "(name LIKE 'decomposition%' OR name LIKE 'test_error%' OR name = 'pac_bayes_bound')",
    )


def _marks(
    path: str, group: Sequence[Decomposed], name: str, label: str, colour: Role
) -> Iterator[Mark]:
    chosen = [(e.pair.at[path], e.estimates[name]) for e in group if name in e.estimates]
    if not chosen:
        return
    at = np.array([x for x, _ in chosen], float)
    value = np.array([estimate.value for _, estimate in chosen], float)
    low, high = np.array([shown_ends(estimate) for _, estimate in chosen], float).T
    shown = np.isfinite(value)
    yield Band(at[shown], low[shown], high[shown], colour=colour)
    yield Line(at[shown], value[shown], colour=colour)
    yield Points(at[shown], value[shown], label=label, colour=colour, opacity=1.0)
