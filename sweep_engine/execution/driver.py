"""The driver: prepares the output directory, then keeps a backend busy until all is done."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

from sweep_engine.backends import Backend, LocalBackend
from sweep_engine.errors import OutputError, PlanError
from sweep_engine.execution.costs import disk_bytes
from sweep_engine.execution.loop import Loop, RunSummary
from sweep_engine.execution.observing import observe_late
from sweep_engine.execution.programs import Programs, compilation_cache
from sweep_engine.execution.progress import Display, Quiet
from sweep_engine.execution.workers import Place, open_workers, survey
from sweep_engine.planning import Plan, plan
from sweep_engine.spec import Sweep
from sweep_engine.spec.sources import DONE
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
    check_growth,
    read_shards_and_choices,
    with_stored_observables,
    write_manifest,
)

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
    directory = OutputDirectory(out)
    previous = read_shards_and_choices(directory)
    sweep = with_stored_observables(directory, sweep)
    planned = plan(sweep, previous[0] if previous else ())
    check_growth(directory, sweep)
    compilation_cache()
    frozen_before = previous.frozen if previous else None
    programs = Programs(planned, frozen_before, should_stop=should_stop)
    programs.open_all()
    _check_disk(planned, programs, directory)
    if directory.is_read_only:
        return _as_it_is(planned, directory)
    directory.create()
    with directory.lock():
        if sweep_text is not None:
            directory.files.write(SWEEP_YAML, sweep_text.encode())
        ledger = read_ledger(directory.files)
        finish_publishing(directory.files, ledger)
        discard_leftovers(directory.files, ledger)
        fits = {shard: entry.count("fits") for shard, entry in ledger.shards.items()}
        skip = _not_failed(planned, directory) if failed_only else ()
        loop = Loop(planned, directory.files, fits, skip, display or Quiet(), fail_fast)
        if (
            previous
            and loop.schedule.is_over
            and planned.buckets.keys() <= previous[1].lanes.keys()
        ):
            write_manifest(directory, Manifest(planned, previous[1]), previous)
            observe_late(directory, Manifest(planned, previous[1]))
            return loop.summary()
        with closing(make_backend()) as backend:
            here = _survey(backend, programs, display or Quiet())
            frozen = _freeze(here, previous[1] if previous else None)
            write_manifest(directory, Manifest(planned, frozen), previous)
            place = Place(directory.files, directory.files.sha256(SWEEP_JSON), here, loop.buckets)
            backend.open(open_workers, programs, frozen, place)
            summary = loop.run(backend, should_stop)
        if summary.is_complete:
            observe_late(directory, Manifest(planned, frozen))
        return summary


def _survey(backend: Backend, programs: Programs, display: Display) -> Frozen:
    """Ask a worker what decides the bits; say who does the work, where that has to be found out."""
    tried = programs.undecided()
    if tried:
        display.note(f"building and testing kernels for {len(tried)} bucket(s)")
    here: Frozen = backend.ask(survey, programs)
    for name in tried:
        choice, setting = here.implementation[name], programs.of(name).bucket.setting
        done = f"{setting.source} ({name}) is {DONE[setting.spec.kind]}"
        display.note(f"{done} by {choice.name}: {choice.reason}")
    return here


def _not_failed(planned: Plan, directory: OutputDirectory) -> set[str]:
    failed = planned.with_descendants(read_failures(directory.files))
    return {shard.id for shard in planned.shards} - failed


def fits_of_done(directory: OutputDirectory) -> dict[str, int]:
    """The acceptances of every shard in the ledger."""
    entries = read_ledger(directory.files).shards
    return {shard: entry.count("fits") for shard, entry in entries.items()}


def _freeze(chosen: Frozen, previous: Frozen | None) -> Frozen:
    if previous is None:
        return chosen
    if previous.platform != chosen.platform:
        raise OutputError(
            f"these results were begun on {previous.platform} ({previous.device_kind}), here is "
            f"{chosen.platform}: other devices give other bits; use another --out"
        )
    return Frozen(
        platform=previous.platform,
        device_kind=previous.device_kind,
        precision=previous.precision,
        implementation=chosen.implementation | previous.implementation,
        lanes=chosen.lanes | previous.lanes,
        versions=chosen.versions,
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


def _check_disk(planned: Plan, programs: Programs, directory: OutputDirectory) -> None:
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
