"""Observables that were recorded on the way, step by step."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from sweep_engine.densities import Study
from sweep_engine.densities.subject import axis_label
from sweep_engine.report.drawing.axes import DrawnAxis, scale_of
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Line, Points
from sweep_engine.report.figures.curves import CLOCKS
from sweep_engine.report.figures.groups import Group, groups_of
from sweep_engine.report.places import place_of
from sweep_engine.spec import Setting
from sweep_engine.store import curves_schema

MAX_PANELS = 12


def recorded_figures(study: Study) -> Iterator[Figure]:
    """Draw every recorded number against step or time: the median run of each setting."""
    if not study.results.table("curves").records:
        return
    schema = study.results.table("curves").schema
    names = [field.name for field in schema if _is_drawn(field)]
    if not names:
        return
    clocks = [clock for clock in CLOCKS if clock in schema.names]
    table = study.results.curves(["source", "run_id", *clocks, *names])
    recorded = [s for s in study.plan.settings.values() if s.spec.recorded]
    groups = groups_of(study, recorded)
    panels = [
        _panel(table, name, clock, groups, mine)
        for name in names
        for clock in clocks
        if (mine := [s for s in recorded if s.spec.has_time == (clock == "time")])
    ]
    shown = [panel for panel in panels if panel.marks][:MAX_PANELS]
    if shown:
        left_out = len([panel for panel in panels if panel.marks]) - len(shown)
        more = f" {left_out} more columns are in the table `curves`." if left_out else ""
        yield Figure(
            name="recorded",
            title="Observed on the way",
            caption="The median over the runs that reached a step and are finite there; runs "
            f"that have ended are not carried on.{more}",
            panels=tuple(shown),
            columns=min(3, len(shown)),
            query=f"SELECT source, step, median({names[0]}) FROM read_parquet("
            "'curves/**/*.parquet', hive_partitioning = true) GROUP BY ALL",
        )


def _is_drawn(field: pa.Field) -> bool:
    """Say whether a column is a recorded number; errors of estimates stand in the table alone."""
    is_number = types.is_floating(field.type) or types.is_integer(field.type)
    is_own = field.name in {*curves_schema(has_time=True).names, "source", "bucket"}
    return is_number and not is_own and not field.name.endswith("_stderr")


def _panel(
    table: pa.Table,
    name: str,
    clock: str,
    groups: Sequence[Group],
    settings: Sequence[Setting],
) -> Panel:
    along = table[clock].to_numpy()
    setting = table["run_id"].to_numpy() >> 32
    values = table[name].cast(pa.float64()).to_numpy()  # null is NaN
    finite = np.isfinite(values)
    along_it = {each.id for each in settings}
    marks: list[Line | Points] = []
    for label, colour, ids in groups:
        rows = finite & np.isin(setting, list(ids & along_it))
        at, inverse = np.unique(along[rows], return_inverse=True)
        medians = [np.median(values[rows][inverse == i]) for i in range(len(at))]
        if len(at):
            marks.append(Line(at.astype(float), np.array(medians), label=label, colour=colour))
    shown = np.concatenate([mark.y for mark in marks]) if marks else np.empty(0)
    return Panel(
        title="",
        x=DrawnAxis(clock),
        y=DrawnAxis(axis_label(table.schema, name), scale=scale_of(shown)),
        marks=tuple(marks),
        place=place_of(settings),
    )
