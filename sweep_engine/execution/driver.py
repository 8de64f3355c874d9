"""The driver: prepares the output directory, then keeps a backend busy until all is done."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sweep_engine.backends import Backend, LocalBackend, Outcome, Worker
from sweep_engine.errors import Interrupted, OutputError, PlanError, ShardFailed
from sweep_engine.execution.costs import disk_bytes
from sweep_engine.execution.programs import Programs, compilation_cache, num_workers
from sweep_engine.execution.progress import Display, Quiet, Standing
from sweep_engine.execution.schedule import Schedule, needed
from sweep_engine.execution.worker import ShardWorker
from sweep_engine.planning import Plan, plan
from sweep_engine.spec import Sweep
from sweep_engine.store import (
    OutputDirectory,
    clear_failure,
    discard_leftovers,
    finish_publishing,
    read_failures,
    read_ledger,
    record_failure,
)
from sweep_engine.store.inventory import table_sizes
from sweep_engine.store.layout import SWEEP_YAML
from sweep_engine.store.manifest import (
    Frozen,
    Manifest,
    check_growth,
    read_shards_and_choices,
    write_manifest,
)

POLL_SECONDS = 0.2

MakeBackend = Callable[[Worker], Backend]


def local_backend(worker: Worker) -> Backend:
    """The backend of one machine, with as many workers as it should have."""
    return LocalBackend(worker, num_workers())


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Attributes:
        plan: The plan.
        done: Shards in the ledger.
        failed: Shards given up.
        missing: Shards neither done nor given up.
        seconds: Wall time.
        computed: Shards that this run committed.
    """

    plan: Plan
    done: int
    failed: int
    missing: int
    seconds: float
    computed: int

    @property
    def is_complete(self) -> bool:
        """Whether every needed shard is done."""
        return self.failed == self.missing == 0


def run(
    sweep: Sweep,
    out: Path | str,
    *,
    sweep_text: str | None = None,
    make_backend: MakeBackend = local_backend,
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
    planned = plan(sweep, previous[0] if previous else ())
    check_growth(directory, sweep)
    compilation_cache()
    programs = Programs(planned, previous[1].lanes if previous else None)
    programs.open_all()
    _check_disk(planned, programs, directory)
    directory.create()
    with directory.lock():
        frozen = _freeze(programs, previous[1] if previous else None)
        write_manifest(directory, Manifest(planned, frozen), previous)
        if sweep_text is not None:
            directory.files.write(SWEEP_YAML, sweep_text.encode())
        ledger = read_ledger(directory.files)
        finish_publishing(directory.files, ledger)
        discard_leftovers(directory.files, ledger)
        worker = ShardWorker(planned, frozen, programs, directory.files)
        loop = _Loop(planned, directory, display or Quiet(), fail_fast, should_stop)
        return loop.run(make_backend(worker), failed_only=failed_only)


def fits_of_done(directory: OutputDirectory) -> dict[str, int]:
    """The acceptances of every shard in the ledger."""
    entries = read_ledger(directory.files).shards
    return {shard: entry.count("fits") for shard, entry in entries.items()}


def _freeze(programs: Programs, previous: Frozen | None) -> Frozen:
    chosen = programs.freeze()
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
        implementation=previous.implementation,
        lanes=chosen.lanes | previous.lanes,
        versions=chosen.versions,
    )


def _check_disk(planned: Plan, programs: Programs, directory: OutputDirectory) -> None:
    free = directory.free_bytes()
    if free is None:
        return
    wanted = disk_bytes(planned, programs) - sum(table_sizes(directory.files).values())
    if wanted > free:
        raise PlanError(
            f"the sweep needs up to {wanted / 1e9:,.1f} GB of disk, {directory.root} has "
            f"{free / 1e9:,.1f} GB free: keep fewer rows (`keep`, `store: {{params: fit}}`), "
            "ask for fewer runs, or give another --out"
        )


@dataclass
class _Loop:
    """The supervising loop of one run."""

    plan: Plan
    directory: OutputDirectory
    display: Display
    fail_fast: bool
    should_stop: Callable[[], bool]
    began: float = field(default_factory=time.monotonic)
    computed: int = 0
    runs: int = 0
    resumed: int = 0

    def run(self, backend: Backend, *, failed_only: bool) -> RunSummary:
        fits = fits_of_done(self.directory)
        schedule = Schedule.of(self.plan, fits, self._not_failed() if failed_only else ())
        self.runs = self.resumed = sum(s.num_runs for s in self.plan.shards if s.id in fits)
        try:
            while not schedule.is_over:
                self._fill(backend, schedule)
                for outcome in backend.wait(POLL_SECONDS):
                    self._settle(outcome, schedule)
                self.runs += backend.progress()
                self.display.show(self._standing(schedule))
                if self.should_stop():
                    raise Interrupted("interrupted; what is done is kept, run again to go on")
        finally:
            backend.close()
            self.display.close()
        return self._summary(schedule)

    def _not_failed(self) -> set[str]:
        return {s.id for s in self.plan.shards} - read_failures(self.directory.files).keys()

    def _fill(self, backend: Backend, schedule: Schedule) -> None:
        while len(schedule.in_flight) < backend.capacity:
            job = schedule.next_job()
            if job is None:
                return
            backend.submit(job)

    def _settle(self, outcome: Outcome, schedule: Schedule) -> None:
        shard = outcome.job.shard
        if outcome.receipt is not None:
            schedule.finished(shard, int(outcome.receipt["fits"]))
            clear_failure(self.directory.files, shard)
            self.computed += 1
            return
        error = outcome.error
        assert error is not None
        if isinstance(error, Interrupted):
            schedule.in_flight.discard(shard)
            return
        if schedule.raised(shard):
            text = "".join(traceback.format_exception(error))
            record_failure(self.directory.files, shard, 3, text)
            if self.fail_fast:
                raise ShardFailed(f"shard {shard} failed three times: {error}") from error

    def _standing(self, schedule: Schedule) -> Standing:
        # A setting that counts acceptances will need far fewer draws than it may take.
        sure = [s for s in self.plan.shards if s.id not in schedule.not_needed]
        open_ended = schedule.waiting
        total = sum(s.num_runs for s in sure if self.plan.accepted(s) is None)
        counted = sum(
            s.num_runs for s in sure
            if self.plan.accepted(s) is not None and s.id in schedule.done | schedule.in_flight
        )  # fmt: skip
        return Standing(
            shards=len(schedule.done),
            all_shards=len(sure) - open_ended,
            runs=self.runs,
            all_runs=max(total + counted, self.runs),
            failed=len(schedule.failed),
            seconds=time.monotonic() - self.began,
            resumed_runs=self.resumed,
        )

    def _summary(self, schedule: Schedule) -> RunSummary:
        wanted, _ = needed(self.plan, fits_of_done(self.directory))
        done = len(schedule.done)
        return RunSummary(
            plan=self.plan,
            done=done,
            failed=len(schedule.failed),
            missing=len(wanted) - done - len(schedule.failed),
            seconds=time.monotonic() - self.began,
            computed=self.computed,
        )
