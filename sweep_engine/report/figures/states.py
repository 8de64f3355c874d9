"""The density of states of a prior, with the solutions of trained networks on it."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from sweep_engine.comparability import numeric_columns, split_columns
from sweep_engine.densities import Study
from sweep_engine.densities.stored.states import Curve, DensityOfStates, density_of_states
from sweep_engine.densities.subject import axis_label
from sweep_engine.errors import InsufficientSamples
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Colour
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Band, Line, Mark, Quantiles
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.places import place_of
from sweep_engine.spec import Setting
from sweep_engine.spec.sources import SourceRole

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_COLUMNS = 5
MOST_SETTINGS = 4
USUAL = ("test_error", "l2_norm", "complexity_lz")
X = DrawnAxis("training error")


def state_figures(study: Study) -> Iterator[Figure]:
    """Draw one figure a setting whose rows weigh the law, the first few."""
    weighing = [s for s in study.plan.settings.values() if s.spec.weighs_law]
    for setting in weighing[:MOST_SETTINGS]:
        try:
            states = density_of_states(study, setting, _columns(study))
        except InsufficientSamples:  # a run that has begun
            continue
        yield _figure(study, setting, states)


def _columns(study: Study) -> list[str]:
    compared = [name for each in study.sweep.compare for name in split_columns(each.observable)]
    known = set(numeric_columns(study.sweep)) - {"train_error"}
    return [name for name in dict.fromkeys((*compared, *USUAL)) if name in known][:MOST_COLUMNS]


def _figure(study: Study, setting: Setting, states: DensityOfStates) -> Figure:
    colour = source_colours(study.sweep)[setting.source]
    schema = study.results.table("runs").schema
    likely = Panel(
        "log_p",
        X,
        DrawnAxis("ln P(training error at most that), nats"),
        _curve(states, states.log_p, setting.source, colour),
        place=place_of([setting]),
    )
    panels = []
    for name, curve in states.means.items():
        solutions = tuple(_solutions(study, setting, name))
        y = DrawnAxis(axis_label(schema, name), limits=_limits(curve, solutions))
        marks = (*_curve(states, curve, setting.source, colour), *solutions)
        panels.append(Panel(name, X, y, marks, place=place_of([setting])))
    return Figure(
        name=f"states_{setting.source}_{setting.id}",
        title=f"Density of states of {setting.source}",
        caption="Lines: ln P of a training error under the law, and means of the networks that "
        "have it; bands, which may reach off the axis: 95% intervals from "
        f"{states.units} repetitions, each by itself. Bars: "
        "trained networks, 5 to 95% and 25 to 75%; dots: their medians.",
        panels=(likely, *panels),
        columns=3,
        query="SELECT train_error, sum(exp(log_weight)) / count(DISTINCT unit) AS p FROM "
        f"read_parquet('runs/**/*.parquet') WHERE setting = {setting.id} GROUP BY ALL ORDER BY 1",
    )


def _curve(states: DensityOfStates, curve: Curve, label: str, colour: Colour) -> tuple[Mark, ...]:
    low, high = (np.where(np.isfinite(e), e, curve.value) for e in (curve.low, curve.high))
    return (
        Band(states.errors, low, high, label=label, colour=colour),
        Line(states.errors, curve.value, label=label, colour=colour),
    )


def _limits(curve: Curve, solutions: Sequence[Quantiles]) -> tuple[float, float] | None:
    """Fit the axis to means and solutions: an interval of few repetitions may be far longer."""
    values = np.concatenate([curve.value, *(mark.values.ravel() for mark in solutions)])
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.min() == finite.max():
        return None
    margin = 0.08 * float(np.ptp(finite))
    return float(finite.min()) - margin, float(finite.max()) + margin


def _solutions(study: Study, setting: Setting, column: str) -> Iterator[Quantiles]:
    """Draw the trained networks of the settings that share the axes' values."""
    colours = source_colours(study.sweep)
    for other in study.plan.settings.values():
        shared = other.values.keys() & setting.values.keys()
        if other.spec.role is not SourceRole.TRAINED or any(
            other.values[path] != setting.values[path] for path in shared
        ):
            continue
        runs = study.results.runs(["train_error", column], study.rows_of(other.source, [other.id]))
        errors, values = (
            runs[name].to_numpy(zero_copy_only=False).astype(float)
            for name in ("train_error", column)
        )
        met = np.unique(errors[np.isfinite(values)])
        if met.size:
            levels = [_levels(values[errors == error]) for error in met]
            yield Quantiles(met, np.array(levels), label=other.source, colour=colours[other.source])


def _levels(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 5"]:
    return np.quantile(values[np.isfinite(values)], LEVELS)
