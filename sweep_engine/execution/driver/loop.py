"""The supervising loop: it owns a backend and follows the schedule until all is done."""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sweep_engine.backends import Backend, JobOutcome, LocalBackend
from sweep_engine.errors import Interrupted, ShardFailed, StorageFailed, explain
from sweep_engine.execution.driver.heartbeat import Event, Heartbeat
from sweep_engine.execution.driver.progress import Display, Standing
from sweep_engine.execution.driver.schedule import MAX_ATTEMPTS, MAX_LOST, Schedule
from sweep_engine.execution.driver.shortfalls import Shortfall, shortfalls
from sweep_engine.planning import Plan
from sweep_engine.store import Files, clear_failure, record_failure

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Attributes:
        plan: The plan.
        done: Shards in the ledger.
        failed: Shards given up.
        missing: Shards neither done nor given up.
        blocked: Those of them that wait for results of others that were given up or skipped.
        short: Settings of which all is done, with fewer acceptances than were asked for.
        seconds: Wall time.
        computed: Shards that this run committed.
        first_result_seconds: From the start until the first of them was; None without any.
    """

    plan: Plan
    done: int
    failed: int
    missing: int
    seconds: float
    computed: int
    first_result_seconds: float | None = None
    blocked: int = 0
    short: tuple[Shortfall, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether every needed shard is done."""
        return self.failed == self.missing == 0

    @property
    def is_complete(self) -> bool:
        """Whether all is done, and every request was met."""
        return self.is_done and not self.short


class Loop:
    """One run.

    Args:
        plan: The plan.
        files: The output directory.
        fits: The acceptances of every shard that is done.
        skip: Shards that are not to be tried now.
        display: Where progress goes.
        fail_fast: Raise at the first shard that is given up.
    """

    def __init__(
        self,
        plan: Plan,
        files: Files,
        fits: Mapping[str, int],
        skip: Iterable[str],
        display: Display,
        fail_fast: bool,
    ) -> None:
        self.schedule = Schedule.of(plan, fits, skip)
        self._plan = plan
        self._files = files
        self._backend: Backend = LocalBackend()
        self._display = display
        self._fail_fast = fail_fast
        self._heartbeat = Heartbeat(files)
        self._began = time.monotonic()
        self._computed = 0
        self._first_seconds: float | None = None
        self._resumed_runs = self.schedule.done_runs
        self._busy_steps = self._all_steps = 0

    @property
    def buckets(self) -> tuple[str, ...]:
        """Those with shards to do, in the plan's order."""
        done = self.schedule.done.keys() | self.schedule.not_needed | self.schedule.skipped
        return tuple(dict.fromkeys(s.bucket for s in self._plan.shards if s.id not in done))

    def run(self, backend: Backend, should_stop: Callable[[], bool]) -> RunSummary:
        """Run what the schedule says on a backend whose workers are open, and close it.

        Raises:
            Interrupted: `should_stop` said so while something was missing, the cluster is gone, or
                nothing can be stored.
            ShardFailed: with `fail_fast`, a shard was given up.
        """
        self._backend = backend
        ended = "stopped"
        try:
            while not self.schedule.is_over:
                self._step()
                if should_stop() and not self.schedule.is_over:
                    raise Interrupted("interrupted; what is done is kept, run again to go on")
            ended = "ended"
        except OSError as error:
            raise Interrupted(
                f"{explain(error)}: what is done is kept, run again to go on"
            ) from error
        finally:
            # Twice: whoever asked this process to end may not wait for the workers to end.
            self._heartbeat.last(self._standing(), ended)
            self._backend.close()
            self._heartbeat.last(self._standing(), ended)
            self._display.close()
        return self.summary()

    def _step(self) -> None:
        self._fill()
        for outcome in self._backend.wait(POLL_SECONDS):
            self._settle(outcome)
        for worker in self._backend.silent():
            if self.schedule.stalled(worker):
                self._note("silent", worker, "nothing is heard of it")
        for worker in self.schedule.overdue(time.monotonic()):
            self._note("overdue", worker, "it should have ended a shard long ago")
        for chain in self.schedule.barren():
            self._display.note(
                f"{chain.source}: no fit in {chain.draws:,} draws, so P(fit) is below "
                f"{3 / chain.draws:.0e} (95 % sure); {chain.target:,} may never be found: use "
                "splitting, or an acceptance rule that asks for less"
            )
        standing = self._standing()
        self._display.show(standing)
        self._heartbeat.beat(standing)

    def _fill(self) -> None:
        if not self.schedule.may_start:
            return
        for worker in self._backend.vacancies():
            job = self.schedule.next_job(worker, time.monotonic())
            if job is not None:
                self._backend.submit(job, worker)

    def _settle(self, outcome: JobOutcome) -> None:
        shard, worker, now = outcome.job.shard, outcome.worker, time.monotonic()
        if outcome.receipt is not None:
            self._finished(shard, worker, outcome.receipt, now)
        elif isinstance(outcome.error, Interrupted):
            self.schedule.interrupted(shard, worker, now)
        elif outcome.lost:
            self._lost(worker, outcome.error)
        elif self.schedule.raised(shard, worker, now):
            self._give_up(shard, MAX_ATTEMPTS, outcome.error)

    def _finished(self, shard: str, worker: str, receipt: Mapping[str, float], now: float) -> None:
        is_news = self.schedule.finished(
            shard,
            int(receipt["fits"]),
            worker,
            now,
            seconds=receipt["work_seconds"],
            compile_seconds=receipt["compile_seconds"],
        )
        if is_news:
            clear_failure(self._files, shard)
            self._computed += 1
            self._first_seconds = self._first_seconds or time.monotonic() - self._began
            self._busy_steps += int(receipt["busy_lane_steps"])
            self._all_steps += int(receipt["all_lane_steps"])

    def _lost(self, worker: str, error: BaseException | None) -> None:
        if self.schedule.shards_of(worker):
            self._note("lost", worker, str(error).strip().splitlines()[0])
        for shard in self.schedule.lost(worker):
            self._give_up(shard, MAX_LOST, error)

    def _note(self, what: str, worker: str, why: str) -> None:
        shards = self.schedule.shards_of(worker)
        self._heartbeat.note(Event(time.time(), what, worker, shards))
        self._display.note(f"worker {worker} is {what} ({why}): its shards go to others")

    def _give_up(self, shard: str, attempts: int, error: BaseException | None) -> None:
        if isinstance(error, StorageFailed):
            raise error  # no shard can be committed now, and this one is as good as any
        text = "".join(traceback.format_exception(error))
        record_failure(self._files, shard, attempts, text)
        if self._fail_fast:
            raise ShardFailed(f"shard {shard} failed {attempts} times: {error}") from error

    def _standing(self) -> Standing:
        schedule = self.schedule
        runs = schedule.done_runs + self._backend.progress()
        accepted, target = schedule.acceptances
        return Standing(
            shards=len(schedule.done),
            all_shards=len(self._plan.shards) - len(schedule.not_needed) - schedule.waiting,
            runs=min(runs, schedule.known_runs),
            all_runs=schedule.known_runs,
            further_runs=schedule.further_runs,
            accepted=accepted,
            accepted_of=target,
            failed=len(schedule.failed),
            seconds=time.monotonic() - self._began,
            resumed_runs=self._resumed_runs,
            in_flight=len(schedule.in_flight),
            workers=self._backend.num_workers,
            lanes_busy=self._busy_steps / self._all_steps if self._all_steps else None,
            first_result_seconds=self._first_seconds,
        )

    def summary(self) -> RunSummary:
        """Say how things stand."""
        schedule = self.schedule
        done, failed = len(schedule.done), len(schedule.failed)
        return RunSummary(
            plan=self._plan,
            done=done,
            failed=failed,
            missing=len(self._plan.shards) - len(schedule.not_needed) - done - failed,
            seconds=time.monotonic() - self._began,
            computed=self._computed,
            first_result_seconds=self._first_seconds,
            blocked=len(schedule.waits_for),
            short=tuple(shortfalls(self._plan, schedule.done)),
        )
