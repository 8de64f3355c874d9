"""The command `sweep-engine`. Commands import what they need, so that help is quick."""

import atexit
import gc
import itertools
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from sweep_engine.errors import (
    ClusterError,
    ClusterGone,
    CorruptResults,
    IncomparableSources,
    InsufficientSamples,
    Interrupted,
    OutputError,
    PlanError,
    ShardFailed,
    SpecError,
    SweepEngineError,
    explain,
)
from sweep_engine.machine import is_settled, uncollected
from sweep_engine.stopping import INTERRUPTED, Stop, heeded
from sweep_engine.streams import is_terminal, protect

if TYPE_CHECKING:
    from sweep_engine.atlas import Effects
    from sweep_engine.densities import Answer, Compared, Study
    from sweep_engine.execution import BucketCost, RunSummary, StartCost
    from sweep_engine.spec import Comparison, Sweep
    from sweep_engine.store import LedgerEntry, StoredRun

FAILED, BAD_INPUT = 1, 2
BAD_INPUTS = (PlanError, OutputError, ClusterError, IncomparableSources, InsufficientSamples)
WATCH_SECONDS = 2.0
MUCH_PADDING = 2.0
"""Lanes over the runs in them from which `plan` says so."""

DEMOS = ("landscape", "boolean", "digits")


class _Commands(TyperGroup):
    """Commands whose errors of the operating system are told by us.

    Click would take a broken pipe of the results' storage for one of its own output.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:  # a disk or an object store, StorageFailed among them
            _end([explain(error)], BAD_INPUT)


app = typer.Typer(
    name="sweep-engine",
    cls=_Commands,
    help="Measure the prior that architecture, initialisation and optimiser put on networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(soft_wrap=True, width=None if is_terminal(sys.stdout) else 120)
err = Console(stderr=True, soft_wrap=True)

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A sweep file (YAML).")]
OutDir = Annotated[
    str,
    typer.Option(
        "--out", metavar="DIR", help="The output directory, or s3://bucket/prefix or gs://..."
    ),
]
ResultsDir = Annotated[str, typer.Argument(metavar="DIR", help="The output directory of a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
BackendName = Annotated[
    Literal["local", "ray"],
    typer.Option("--backend", help="Where the shards run: in this process, or on a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="With ray: the cluster's head, or `auto` on a machine of it; left out, a Ray is "
        "started here for the run.",
    ),
]
ForDevice = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="DEVICE",
        help="Say instead what memory it needs of a device that need not be here, and whether it "
        "fits: h100, h200, v5e or v6e.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failed shard.")]


def main() -> None:
    """Run the command line; errors of ours end it with their exit code and no traceback."""
    protect()
    # Python would look for garbage among all that JAX has made, only to end: half a second. Who
    # is settled, as tests are, sees to that themselves.
    if not is_settled():
        atexit.register(gc.freeze)
    # First of all: what the commands import takes seconds.
    with heeded(lambda line: err.print(line, markup=False, highlight=False)) as stop:
        _call(stop)


def _call(stop: Stop) -> None:
    try:
        app(obj=stop)
    except (SpecError, CorruptResults) as error:
        _end(error.problems, BAD_INPUT if isinstance(error, SpecError) else FAILED)
    except BAD_INPUTS as error:
        _end([str(error)], BAD_INPUT)
    except ClusterGone as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        os._exit(INTERRUPTED)  # Ray would wait for its head, and then be killed
    except Interrupted as error:
        _end([str(error)], INTERRUPTED)
    except ShardFailed as error:
        _end([str(error)], FAILED)
    except SweepEngineError as error:
        _end([str(error)], FAILED)


def _end(lines: list[str], code: int) -> NoReturn:
    for line in lines:
        err.print(line, style="red", markup=False, highlight=False)
    sys.exit(code)


@app.command()
def plan(
    spec: SpecFile,
    as_json: AsJson = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Compile and time some of the programs, which takes longer."
        ),
    ] = False,
    device: ForDevice = None,
) -> None:
    """Say what a sweep would run and cost, and run nothing.

    Times are reckoned from what the programs do; with --measure some are compiled and timed.
    """
    with uncollected():
        if device is not None:
            _plan_for(device, _load(spec), as_json=as_json)
        else:
            _plan(_load(spec), as_json=as_json, measure=measure)


def _plan(sweep: "Sweep", *, as_json: bool, measure: bool) -> None:
    from sweep_engine.execution import DRAWS_PER_FIT, Programs, clock, costs, start_cost
    from sweep_engine.planning import plan as make_plan
    from sweep_engine.spec.design_shown import as_data, as_table

    planned = make_plan(sweep)
    programs = Programs(planned)
    programs.open_all()
    asked = clock(measures=measure)
    found = costs(planned, programs, asked)
    start = start_cost(planned, programs, found)
    seconds = start.seconds + sum(cost.seconds for cost in found)
    disk = sum(cost.disk_bytes for cost in found)
    total = {
        "spec_id": planned.spec_id,
        "settings": len(planned.settings),
        "buckets": len(planned.buckets),
        "shards": len(planned.shards),
        "runs": sum(cost.runs for cost in found),
        "seconds_at_most": seconds,
        "disk_bytes_at_most": disk,
        "is_measured": asked.measures,
        "start": asdict(start),
    }
    design = planned.sweep.design
    if as_json:
        designed = {} if design is None else {"design": as_data(design)}
        _print_json(total | {"by_bucket": [asdict(cost) for cost in found]} | designed)
        return
    if design is not None:
        out.print(as_table(design).to_text(), markup=False, highlight=False)
    table = Table("source", "buckets", "settings", "runs", "lanes", "params", "memory/lane",
                  "disk", "time", "of it observing")  # fmt: skip
    for source in planned.sweep.sources:
        mine = [cost for cost in found if cost.source == source]
        table.add_row(
            source, f"{len(mine):,}", f"{sum(c.settings for c in mine):,}",
            f"{sum(c.runs for c in mine):,}", _span(c.lanes for c in mine),
            _span(c.num_params for c in mine), _bytes(max(c.lane_bytes for c in mine)),
            _bytes(sum(c.disk_bytes for c in mine)), _duration(sum(c.seconds for c in mine)),
            _duration(sum(o.seconds * o.networks for c in mine for o in c.observing)),
        )  # fmt: skip
    out.print(table)
    sources = planned.sweep.sources
    said = dict.fromkeys(f"{c.source} is {sources[c.source].deed} by {c.implementation}: "
                         f"{c.reason}." for c in found)  # fmt: skip
    for line in said:
        out.print(line, markup=False, highlight=False)
    for labels in dict.fromkeys(programs.of(name).bucket.task.labels for name in planned.buckets):
        if labels is not None:
            classes = ", ".join(f"{label} is {i}" for i, label in enumerate(labels))
            out.print(f"Labels of the data file as classes: {classes}.", highlight=False)
    for line in dict.fromkeys(_dear(found)):
        out.print(line, highlight=False)
    if planned.sweep.execution.lanes is not None:
        for line in dict.fromkeys(_padded(found)):
            out.print(line, highlight=False)
    parents = {cost.source: cost.starts_from for cost in found if cost.starts_from}
    if parents:
        starts = ", ".join(f"{source} needs {parent}" for source, parent in parents.items())
        out.print(f"Order: {starts}.", highlight=False)
    for line in _starting(start):
        out.print(line, highlight=False)
    out.print(
        f"{total['runs']:,} runs = {total['buckets']} buckets, {total['shards']:,} shards of "
        f"{total['settings']:,} settings. Time (to max_steps or max_draws, on this machine) and "
        f"disk are upper bounds: {_duration(seconds)}, {_bytes(disk)}. "
        "Nothing was run.",
        highlight=False,
    )
    out.print(
        "Times are measured: some programs were compiled and timed."
        if asked.measures
        else "Times are reckoned from what the programs do and how fast this machine is, mostly "
        "within a factor of 3; --measure compiles and times some.",
        highlight=False,
    )
    if unknown := list(dict.fromkeys(c.source for c in found if not c.rows_are_known)):
        out.print(f"{', '.join(unknown)}: only fits are kept; disk is reckoned for one fit in "
                  f"{DRAWS_PER_FIT:,} draws.", highlight=False)  # fmt: skip


def _plan_for(name: str, sweep: "Sweep", *, as_json: bool) -> None:
    from sweep_engine.execution import device_named, memory_needs
    from sweep_engine.planning import plan as make_plan

    device = device_named(name)
    needs = memory_needs(make_plan(sweep), device)
    if as_json:
        _print_json({"device": asdict(device), "by_bucket": [asdict(need) for need in needs]})
        return
    table = Table("source", "buckets", "lanes", "memory/lane", "memory/block", "fits")
    for source in dict.fromkeys(need.source for need in needs):
        mine = [need for need in needs if need.source == source]
        table.add_row(
            source, f"{len(mine):,}", _span(n.lanes for n in mine),
            _bytes(max(n.lane_bytes for n in mine)), _bytes(max(n.block_bytes for n in mine)),
            "yes" if all(n.fits for n in mine) else "no",
        )  # fmt: skip
    out.print(table)
    for need in (need for need in needs if not need.fits):
        remedy = (f"give execution.lanes: {need.most_lanes} or less" if need.most_lanes
                  else "not even one lane fits, give a smaller model or minibatch")  # fmt: skip
        out.print(f"{need.source}: a block of {need.lanes:,} lanes does not fit; {remedy}.",
                  highlight=False)  # fmt: skip
    out.print(
        f"{device.title}: {_bytes(device.memory_bytes)} of memory by its data sheet, "
        f"{_bytes(device.usable_bytes)} of it for programs. A block's memory is estimated "
        "from the arrays that its programs hold at once. Nothing was compiled or run.",
        highlight=False,
    )


@app.command()
def run(
    context: typer.Context,
    spec: SpecFile,
    out_dir: OutDir,
    backend: BackendName = "local",
    address: Address = None,
    fail_fast: FailFast = False,
) -> None:
    """Run what is missing of a sweep: start it, resume it, or find it complete.

    Exit code 0: complete; 1: some shards failed, or fewer draws fit than were asked for; 2: bad
    input; 3: interrupted (what is done is kept: the same command goes on).
    """
    sweep, text = _load(spec), spec.read_text()
    summary = _run(
        context.obj, sweep, text, out_dir, fail_fast=fail_fast, backend=backend, address=address
    )
    _report_run(context.obj, summary, out_dir)


@app.command()
def submit(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option(metavar="URL", help="The cluster's job server, as http://127.0.0.1:8265."),
    ],
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="A sweep file.")] = None,
    out_dir: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="As the cluster's machines see it."),
    ] = None,
    attach: Annotated[
        str | None, typer.Option(metavar="JOB", help="Follow a job that was submitted before.")
    ] = None,
    fail_fast: FailFast = False,
) -> None:
    """Run a sweep as a job of a Ray cluster, and follow it; Ctrl-C leaves it to itself.

    The cluster needs a token: RAY_AUTH_TOKEN_PATH names the file it is in, if not
    ~/.ray/auth_token. Exit codes are those of `run`; 3 also if the job is left to itself.
    """
    if (attach is None) == (spec is None or out_dir is None):
        raise OutputError("give SPEC and --out to submit a run, or --attach to follow one")
    sweep = _load(spec) if spec else None

    from sweep_engine.backends.ray.jobs import Jobs
    from sweep_engine.execution.driver.submission import submit as submit_run

    jobs = Jobs(address)
    job = attach
    if sweep is not None and spec is not None and out_dir is not None:
        job = submit_run(jobs, sweep, spec, out_dir, fail_fast=fail_fast)
        err.print(f"submitted as {job}", markup=False, highlight=False)
    assert job is not None
    again = jobs.how_to_follow(job)
    with context.obj.last_words(f"the job goes on; to follow it again: {again}"):
        code = jobs.follow(job, lambda text: print(text, end="", flush=True))
    if code:
        _end([f"{job} ended with exit code {code}"], code)


@app.command()
def retry(
    context: typer.Context,
    results: ResultsDir,
    backend: BackendName = "local",
    address: Address = None,
    fail_fast: FailFast = False,
) -> None:
    """Run again only what failed; `run` runs all that is missing."""
    from sweep_engine.store import OutputDirectory
    from sweep_engine.store.manifest import read_manifest

    sweep = read_manifest(OutputDirectory(results)).plan.sweep
    summary = _run(
        context.obj, sweep, None, results, fail_fast=fail_fast, failed_only=True, backend=backend,
        address=address,
    )  # fmt: skip
    _report_run(context.obj, summary, results)


@app.command()
def status(
    context: typer.Context,
    results: ResultsDir,
    as_json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Say it again every few seconds, until no run is on.")
    ] = False,
) -> None:
    """Say what is done, failed and missing, and how a run is getting on; from anywhere."""
    with context.obj.last_words("no longer watching; the run goes on"):
        while True:
            found = _status(results)
            if watch and not as_json:
                out.clear()  # on a terminal; a log gets one below the other
            _print_json(found) if as_json else _print_status(found)
            if not (watch and found["run"] and found["run"]["state"] == "running"):
                return
            time.sleep(WATCH_SECONDS)


def _print_status(found: dict[str, Any]) -> None:
    table = Table("source", "shards done", "needed", "runs or draws", "fit", "rows", "lanes busy")
    for name, row in found["sources"].items():
        busy = "" if row["lanes_busy"] is None else f"{row['lanes_busy']:.0%}"
        table.add_row(
            name, f"{row['done']:,}", f"{row['needed']:,}", f"{row['runs']:,}",
            f"{row['fits']:,}", f"{row['rows']:,}", busy,
        )  # fmt: skip
    out.print(table)
    out.print(
        f"{found['done']:,} of {found['needed']:,} shards done, {found['failed']} failed, "
        f"{found['missing']:,} missing"
        + (f" ({found['blocked']:,} wait for what failed)" if found["blocked"] else "")
        + (": complete" if found["complete"] else ""),
        highlight=False,
    )
    for name, lines in found["done_by"].items():
        for line in lines:
            out.print(f"{name} is {line}", markup=False, highlight=False)
    for line in found["short"]:
        out.print(line, markup=False, highlight=False)
    if found["run"] and not found["complete"]:
        out.print(_run_line(found["run"]), markup=False, highlight=False)
    for shard, error in found["errors"].items():
        out.print(f"{shard}: {error}", markup=False, highlight=False)


@app.command()
def verify(results: ResultsDir) -> None:
    """Check every file against its checksum, and the tables against the plan."""
    from sweep_engine.execution import fits_of_done, needed
    from sweep_engine.store import OutputDirectory
    from sweep_engine.store import verify as verify_files
    from sweep_engine.store.manifest import read_manifest

    directory = OutputDirectory(results)
    manifest = read_manifest(directory)
    wanted, _ = needed(manifest.plan, fits_of_done(directory))
    expected = {shard.id: None for shard in wanted}
    found = verify_files(directory.files, expected, manifest.sweep_file)
    for note in found.notes:
        out.print(note, markup=False, highlight=False)
    if found.problems:
        _end(found.problems, FAILED)
    out.print(f"{len(wanted):,} shards: every file is as it was committed", highlight=False)


@app.command()
def compact(results: ResultsDir) -> None:
    """Merge many small files into few, with the same rows."""
    from sweep_engine.store import OutputDirectory
    from sweep_engine.store import compact as compact_files
    from sweep_engine.store.manifest import read_manifest

    directory = OutputDirectory(results)
    read_manifest(directory)
    with directory.lock():
        merged = compact_files(directory.files)
    out.print(f"{merged:,} files merged" if merged else "nothing to merge", highlight=False)


@app.command()
def compare(
    results: ResultsDir,
    other_results: Annotated[
        str | None,
        typer.Option("--with", metavar="DIR2", help="Read every reference from here instead."),
    ] = None,
    as_json: AsJson = False,
    every: Annotated[
        bool, typer.Option("--all", help="Print every estimate, with its null and its warnings.")
    ] = False,
) -> None:
    """Answer the sweep's comparisons, and keep the estimates in comparisons.parquet.

    First a sentence a comparison, then a row for each of its settings: both medians, the shift
    between them, nats, and one verdict, which allows for all comparisons of the sweep. Intervals
    hold for all settings of a comparison at once. With DIR2 the references are read from there,
    and nothing is kept. Exit code 1: nothing could be compared; the reasons are printed.
    """
    from sweep_engine.densities import Study, answer_all, refusals, write_comparisons
    from sweep_engine.store import OutputDirectory

    study = Study.open(results)
    other = None if other_results is None else Study.open(other_results)
    answers = answer_all(study, other)
    compared, refused = [each for a in answers for each in a.compared], refusals(answers)
    found = _effects(study, refused) if other is None else []
    not_kept: OSError | None = None
    if other is None:
        try:
            write_comparisons(OutputDirectory(results).files, compared)
        except OSError as error:
            not_kept = error  # what was computed is shown all the same
    if as_json:
        _print_json(_comparisons_as_json(answers, compared, refused, found))
    else:
        _print_comparisons(answers, compared, refused, every=every, results=results)
        for each in found:
            out.print(f"\n{each}", markup=False, highlight=False)
    if refused and not any(each.estimate.num_source for each in compared):
        sys.exit(FAILED)  # the reasons are printed; how often a prior fits compares nothing
    if not_kept is not None:
        _end([f"not kept in comparisons.parquet: {explain(not_kept)}"], BAD_INPUT)


def _effects(study: "Study", refused: list[str]) -> "list[Effects]":
    """Estimate the effects of a design's factors; what cannot be is told like a comparison."""
    if study.sweep.design is None:
        return []
    from sweep_engine.atlas import effects

    try:
        return effects(study)
    except (IncomparableSources, InsufficientSamples) as error:
        refused.append(f"effects: {error}")
        return []


def _comparisons_as_json(
    answers: "Sequence[Answer]",
    compared: "Sequence[Compared]",
    refused: Sequence[str],
    found: "Sequence[Effects]",
) -> dict[str, Any]:
    rows = [
        {**one.pair.comparison.model_dump(mode="json"), "at": one.pair.at} | one.to_dict()
        for one in compared
    ]
    told = {"estimates": rows, "refused": refused, "answers": [each.to_dict() for each in answers]}
    return told | ({"effects": [each.to_dict() for each in found]} if found else {})


def _print_comparisons(
    answers: "Sequence[Answer]",
    compared: "Sequence[Compared]",
    refused: Sequence[str],
    *,
    every: bool,
    results: str,
) -> None:
    if not answers and not refused:
        out.print("nothing to compare: the sweep file lists no comparison under `compare`")
        return
    if compared:
        _print_answers(answers)
        if every:
            _print_estimates(compared)
        else:
            more = f"every estimate: sweep-engine compare {results} --all"
            out.print(f"\n{more}", markup=False, highlight=False)
    else:
        err.print("no comparison could be made:")
    for line in refused if every or not compared else _refused_in_short(answers):
        err.print(line, markup=False, highlight=False)


def _refused_in_short(answers: "Sequence[Answer]") -> Iterator[str]:
    """Say what was left out: the sentences say which comparisons have no estimate at all."""
    names = Counter(line.split(":")[0] for answer in answers for line in answer.left_out)
    for name, count in names.items():
        rows = "row" if count == 1 else "rows"
        yield f"{name} left out in {count} {rows}: --all says why"


MAX_ANSWERS = 30
"""Rows of the table of answers: a screen."""


def _print_answers(answers: "Sequence[Answer]") -> None:
    """Print a sentence for each comparison, and a row for each of its settings."""
    from sweep_engine.densities import by_comparison, opening

    groups = by_comparison(answers)
    for sentence in opening(answers):
        out.print(sentence, markup=False, highlight=False)
    out.print()
    table = Table(box=None, header_style="dim", padding=(0, 1))
    for name in ("", "setting", "median", "reference's", "shift, or size", "nats"):
        table.add_column(name, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    rows = [
        (f"{i}.", *answer.cells()) for i, group in enumerate(groups, start=1) for answer in group
    ]
    for row in rows[:MAX_ANSWERS]:
        table.add_row(*map(escape, row))  # a name in brackets is no markup
    out.print(table)
    if len(rows) > MAX_ANSWERS:
        out.print(f"and {len(rows) - MAX_ANSWERS} more settings: --all or --json has them")


_ESTIMATE_COLUMNS = {
    "estimate": 22, "value": 9, "interval": 18, "all settings": 18, "null": 7, "p (Holm)": 8,
    "notes": 5,
}  # fmt: skip


def _print_estimates(compared: Sequence["Compared"]) -> None:
    """Print the estimates, a table for each comparison, and what they warn of below."""
    from sweep_engine.densities import format_p

    notes: dict[str, int] = {}
    for title, group in itertools.groupby(compared, _estimates_title):
        out.print(f"\n{title}", markup=False, highlight=False)
        table = Table(box=None, header_style="dim")
        for name, width in _ESTIMATE_COLUMNS.items():
            table.add_column(name, min_width=width, overflow="fold")
        for one in group:
            e = one.estimate
            numbers = [notes.setdefault(warning, len(notes) + 1) for warning in e.warnings]
            table.add_row(
                e.name,
                "undefined" if math.isnan(e.value) else f"{e.value:.4g}",
                _ends(e.name, (e.low, e.high)),
                "" if one.simultaneous is None else _ends(e.name, one.simultaneous),
                "" if e.null_value is None else f"{e.null_value:.3g}",
                "" if one.p_adjusted is None else format_p(one.p_adjusted),
                " ".join(map(str, numbers)),
            )
        out.print(table)
    out.print()
    for warning, number in notes.items():
        out.print(f"{number}: {warning}", markup=False, highlight=False)


def _ends(name: str, ends: tuple[float, float]) -> str:
    """Print an interval; that of a lower bound is open upwards."""
    from sweep_engine.densities.registry import QUANTITIES
    from sweep_engine.numbers import format_ends

    if QUANTITIES[name].is_lower_bound:
        return f"{ends[0]:.4g} or more"
    return format_ends(*ends)


def _estimates_title(one: "Compared") -> str:
    at = f", {one.pair.label()}" if one.pair.at else ""
    return f"{_comparison_title(one.pair.comparison)}{at}"


def _comparison_title(asked: "Comparison") -> str:
    given = " given fit" if asked.given == "fit" else ""
    sides = asked.source if asked.is_within_one else f"{asked.source} | {asked.reference}"
    return f"{sides}: {asked.observable}{given}"


@app.command()
def observe(
    context: typer.Context,
    results: ResultsDir,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Observables as in a sweep file: local_volume, '{kind: local_volume, cost: kl}'.",
        ),
    ] = None,
) -> None:
    """Add observables to the stored networks, as columns of runs, without training again.

    Without names it goes on with what an interrupted call left.
    """
    from sweep_engine.execution import observe as observe_stored
    from sweep_engine.spec.load import read_observables

    with context.obj.gently() as should_stop:
        found = observe_stored(
            results,
            read_observables(names or []),
            report=lambda line: err.print(line, highlight=False),
            should_stop=should_stop,
        )
    out.print(f"{found.rows:,} rows in {found.files:,} files observed", highlight=False)
    if found.without_params:
        out.print(
            f"{found.without_params:,} of them have no stored parameters, and so no values",
            highlight=False,
        )


@app.command()
def report(results: ResultsDir) -> None:
    """Write report.html and the figures as PNG and SVG."""
    from sweep_engine.report import write_report

    out.print(write_report(results), markup=False, highlight=False)


@app.command()
def show(
    results: ResultsDir,
    run_id: Annotated[int, typer.Argument(metavar="RUN_ID", help="An id of the column run_id.")],
    as_json: AsJson = False,
) -> None:
    """Show one run: its setting, history, observables and stored parameters."""
    from sweep_engine.store import stored_run

    found = stored_run(results, run_id)
    if as_json:
        _print_json({"row": found.row, "curve": found.curve, "setting": _setting(found)})
        return
    for title, rows in (("setting", _setting(found)), ("row", found.row)):
        table = Table(title, "value")
        for name, value in rows.items():
            table.add_row(name, "" if value is None else str(value))
        out.print(table)
    if found.curve:
        table = Table("step", "train_loss", "train_error")
        for step, loss, error in found.curve:
            table.add_row(f"{step:,}", f"{loss:.6g}", "" if error is None else f"{error:.4g}")
        out.print(table)
    stored = ", ".join(f"step {step}" for step in found.steps) or "none"
    out.print(f"stored parameters: {stored}", highlight=False)


@app.command()
def demo(
    context: typer.Context,
    out_dir: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the three results go.")
    ] = Path("demo-results"),
) -> None:
    """Run the three bundled sweeps and write their reports."""
    from sweep_engine.report import write_report

    pages = []
    for name in DEMOS:
        spec = Path(__file__).parent / "examples" / f"{name}.yaml"
        text = spec.read_text()
        summary = _run(context.obj, _load(spec), text, out_dir / name, fail_fast=True)
        out.print(_summary_line(name, summary), highlight=False)
        pages.append(write_report(out_dir / name))
    out.print("The reports:", highlight=False)
    for page in pages:
        out.print(f"  {Path(page).resolve()}", markup=False, highlight=False)


EXPERIMENTS_HELP = (
    "Which of training (up to half an hour), refill, prior, lanes (8 minutes), overheads, "
    "sources (6 minutes), tiny, small and results; all if none."
)


@app.command()
def bench(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="[EXPERIMENT]...", help=EXPERIMENTS_HELP)
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the JSON record goes; of training a plot beside it.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A trial in a minute; its rates mean nothing.")
    ] = False,
) -> None:
    """Measure what this machine can do, and print the record."""
    from sweep_engine.bench.experiments import EXPERIMENTS
    from sweep_engine.bench.experiments import bench as run_bench

    if unknown := set(experiments or ()) - EXPERIMENTS.keys():
        _end([f"no experiment {min(unknown)!r} (there are: {', '.join(EXPERIMENTS)})"], BAD_INPUT)
    if record is not None and not record.parent.is_dir():
        _end([f"{record.parent} is not a folder"], BAD_INPUT)
    _print_json(run_bench(experiments or (), out=record, quick=quick))


def _complete_topic(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete a path of `explain`, whose last step is a word by itself or stands behind a dot."""
    from sweep_engine.explain import Book, commands

    before = "".join(f"{word}." for word in context.params.get("path") or ())
    book = Book(commands(typer.main.get_command(app)))
    for each in book.complete(before + incomplete):
        yield each.name.removeprefix(before), each.meaning


@app.command("explain")
def explain_topic(
    path: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]",
            help="What to explain, as task.boolean.bits, estimator.knn or column l2_norm; all "
            "that there is if left out.",
            autocompletion=_complete_topic,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain what can stand in a sweep file, a column, an estimate or a command."""
    from sweep_engine.explain import Book, NoSuchTopic, as_map, as_text, commands

    book = Book(commands(typer.main.get_command(app)))
    if not path:
        sections = book.sections()
        _print_json([asdict(each) for each in sections]) if as_json else print(as_map(sections))
        return
    try:
        entry = book.find(".".join(path)).entry
    except NoSuchTopic as unknown:
        _end([str(unknown)], BAD_INPUT)
    _print_json(asdict(entry)) if as_json else print(as_text(entry))


@app.command()
def new(
    template: Annotated[
        str | None,
        typer.Argument(metavar="[TEMPLATE]", help="A packaged sweep; minimal if left out."),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="A new file; TEMPLATE.yaml here if left out."
        ),
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
) -> None:
    """Write a commented sweep file to start from."""
    from sweep_engine.explain import SIMPLEST, templates, write_template
    from sweep_engine.spec.wording import nearest

    known = templates()
    if list_them:
        for name, line in known.items():
            out.print(f"{name}: {line}", markup=False, highlight=False)
        return
    name = template or SIMPLEST
    path = path or Path(f"{name}.yaml")
    if name not in known:
        _end([f"there is no template {name!r}{nearest(name, known)}"], BAD_INPUT)
    try:
        write_template(name, path)
    except FileExistsError:
        _end([f"{path} is there already and was left as it is: give another file by -o"], BAD_INPUT)
    out.print(f"wrote {path}", markup=False, highlight=False)
    out.print(f"next: sweep-engine plan {path}", markup=False, highlight=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a sweep file, for editors."""
    from sweep_engine.spec import Sweep

    _print_json(Sweep.model_json_schema())


def _load(path: Path) -> "Sweep":
    with uncollected():
        from sweep_engine.spec import load

        return load(path)


def _run(
    stop: Stop,
    sweep: "Sweep",
    text: str | None,
    directory: Path | str,
    *,
    fail_fast: bool,
    failed_only: bool = False,
    backend: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> "RunSummary":
    from sweep_engine.execution import choose_backend, display_for
    from sweep_engine.execution import run as run_sweep

    if address is not None and backend != "ray":
        raise OutputError("--address is that of a Ray cluster: give --backend ray as well")
    with stop.gently() as should_stop:
        return run_sweep(
            sweep,
            directory,
            sweep_text=text,
            make_backend=choose_backend(backend, address),
            fail_fast=fail_fast,
            failed_only=failed_only,
            display=display_for(sys.stderr, sweep.name),
            should_stop=should_stop,
        )


def _summary_line(name: str, summary: "RunSummary") -> str:
    first = summary.first_result_seconds
    when = "" if first is None else f", the first after {_duration(first)}"
    return (
        f"{name}: {summary.done:,} shards done ({summary.computed:,} now, in "
        f"{_duration(summary.seconds)}{when}), {summary.failed} failed, {summary.missing:,} missing"
    )


def _report_run(stop: Stop, summary: "RunSummary", directory: str) -> None:
    out.print(_summary_line(summary.plan.sweep.name, summary), highlight=False)
    if summary.failed:
        where = f"see {directory}/failed, then sweep-engine retry {directory}"
        behind = f", {summary.blocked:,} wait for their results" if summary.blocked else ""
        _end([f"{summary.failed} shards failed{behind}: {where}"], FAILED)
    if summary.short:
        _end([*map(str, summary.short)], FAILED)
    if not summary.is_complete:
        out.print(f"next: sweep-engine run SPEC --out {directory}", markup=False, highlight=False)
        return
    compare_command = f"sweep-engine compare {directory}"
    if summary.plan.sweep.compare and not summary.computed:  # nothing new: at once, without JAX
        out.print(f"its answer: {compare_command}", markup=False, highlight=False)
    elif summary.plan.sweep.compare:
        with stop.last_words(f"the sweep is complete; its answer: {compare_command}"):
            for line in _answer(directory, compare_command):
                out.print(line, markup=False, highlight=False)
    out.print(f"next: sweep-engine report {directory}", markup=False, highlight=False)


MAX_SENTENCES = 10
"""Sentences that end a run: a screen, where each fills two lines."""

MAX_ANSWER_SECONDS = 6.0
"""Leave to `compare` what takes longer: whoever has run a sweep may not want it."""


def _answer(directory: str, compare_command: str) -> Iterator[str]:
    """Say what the comparisons of a complete sweep come to, as `compare` opens, if that is quick.

    What lacks draws is said in its sentence, and is no failure of the run.
    """
    from sweep_engine.densities import Study, answer_all, opening, seconds_to_answer

    study = Study.open(directory)
    seconds = seconds_to_answer(study)
    if seconds > MAX_ANSWER_SECONDS:
        yield f"the answer takes {_duration(seconds)} or so: {compare_command}"
        return
    sentences = opening(answer_all(study))
    yield from sentences[:MAX_SENTENCES]
    if num_more := len(sentences[MAX_SENTENCES:]):
        yield f"and {num_more} more comparison{'s' if num_more > 1 else ''}"
    yield f"the numbers: {compare_command}"


def _run_line(run: dict[str, Any]) -> str:
    ago = f"{_duration(run['age_seconds'])} ago"
    if run["state"] == "stale":
        return (
            f"Stale: no sign of life for {_duration(run['age_seconds'])} from {run['driver']}; it "
            "has died or cannot write here. Repeat the same `run` command to continue"
        )
    first = run.get("first_result_seconds")
    since = "" if first is None else f", its first result after {_duration(first)}"
    if run["state"] != "running":
        return (
            f"Not running: the last run {run['state']} {ago}{since}. Repeat the same `run` command "
            "to continue"
        )
    left = "" if run["eta_seconds"] is None else f", about {_duration(run['eta_seconds'])} left"
    if run.get("accepted_of"):
        left = f", {run['accepted']:,} of {run['accepted_of']:,} accepted{left}"
    busy = "" if run["lanes_busy"] is None else f", lanes {run['lanes_busy']:.0%} busy"
    return (
        f"running: {run['in_flight']:,} shards in flight on {run['workers']:,} workers, "
        f"{run['runs_per_second']:,.0f} runs/s{busy}{left}{since} ({run['driver']}, {ago})"
    )


@uncollected()
def _status(results: str) -> dict[str, Any]:
    from sweep_engine.execution import needed, read_heartbeat, shortfalls
    from sweep_engine.store import OutputDirectory, read_failures, read_ledger
    from sweep_engine.store.manifest import describe_choices, read_manifest

    directory = OutputDirectory(results)
    manifest = read_manifest(directory)
    planned = manifest.plan
    entries = read_ledger(directory.files).shards
    failures = read_failures(directory.files)
    fits = {name: entry.count("fits") for name, entry in entries.items()}
    wanted, _ = needed(planned, fits)
    short = shortfalls(planned, fits)
    sources = {}
    for name in planned.sweep.sources:
        shards = [shard.id for shard in wanted if shard.source == name]
        done_ones = [entries[shard] for shard in shards if shard in entries]
        sources[name] = {"done": len(done_ones), "needed": len(shards), **_totals(done_ones)}
    done = sum(row["done"] for row in sources.values())
    failed = [shard for shard in failures if shard not in entries]
    blocked = planned.with_descendants(failed) - {*failed, *entries}
    return {
        "name": planned.sweep.name,
        "spec_id": planned.spec_id,
        "needed": len(wanted),
        "done": done,
        "failed": len(failed),
        "missing": len(wanted) - done - len(failed),
        "blocked": len(blocked),
        "complete": done == len(wanted) and not short,
        "short": [str(one) for one in short],
        "run": read_heartbeat(directory.files),
        "sources": sources,
        "implementation": {k: vars(v) for k, v in manifest.frozen.implementation.items()},
        "done_by": {
            name: [
                f"{source.deed} by {describe_choices(each)}"
                for each in manifest.choices(name).values()
            ]
            for name, source in planned.sweep.sources.items()
        },
        "errors": {s: failures[s].error.strip().splitlines()[-1] for s in failed},
    }


def _totals(entries: "list[LedgerEntry]") -> dict[str, Any]:
    sums = {
        name: sum(entry.count(name) for entry in entries)
        for name in ("runs", "fits", "rows", "busy_lane_steps", "all_lane_steps")
    }
    busy, lanes = sums.pop("busy_lane_steps"), sums.pop("all_lane_steps")
    return {**sums, "lanes_busy": busy / lanes if lanes else None}


def _setting(found: "StoredRun") -> dict[str, Any]:
    setting = found.setting
    return {
        "source": setting.source,
        **setting.values,
        "task": json.dumps(setting.task.model_dump(mode="json", exclude_none=True)),
        "model": json.dumps(setting.model.model_dump(mode="json")),
        "spec": json.dumps(setting.spec.model_dump(mode="json", exclude_none=True)),
    }


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, default=str))


def _span(values: Iterable[int]) -> str:
    ordered = sorted(values)
    low, high = f"{ordered[0]:,}", f"{ordered[-1]:,}"
    return low if low == high else f"{low} to {high}"


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _starting(start: "StartCost") -> Iterator[str]:
    """Say what is done once, and takes time before the results come."""
    yield (f"To compile {start.programs:,} programs takes {_duration(start.compile_seconds)} of "
           "it, less of those that were compiled before.")  # fmt: skip
    if start.trials:
        trials = f"{start.trials:,} trial{'s' if start.trials > 1 else ''}"
        yield (f"To build, test and race kernels takes {_duration(start.trial_seconds)} of it: "
               f"{trials}, which the first run makes.")  # fmt: skip


def _dear(found: "Sequence[BucketCost]") -> Iterator[str]:
    """Say what the observables that take a tenth of the time, and a second, take of it."""
    whole = sum(cost.seconds for cost in found)
    for source in dict.fromkeys(cost.source for cost in found):
        mine = [one for cost in found if cost.source == source for one in cost.observing]
        for kind, recorded in dict.fromkeys((one.kind, one.recorded) for one in mine):
            these = [one for one in mine if (one.kind, one.recorded) == (kind, recorded)]
            total = sum(one.networks * one.seconds for one in these)
            if total > max(1.0, 0.1 * whole):
                networks = sum(one.networks for one in these)
                where = " on their way" if recorded else ""
                yield (f"{source}: {kind} takes {_duration(total)} of it, at most "
                       f"{1e3 * max(one.seconds for one in these):.3g} ms for each of "
                       f"{networks:,} networks{where}.")  # fmt: skip


def _padded(found: "Sequence[BucketCost]") -> Iterator[str]:
    """Say where blocks are mostly padding."""
    for source in dict.fromkeys(cost.source for cost in found):
        worst = max((c for c in found if c.source == source), key=lambda cost: cost.padding)
        if worst.padding >= MUCH_PADDING:
            yield (f"{source}: {worst.runs:,} runs in blocks of {worst.lanes:,} lanes take the "
                   f"time of {worst.runs * worst.padding:,.0f}; without `execution.lanes` a new "
                   "sweep has narrower blocks (and other last bits).")  # fmt: skip


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _as_job() -> None:
    """Do a command as a job of a cluster: Ray ends its processes with 1, so ours is another."""
    try:
        main()
    except SystemExit as end:
        if end.code != FAILED:
            raise
        from sweep_engine.backends.ray.jobs import FAILED_IN_JOB

        sys.exit(FAILED_IN_JOB)


if __name__ == "__main__":  # where there is no script of this name
    _as_job()
