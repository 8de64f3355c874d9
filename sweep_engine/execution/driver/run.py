"""The driver: prepares the output directory, then keeps a backend busy until all is done.

What computes is imported where it is used: a sweep that is complete is told from its plan and its
ledger, without JAX.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweep_engine.backends import Backend, LocalBackend
from sweep_engine.errors import OutputError, PlanError
from sweep_engine.execution.driver.loop import Loop, RunSummary
from sweep_engine.execution.driver.progress import Display, Quiet
from sweep_engine.machine import settled, uncollected
from sweep_engine.planning import Plan, plan
from sweep_engine.spec import Sweep, dump_sweep
from sweep_engine.store import (
    OutputDirectory,
    discard_leftovers,
    finish_publishing,
    read_failures,
    read_ledger,
)
from sweep_engine.store.inventory import table_sizes
from sweep_engine.store.layout import SWEEP_JSON, SWEEP_YAML
from sweep_engine.store.manifest import (
    Frozen,
    Manifest,
    Previous,
    check_growth,
    read_previous,
    with_stored_observables,
    write_manifest,
)

if TYPE_CHECKING:
    from sweep_engine.execution.programs.programs import Programs

MakeBackend = Callable[[], Backend]


def choose_backend(name: Literal["local", "ray"], address: str | None = None) -> MakeBackend:
    """Say what moves jobs to workers: threads of this process, or actors of a Ray cluster.

    With Ray this process leaves the accelerator alone: JAX is told to use the CPU, which it
    heeds if it has not been used yet.

    Args:
        name: Which.
        address: Of a Ray cluster; left out, one is started on this machine for the run.
    """
    if name == "local":
        return LocalBackend

    def ray_backend() -> Backend:
        from sweep_engine.backends.ray.backend import RayBackend

        return RayBackend(address)

    import jax

    jax.config.update("jax_platforms", "cpu")
    return ray_backend


def run(
    sweep: Sweep,
    out: Path | str,
    *,
    sweep_text: str | None = None,
    make_backend: MakeBackend = LocalBackend,
    fail_fast: bool = False,
    failed_only: bool = False,
    display: Display | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunSummary:
    """Run what is missing of a sweep: start it, resume it, or find it complete.

    Args:
        sweep: What to run.
        out: The output directory: a folder, s3://bucket/prefix or gs://bucket/prefix.
        sweep_text: The sweep file as given, to be kept beside the results.
        make_backend: What moves jobs to workers.
        fail_fast: Raise at the first shard that is given up.
        failed_only: Run only what an earlier run gave up.
        display: Where progress goes.
        should_stop: Asked now and then; True ends the run, keeping what is done.

    Raises:
        SpecError: the sweep is not valid. Nothing was written.
        PlanError: it needs more disk than there is. Nothing was written.
        OutputError: the directory holds something else, or is in use.
        Interrupted: `should_stop` said so.
        ShardFailed: with `fail_fast`, a shard was given up.
    """
    prepared = prepare(sweep, out, should_stop=should_stop)
    return carry_out(
        prepared,
        sweep_text=sweep_text,
        make_backend=make_backend,
        fail_fast=fail_fast,
        failed_only=failed_only,
        display=display or Quiet(),
        should_stop=should_stop,
    )


@dataclass(frozen=True)
class Prepared:
    """A run that may begin: all that can be refused has been, and nothing was written.

    Attributes:
        directory: Where results go.
        plan: What is to be there in the end.
        previous: What is there already; None where nothing is.
        should_stop: Asked between the trials of kernels.
    """

    directory: OutputDirectory
    plan: Plan
    previous: Previous | None
    should_stop: Callable[[], bool]

    def is_frozen(self) -> bool:
        """Say whether earlier runs chose for every bucket what decides its bits."""
        return self.previous is not None and (
            self.plan.buckets.keys() <= self.previous.frozen.lanes.keys()
        )

    def is_known(self) -> bool:
        """Say whether an earlier run was for this very sweep, and found nothing to refuse in it."""
        before = self.previous
        return before is not None and dump_sweep(self.plan.sweep) == dump_sweep(before.sweep)

    @cached_property
    def programs(self) -> "Programs":
        """Open the plan's programs.

        Raises:
            SpecError: the sweep is not valid.
            PlanError: it needs more disk than there is.
        """
        with uncollected():  # of what it imports and traces next to nothing ends meanwhile
            from sweep_engine.execution.programs.programs import Programs, compilation_cache

            compilation_cache()
            frozen = self.previous.frozen if self.previous else None
            programs = Programs(self.plan, frozen, should_stop=self.should_stop)
            programs.open_all()
        _check_disk(self.plan, programs, self.directory)
        return programs


@uncollected()
def prepare(
    sweep: Sweep, out: Path | str, *, should_stop: Callable[[], bool] = lambda: False
) -> Prepared:
    """Plan a run and refuse what cannot work, writing nothing.

    The programs of a sweep that was run before are opened once something is found to be missing.

    Raises:
        SpecError: the sweep is not valid.
        PlanError: it needs more disk than there is.
        OutputError: the directory holds something else.
    """
    directory = OutputDirectory(out)
    previous = read_previous(directory)
    if previous is not None:
        # First, since the sweep file may not name observables that were added to its rows.
        sweep = with_stored_observables(previous, sweep)
    planned = plan(sweep, previous.shards, previous.ids) if previous else plan(sweep)
    if previous is not None:
        check_growth(previous, sweep, str(directory.root))
    prepared = Prepared(directory, planned, previous, should_stop)
    if not prepared.is_known():
        _ = prepared.programs
    return prepared


def carry_out(
    prepared: Prepared,
    *,
    sweep_text: str | None,
    make_backend: MakeBackend,
    fail_fast: bool,
    failed_only: bool,
    display: Display,
    should_stop: Callable[[], bool],
) -> RunSummary:
    """Do what is missing, holding the directory's lock; see `run` for arguments and errors."""
    directory, planned = prepared.directory, prepared.plan
    if directory.is_read_only:
        return _as_it_is(planned, directory)
    directory.create()
    with directory.lock():
        ledger = read_ledger(directory.files)
        # Committed files first get their names, so that what is left over can be told from them.
        finish_publishing(directory.files, ledger)
        discard_leftovers(directory.files, ledger)
        fits = {shard: entry.count("fits") for shard, entry in ledger.shards.items()}
        skip = _not_failed(planned, directory) if failed_only else ()
        loop = Loop(planned, directory.files, fits, skip, display, fail_fast)
        if prepared.previous and prepared.is_frozen() and loop.schedule.is_over:
            # Comparisons may have changed, though there is nothing to compute.
            kept = prepared.previous.frozen
            _, manifest = _write_down(prepared, prepared.previous, kept, sweep_text)
            _observe_late(directory, manifest, should_stop)
            return loop.summary()
        _ = prepared.programs  # refused before a backend starts anything
        with closing(make_backend()) as backend:
            manifest = _begin(prepared, backend, display, loop.buckets, sweep_text)
            with settled():
                summary = loop.run(backend, should_stop)
        if summary.is_done:
            _observe_late(directory, manifest, should_stop)
        return summary


def _observe_late(
    directory: OutputDirectory, manifest: Manifest, should_stop: Callable[[], bool]
) -> None:
    """Compute the observables that need all runs, where there are such."""
    if any(one.fit_source is not None for one in manifest.plan.sweep.observables):
        from sweep_engine.execution.later.observing import observe_late

        observe_late(directory, manifest, should_stop)


def _begin(
    prepared: Prepared,
    backend: Backend,
    display: Display,
    buckets: tuple[str, ...],
    sweep_text: str | None,
) -> Manifest:
    """Freeze what decides the bits, write it down, and open the workers.

    It is written before any worker opens: they look for it to know that they see the same
    directory as the driver.
    """
    from sweep_engine.execution.worker.workers import Assignment, open_workers

    files, programs = prepared.directory.files, prepared.programs
    manifest, here = _survey(prepared, backend, display, sweep_text)
    assignment = Assignment(files, files.sha256(SWEEP_JSON), here, buckets)
    backend.open(open_workers, programs, manifest.frozen, assignment)
    return manifest


@uncollected()
def _survey(
    prepared: Prepared, backend: Backend, display: Display, sweep_text: str | None
) -> tuple[Manifest, Frozen]:
    """Ask a worker what decides the bits; say who does the work, where that has to be found out.

    A trial takes seconds to minutes, so what was found is written down after each: whoever
    stops in between goes on from there.
    """
    from sweep_engine.execution.worker.workers import survey

    programs, previous = prepared.programs, prepared.previous
    groups = programs.undecided()
    tried = {name for names in groups for name in names}
    if tried:
        display.note(f"building and testing kernels for {len(tried)} bucket(s)")
    for names in groups:
        here: Frozen = backend.ask(survey, programs, names)
        previous, _ = _write_down(prepared, previous, here, sweep_text)
        choice, setting = here.implementation[names[0]], programs.of(names[0]).bucket.setting
        like = f" and {len(names) - 1} like it" if len(names) > 1 else ""
        done = f"{setting.source} ({names[0]}){like} is {setting.spec.deed}"
        display.note(f"{done} by {choice.name}: {choice.reason}")
    here = backend.ask(survey, programs, [name for name in prepared.plan.buckets
                                          if name not in tried])  # fmt: skip
    return _write_down(prepared, previous, here, sweep_text)[1], here


def _write_down(
    prepared: Prepared, previous: Previous | None, here: Frozen, sweep_text: str | None
) -> tuple[Previous, Manifest]:
    """Write what the directory is for, and the sweep file as given, known by its SHA-256.

    Returns:
        What is there now, in place of `previous`, and the same as a manifest.
    """
    directory = prepared.directory
    frozen = _freeze(here, previous.frozen if previous else None, prepared.plan)
    digest = previous.sweep_file if previous else None
    text = None if sweep_text is None else sweep_text.encode()
    if text is not None:
        digest = hashlib.sha256(text).hexdigest()
    manifest = Manifest(prepared.plan, frozen, digest)
    written = write_manifest(directory, manifest, previous)
    if text is not None:
        directory.files.write(SWEEP_YAML, text)
    return written, manifest


def _not_failed(planned: Plan, directory: OutputDirectory) -> set[str]:
    failed = planned.with_descendants(read_failures(directory.files))
    return {shard.id for shard in planned.shards} - failed


def fits_of_done(directory: OutputDirectory) -> dict[str, int]:
    """The acceptances of every shard in the ledger."""
    entries = read_ledger(directory.files).shards
    return {shard: entry.count("fits") for shard, entry in entries.items()}


def _freeze(chosen: Frozen, previous: Frozen | None, planned: Plan) -> Frozen:
    """Add what was chosen now to what was before, which stays; in the order of the plan."""
    if previous is None:
        return chosen
    if previous.platform != chosen.platform:
        raise OutputError(
            f"these results were begun on {previous.platform} ({previous.device_kind}), here is "
            f"{chosen.platform}: other devices give other bits; use another --out"
        )
    implementation = chosen.implementation | previous.implementation
    lanes = chosen.lanes | previous.lanes
    return Frozen(
        platform=previous.platform,
        device_kind=previous.device_kind,
        precision=previous.precision,
        implementation={k: implementation[k] for k in planned.buckets if k in implementation},
        lanes={k: lanes[k] for k in planned.buckets if k in lanes},
        versions=chosen.versions,
        held=previous.held,
    )


def _as_it_is(planned: Plan, directory: OutputDirectory) -> RunSummary:
    """Say how a sweep stands whose results may only be read, if it is complete."""
    loop = Loop(planned, directory.files, fits_of_done(directory), (), Quiet(), fail_fast=False)
    summary = loop.summary()
    if not loop.schedule.is_over:
        raise OutputError(
            f"{directory.root} may only be read, and {summary.missing:,} shards are missing: let "
            "this user write there, or go on in a copy"
        )
    return summary


def _check_disk(planned: Plan, programs: "Programs", directory: OutputDirectory) -> None:
    from sweep_engine.execution.programs.costs import disk_bytes

    free = directory.free_bytes()
    if free is None:
        return
    wanted = disk_bytes(planned, programs) - sum(table_sizes(directory.files).values())
    if wanted > free:
        raise PlanError(
            f"the sweep needs up to {_size(wanted)} of disk, {directory.root} has "
            f"{_size(free)} free: keep fewer rows (`keep`, `store: {{params: fit}}`), "
            "ask for fewer runs, or give another --out"
        )


def _size(count: float) -> str:
    """Say a number of bytes so that two that differ do not read alike.

    >>> _size(61_440.0), _size(2.5e9)
    ('61.4 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
