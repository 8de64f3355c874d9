"""The training loss on the way."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep_engine.densities import Study
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.colours import Colour
from sweep_engine.report.drawing.figure import Detail, Figure, Panel
from sweep_engine.report.drawing.marks import Line, Mark
from sweep_engine.report.figures.palette import source_colours
from sweep_engine.report.figures.swept import MAX_DETAILS
from sweep_engine.report.places import place_of, texts_of, words_of
from sweep_engine.store import curves_schema

CLOCKS = ("step", "time")
"""What a curve is drawn along: by the steps of an optimiser, or by a flow's time."""

MIN_RUNS = 20
"""Runs that a quantile rests on, at least."""


def curve_figures(study: Study) -> Iterator[Figure]:
    """Draw the training loss on the way: median and 90% of the runs."""
    if not study.results.table("curves").records:
        return
    names = study.results.table("curves").schema.names
    own = {*curves_schema(has_time=True).names, "source", "bucket"}
    recorded = [name for name in names if name not in own][:1]
    clocks = [clock for clock in CLOCKS if clock in names]
    table = study.results.curves(["source", "run_id", *clocks, "train_loss", *recorded])
    panels = [_panel(study, table, clock, recorded) for clock in clocks]
    yield Figure(
        name="training_curves",
        title="On the way",
        caption="Training loss at the recorded checks, of runs still in training: median, and "
        "the least and largest twentieth as dotted lines.",
        panels=tuple([panel for panel in panels if panel.marks] or panels[:1]),
        columns=1,
        query="SELECT source, step, quantile_cont(train_loss, [0.05, 0.5, 0.95]) FROM "
        "read_parquet('curves/**/*.parquet', hive_partitioning = true) GROUP BY ALL",
    )


def _panel(study: Study, table: pa.Table, clock: str, recorded: Sequence[str]) -> Panel:
    """Draw the sources that go by steps, or those that have a time, each setting as a detail."""
    colours, sources = source_colours(study.sweep), study.sweep.sources
    names = sorted(name for name in sources if sources[name].has_time == (clock == "time"))
    table = table.filter(pc.is_in(table["source"], pa.array(names, pa.string())))
    observed = np.full(len(table), clock == "time")  # what many runs share is a time asked for
    for name in recorded:  # one of them tells: they are observed together
        observed |= table[name].is_valid().to_numpy()
    source = np.array(table["source"].to_pylist())
    setting = table["run_id"].to_numpy() >> 32
    at, loss = table[clock].to_numpy(), table["train_loss"].to_numpy()
    marks: list[Mark] = []
    details = []
    swept = [s for s in study.plan.settings.values() if s.source in set(source)]
    place = place_of(swept)
    for name in sorted(set(source)):
        rows = source == name
        marks += _marks(at[rows], loss[rows], observed[rows], name, colours[name])
    for rank, each in enumerate(swept[: MAX_DETAILS + 1]):
        rows, texts = setting == each.id, texts_of(each)
        words = words_of(each.source, texts)
        drawn = _marks(at[rows], loss[rows], observed[rows], words, rank)
        details.append(Detail(texts, tuple(drawn)))
    axes = DrawnAxis(clock, scale="symlog"), DrawnAxis("training loss", scale="log")
    parts = tuple(details) if place.over and len(details) <= MAX_DETAILS else ()
    return Panel("", *axes, tuple(marks), place=place, details=parts)


def _is_regular(step: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Say whether a step is one that every run still in training records, and not some run's last.

    Checks 0, 1, 2, 4, ... are, and so are the steps at which a source observes its runs. The last
    check of a run is recorded as well, but at a step that its end has chosen.
    """
    if observed.all():
        return observed
    check = step // max(1, int(step[(step > 0) & ~observed].min(initial=2**62)))
    return observed | ((check & (check - 1)) == 0)


def _levels(losses: list[float]) -> np.ndarray:
    """Three quantiles, each the loss of one run: between infinite ones there is nothing.

    A run that diverges has a loss beyond all numbers, and not none.
    """
    beyond = np.where(np.isnan(losses), np.inf, losses)
    return np.quantile(beyond, [0.05, 0.5, 0.95], method="inverted_cdf")


def _marks(
    step: np.ndarray, loss: np.ndarray, observed: np.ndarray, name: str, colour: Colour
) -> list[Line]:
    groups: dict[int, list[float]] = defaultdict(list)
    regular = _is_regular(step, observed)
    for at, value in zip(step[regular].tolist(), loss[regular].tolist(), strict=True):
        groups[at].append(value)
    kept = {at: v for at, v in groups.items() if len(v) >= MIN_RUNS}
    at = np.array(sorted(kept), float)
    if not len(at):
        return []
    quantiles = np.array([_levels(kept[a]) for a in at.tolist()])
    return [
        Line(at, quantiles[:, 1], label=name, colour=colour),
        Line(at, quantiles[:, 0], colour=colour, dash="dot"),
        Line(at, quantiles[:, 2], colour=colour, dash="dot"),
    ]
