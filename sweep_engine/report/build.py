"""The report of a sweep: which figures, tables and words, from its results alone."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from sweep_engine.densities import (
    Compared,
    Estimate,
    Pair,
    Study,
    compare_all,
    pairs,
    write_comparisons,
)
from sweep_engine.densities.stored.mixing import Mixing, mixing
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.report.decomposition import NAMES as LEDGER_NAMES
from sweep_engine.report.decomposition import WORDS as LEDGER_WORDS
from sweep_engine.report.decomposition import entries, ledger_figures, ledger_rows
from sweep_engine.report.drawing.figure import Figure
from sweep_engine.report.drawing.matplotlib_files import draw_files
from sweep_engine.report.figures.along import along_figures
from sweep_engine.report.figures.curves import curve_figures
from sweep_engine.report.figures.functions import function_figures
from sweep_engine.report.figures.observables import (
    MAX_PAIRS,
    comparison_figure,
    majority_error,
)
from sweep_engine.report.figures.plane import plane_figures
from sweep_engine.report.figures.runs import run_figures
from sweep_engine.report.figures.side_by_side import side_by_side_figures
from sweep_engine.report.figures.swept import swept_figures
from sweep_engine.report.numbers import format_interval
from sweep_engine.report.page.page import Page, Row, Section, Table, render_page
from sweep_engine.report.places import place_of, place_of_pair, swept_axes, texts_of
from sweep_engine.report.words import HEADLINES, meaning, null_words, quantity, question
from sweep_engine.spec import Setting
from sweep_engine.spec.sources import DONE
from sweep_engine.store import OutputDirectory
from sweep_engine.store.layout import FIGURES, REPORT
from sweep_engine.store.manifest import describe_choices, read_manifest

MAX_ROWS = 400


def write_report(root: Path | str) -> str:
    """Write `report.html`, the figures as PNG and SVG, and `comparisons.parquet`.

    Args:
        root: An output directory with results; they need not be complete. May be an address
            such as s3://bucket/prefix: everything is written there.

    Returns:
        The path or address of the page.

    Raises:
        OutputError: there are no results.
        CorruptResults: the files are not as they were committed.
    """
    study = Study.open(root)
    directory = OutputDirectory(root)
    files = directory.files
    found, refused = compare_all(study)
    write_comparisons(files, found)
    compared = [one.at_once() for one in found]
    sections = tuple(_sections(study, compared))
    for section in sections:
        for figure in section.figures:
            drawn = draw_files(figure)
            files.write_all({f"{FIGURES}/{name}": data for name, data in drawn.items()})
    page = Page(
        title=study.sweep.name,
        question=question(study.sweep),
        ledger_words=LEDGER_WORDS,
        ledger=tuple(ledger_rows(study, entries(compared))),
        summary=tuple(_row(study, one) for one in compared if one.estimate.name in HEADLINES),
        sections=sections,
        diagnostics=tuple(_diagnostics(study, compared, refused)),
        provenance=tuple(_provenance(directory, study)),
        axes=swept_axes(study.plan),
        settings={i: (one.source, texts_of(one)) for i, one in study.plan.settings.items()},
    )
    files.write(REPORT, render_page(page).encode())
    return f"{files.location}/{REPORT}"


def _row(study: Study, one: Compared) -> Row:
    comparison, estimate = one.pair.comparison, one.estimate
    given = ", given fit" if comparison.given == "fit" else ""
    given += "".join(f", {name} {lo:g} to {hi:g}" for name, (lo, hi) in
                     (comparison.where or {}).items())  # fmt: skip
    given += f", matched on {comparison.match.column}" if comparison.match else ""
    return Row(
        source=comparison.source,
        reference=comparison.reference,
        observable=comparison.observable + given,
        setting=one.pair.label(),
        quantity=quantity(estimate),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        null=null_words(one),
        meaning=meaning(one),
        warnings=estimate.warnings,
        place=place_of_pair(study, one.pair),
    )


def _sections(study: Study, compared: Sequence[Compared]) -> Iterator[Section]:
    if ledger := tuple(ledger_figures(study, entries(compared))):
        yield Section("The ledger along the sweep", "", ledger)
    if plane := plane_figures(study):
        yield Section("The two pictures", "", tuple(plane))
    functions, observables, left_out = [], [*side_by_side_figures(study)], 0
    for comparison in study.sweep.compare:
        found = pairs(study.plan, comparison)
        if comparison.observable == "function":
            left_out += max(0, len(found) - MAX_PAIRS)
            for pair in found[:MAX_PAIRS]:
                functions += function_figures(study, pair, _estimates(compared, pair))
        elif figure := _observable_figure(study, found):
            observables.append(figure)
    functions, observables = _once(functions), _once(observables)
    if functions:
        words = f"{left_out} more settings are left out; the table has all." if left_out else ""
        yield Section("In function space", words, tuple(functions))
    if observables:
        yield Section("Where they land", "", tuple(observables))
    further = [*along_figures(study, compared), *swept_figures(study), *curve_figures(study)]
    if further:
        yield Section("Along the sweep, and on the way", "", tuple(further))
    if runs := tuple(run_figures(study)):
        yield Section("Run by run", "", runs)


def _once(figures: Sequence[Figure]) -> list[Figure]:
    """One figure of a name: comparisons that differ in the estimator alone share theirs."""
    return list({figure.name: figure for figure in reversed(figures)}.values())[::-1]


def _observable_figure(study: Study, found: Sequence[Pair]) -> Figure | None:
    try:
        return comparison_figure(study, found) if found else None
    except (InsufficientSamples, IncomparableSources):
        # The diagnostics list this comparison and what it lacks.
        return None


def _estimates(compared: Sequence[Compared], pair: Pair) -> list[Estimate]:
    return [one.estimate for one in compared if one.pair == pair]


def _diagnostics(
    study: Study, compared: Sequence[Compared], refused: Sequence[str]
) -> Iterator[Table]:
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
    shown = (*HEADLINES, *LEDGER_NAMES)
    others = [one for one in compared if one.estimate.name not in shown]
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
    for one in mixed:
        numbers = (f"{value:,.4g}" for value in (one.mean, one.low, one.high))
        rows.append((one.setting.source, _values(one.setting), one.what, *numbers, one.warning))
    header = ("source", "setting", "number", "mean", "least", "greatest", "warning")
    places = tuple(place_of([one.setting]) for one in mixed)
    title = "Draws that depend on one another: have they mixed?"
    return Table(title, header, tuple(rows), places)


def _values(setting: Setting) -> str:
    return ", ".join(f"{path.split('.')[-1]} = {value}" for path, value in setting.values.items())


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
    for one in others:
        row = _row(study, one)
        rows.append(
            (f"{row.source} | {row.reference}", row.observable, row.setting, row.quantity,
             row.estimate, row.null, "; ".join(row.warnings))
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
    places = tuple(place_of_pair(study, one.pair) for one in others)
    return Table("All other estimates", header, tuple(rows), places)


def _provenance(directory: OutputDirectory, study: Study) -> Iterator[tuple[str, str]]:
    manifest = read_manifest(directory)
    frozen = manifest.frozen
    entries = study.results.ledger.shards
    needed = len(manifest.plan.shards)
    yield "sweep", f"{study.sweep.name}, spec {manifest.plan.spec_id}, seed {study.sweep.seed}"
    yield "shards done", f"{len(entries):,}; the plan has {needed:,}, as many as could be needed"
    yield "device", f"{frozen.device_kind} ({frozen.platform})"
    yield "precision", frozen.precision
    for source, spec in study.sweep.sources.items():
        if done := DONE.get(spec.kind):
            each = manifest.choices(source).values()
            yield f"{source} {done} by", "; ".join(map(describe_choices, each))
    yield "lanes", ", ".join(f"{bucket}: {k}" for bucket, k in sorted(frozen.lanes.items())[:20])
    yield "versions", ", ".join(f"{name} {v}" for name, v in frozen.versions.items())
    rule = study.sweep.accept.model_dump(mode="json", exclude_none=True)
    yield "acceptance rule", ", ".join(f"{name}: {value}" for name, value in rule.items())
