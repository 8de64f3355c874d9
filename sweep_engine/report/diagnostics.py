"""Tables of diagnostics: fits, how runs ended, mixing, what was refused, all other estimates."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from sweep_engine.densities import Compared, Study
from sweep_engine.densities.estimator import Table as Listed
from sweep_engine.densities.stored.mixing import Mixing, mixing
from sweep_engine.errors import InsufficientSamples
from sweep_engine.numbers import format_interval
from sweep_engine.report.figures.observables import majority_error
from sweep_engine.report.page.contents import Table
from sweep_engine.report.places import place_of, place_of_pair
from sweep_engine.report.rows import row_of
from sweep_engine.report.words import table_of
from sweep_engine.spec import Setting
from sweep_engine.spec.wording import point_text

MAX_ROWS = 400
"""Settings in the table of fits; a page of more is slow to open, and nobody reads them."""


def diagnostics(
    study: Study, compared: Sequence[Compared], refused: Sequence[str]
) -> Iterator[Table]:
    """List the tables of diagnostics."""
    yield _fits(study)
    yield _statuses(study)
    if mixed := tuple(mixing(study)):
        yield _mixing(mixed)
    if refused:
        yield Table(
            "Not estimated",
            ("comparison and what it lacks",),
            tuple((line.replace(" : ", ": "),) for line in refused),
        )
    others = [each for each in compared if table_of(each.estimate) is Listed.OTHERS]
    if others:
        yield _other_estimates(study, others)


def _fits(study: Study) -> Table:
    rows, places = [], []
    for setting in list(study.plan.settings.values())[:MAX_ROWS]:
        try:
            ln = study.ln_fit_probability([setting])
        except InsufficientSamples:
            continue
        baseline = majority_error(study, setting.id)
        places.append(place_of([setting]))
        rows.append(
            (
                setting.source,
                _values(setting),
                f"{ln.num_source:,}",
                format_interval(*(math.exp(end) for end in (ln.value, ln.low, ln.high))),
                format_interval(ln.value, ln.low, ln.high),
                "" if baseline is None else f"{baseline:.3f}",
            )
        )
    header = ("source", "setting", "draws", "P(fit)", "ln P(fit), nats", "majority-class error")
    return Table("How often a network fits the training set", header, tuple(rows), tuple(places))


def _mixing(mixed: Sequence[Mixing]) -> Table:
    rows = []
    for each in mixed:
        numbers = (f"{value:,.4g}" for value in (each.mean, each.low, each.high))
        rows.append((each.setting.source, _values(each.setting), each.what, *numbers, each.warning))
    header = ("source", "setting", "number", "mean", "least", "greatest", "warning")
    places = tuple(place_of([each.setting]) for each in mixed)
    title = "Draws that depend on one another: have they mixed?"
    return Table(title, header, tuple(rows), places)


def _values(setting: Setting) -> str:
    return point_text(setting.values)


def _statuses(study: Study) -> Table:
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    shards = {shard.id: shard for shard in study.plan.shards}
    for name, entry in study.results.ledger.shards.items():
        source = shards[name].source
        for key in ("runs", "fits", "rows", "steps", "busy_lane_steps", "all_lane_steps"):
            totals[source][key] += entry.count(key)
        for status in (key for key in entry.receipt if key.startswith("status ")):
            totals[source][status] += entry.count(status)
    statuses = sorted({k for row in totals.values() for k in row if k.startswith("status ")})
    header = ("source", "runs or draws", "fit", "rows", "optimiser steps", "lanes busy",
              *(s.replace("status ", "status: ") for s in statuses))  # fmt: skip
    rows = tuple(
        (
            source,
            *(f"{row[key]:,}" for key in ("runs", "fits", "rows", "steps")),
            f"{row['busy_lane_steps'] / row['all_lane_steps']:.0%}"
            if row["all_lane_steps"]
            else "",
            *(f"{row[status]:,}" for status in statuses),
        )
        for source, row in totals.items()
    )
    over = place_of(study.plan.settings.values()).over
    return Table("Runs, draws and how they ended", header, rows, over=over)


def _other_estimates(study: Study, others: Sequence[Compared]) -> Table:
    rows = []
    for each in others:
        row = row_of(study, each)
        sides = " | ".join(filter(None, (row.source, row.reference)))
        rows.append(
            (sides, row.observable, row.setting, row.quantity, row.estimate, row.null,
             "; ".join(row.warnings))
        )  # fmt: skip
    header = (
        "source | reference",
        "observable",
        "setting",
        "quantity",
        "estimate",
        "null",
        "warnings",
    )
    places = tuple(place_of_pair(study, each.pair) for each in others)
    return Table("All other estimates", header, tuple(rows), places)
