"""The report of a sweep: which figures, tables and words, from its results alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sweep_engine.densities import (
    Answer,
    Compared,
    Estimate,
    Pair,
    Study,
    answer_all,
    pairs,
    refusals,
    write_comparisons,
)
from sweep_engine.densities.estimator import Table
from sweep_engine.errors import IncomparableSources, InsufficientSamples
from sweep_engine.report.answers import answer_groups, pictures
from sweep_engine.report.atlas import atlas_sections
from sweep_engine.report.decomposition import decompositions
from sweep_engine.report.decomposition_rows import WORDS, decomposition_rows
from sweep_engine.report.diagnostics import diagnostics
from sweep_engine.report.drawing.figure import Figure
from sweep_engine.report.drawing.matplotlib_files import draw_files
from sweep_engine.report.figures.along import along_figures
from sweep_engine.report.figures.curves import curve_figures
from sweep_engine.report.figures.decomposition import decomposition_figures
from sweep_engine.report.figures.entries import entry_figures
from sweep_engine.report.figures.functions import function_figures
from sweep_engine.report.figures.observables import (
    MAX_PAIRS,
    comparison_figure,
)
from sweep_engine.report.figures.plane import plane_figures
from sweep_engine.report.figures.recorded import recorded_figures
from sweep_engine.report.figures.runs import run_figures
from sweep_engine.report.figures.side_by_side import side_by_side_figures
from sweep_engine.report.figures.states import state_figures
from sweep_engine.report.figures.swept import swept_figures
from sweep_engine.report.page.contents import Page, Section
from sweep_engine.report.page.render import render_page
from sweep_engine.report.places import swept_axes, texts_of
from sweep_engine.report.rows import row_of
from sweep_engine.report.words import READING, question, table_of
from sweep_engine.store import OutputDirectory
from sweep_engine.store.layout import FIGURES, REPORT
from sweep_engine.store.manifest import describe_choices, read_manifest


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
    answers = answer_all(study)
    alone = [each for answer in answers for each in answer.compared]
    write_comparisons(files, alone)
    compared = [each.at_once() for each in alone]
    picture, along = pictures(study, answers)
    sections = tuple(_sections(study, answers, compared))
    if along:
        sections = (Section("Setting by setting", "", along), *sections)
    page = Page(
        title=study.sweep.name,
        answers=tuple(answer_groups(study, answers)),
        picture=picture,
        reading=READING,
        question=question(study.sweep),
        decomposition_words=WORDS,
        decomposition=tuple(decomposition_rows(study, decompositions(compared))),
        summary=tuple(
            row_of(study, each) for each in compared if table_of(each.estimate) is Table.HEADLINES
        ),
        sections=sections,
        diagnostics=tuple(diagnostics(study, compared, refusals(answers))),
        provenance=tuple(_provenance(directory, study)),
        axes=swept_axes(study.plan),
        settings={i: (each.source, texts_of(each)) for i, each in study.plan.settings.items()},
    )
    for figure in page.figures():
        drawn = draw_files(figure)
        files.write_all({f"{FIGURES}/{name}": data for name, data in drawn.items()})
    files.write(REPORT, render_page(page).encode())
    return f"{files.location}/{REPORT}"


def _sections(
    study: Study, answers: Sequence[Answer], compared: Sequence[Compared]
) -> Iterator[Section]:
    yield from atlas_sections(study, answers)
    if along := tuple(decomposition_figures(study, decompositions(compared))):
        yield Section("The KL decomposition along the sweep", "", along)
    if states := tuple(state_figures(study)):
        yield Section("From the bulk of the law down to a fit", "", states)
    if plane := plane_figures(study):
        yield Section("The two pictures", "", tuple(plane))
    functions, observables, left_out = [], [*side_by_side_figures(study)], 0
    for comparison in study.sweep.compare:
        paired = pairs(study.plan, comparison)
        if comparison.observable == "function":
            left_out += max(0, len(paired) - MAX_PAIRS)
            for pair in paired[:MAX_PAIRS]:
                functions += function_figures(study, pair, _estimates(compared, pair))
        elif comparison.is_of_columns and not comparison.is_within_one:
            observables += _observable_figures(study, paired)
    functions, observables = _once(functions), _once(observables)
    if functions:
        words = f"{left_out} more settings are left out; the table has all." if left_out else ""
        yield Section("In function space", words, tuple(functions))
    if observables:
        yield Section("Where they land", "", tuple(observables))
    further = [*along_figures(study, compared), *swept_figures(study)]
    further += [*entry_figures(study), *curve_figures(study), *recorded_figures(study)]
    if further:
        yield Section("Along the sweep, and on the way", "", tuple(further))
    if runs := tuple(run_figures(study)):
        yield Section("Run by run", "", runs)


def _once(figures: Sequence[Figure]) -> list[Figure]:
    """One figure of a name: comparisons that differ in the estimator alone share theirs."""
    return list({figure.name: figure for figure in reversed(figures)}.values())[::-1]


def _observable_figures(study: Study, paired: Sequence[Pair]) -> list[Figure]:
    try:
        figure = comparison_figure(study, paired) if paired else None
    except (InsufficientSamples, IncomparableSources):
        # The diagnostics list this comparison and what it lacks.
        return []
    return [figure] if figure else []


def _estimates(compared: Sequence[Compared], pair: Pair) -> list[Estimate]:
    return [each.estimate for each in compared if each.pair == pair]


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
        each = manifest.choices(source).values()
        yield f"{source} {spec.deed} by", "; ".join(map(describe_choices, each))
    yield "lanes", ", ".join(f"{bucket}: {k}" for bucket, k in sorted(frozen.lanes.items())[:20])
    yield "versions", ", ".join(f"{name} {v}" for name, v in frozen.versions.items())
    rule = study.sweep.accept.model_dump(mode="json", exclude_none=True)
    yield "acceptance rule", ", ".join(f"{name}: {value}" for name, value in rule.items())
