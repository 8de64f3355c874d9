"""The schedule: which shard is next, and for whom. Pure: events come in, jobs come out.

Shards run in plan order, and a worker stays with a bucket, so that it compiles few programs. A
shard whose code raises is tried again, up to three times in all, behind the others. A shard
whose worker went away is tried again before the others, and that is not counted against it.

A worker that has jobs and has ended none for too long is *overdue*: its shards are given to
others as well, and it gets no further job before it has ended one. Whoever commits a shard
first has done it; what the other does later changes nothing.

In a setting that stops at the k-th acceptance a shard waits for the one before it, so that
counting goes on in draw order; once k are reached the rest of the setting's shards are not
needed. A shard that starts from the results of others waits for them; it stays behind where one
of them is given up.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from sweep_engine.backends import Job
from sweep_engine.execution.driver.chains import Chain
from sweep_engine.execution.driver.ready import Ready
from sweep_engine.planning import Plan, Shard

MAX_ATTEMPTS = 3

MAX_LOST = 10
"""Workers lost while they ran one shard, before it is held to be what kills them."""

OVERDUE_FACTOR = 3.0
OVERDUE_SECONDS = 30.0

COMPILE_SECONDS = 60.0
"""What a worker's first shard of a bucket may take longer, or 3 times the longest compilation."""

RECHECK_SECONDS = 5.0
"""How soon a worker is looked at again whose deadline may have moved."""

REMEMBERED = 99
"""Durations of a source's last shards that make its median."""


@dataclass
class _Durations:
    """How long the shards of a source took."""

    last: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _median: float | None = None

    def add(self, seconds: float) -> None:
        self.last.append(seconds)
        self._median = None

    @property
    def median(self) -> float | None:
        if self._median is None and self.last:
            self._median = median(self.last)
        return self._median


@dataclass
class _Worker:
    """What a worker has: shards in the order in which it got them, and since when it is at it."""

    shards: dict[str, None] = field(default_factory=dict)
    since: float = 0.0
    bucket: str | None = None
    compiled: set[str] = field(default_factory=set)
    is_overdue: bool = False
    is_watched: bool = False


class Schedule:
    """What is to do, in flight, done and failed.

    Attributes:
        in_flight: Shards that have started and are neither done nor given up, with the workers
            that have them.
        done: Shards that are in the ledger, with their acceptances.
        failed: Shards that were given up.
        skipped: Shards that are not to be tried now.
        not_needed: Shards behind the k-th acceptance.
        waits_for: By shard that waits for results of others: those that are not there yet.
        waiting: How many shards of chains cannot start yet.
        known_runs: Runs of all shards that are known to be needed.
        done_runs: Runs of the shards that are done.
    """

    def __init__(
        self,
        shards: Iterable[Shard],
        skip: Iterable[str] = (),
        parents: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.in_flight: dict[str, set[str]] = {}
        self.done: dict[str, int] = {}
        self.failed: set[str] = set()
        self.skipped = set(skip)
        self.not_needed: set[str] = set()
        self.waits_for: dict[str, set[str]] = {}
        self._parents = parents or {}
        self._children: dict[str, list[str]] = {}
        self.waiting = self.known_runs = self.done_runs = 0
        self._shards = {shard.id: shard for shard in shards}
        self._ready = Ready(shard.bucket for shard in self._shards.values())
        self._first: deque[str] = deque()
        self._again: deque[str] = deque()
        self._chains: dict[str, Chain] = {}
        self._counting: list[Chain] = []
        self._attempts: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()
        self._workers: dict[str, _Worker] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._durations: dict[str, _Durations] = {}
        self._compile_seconds = COMPILE_SECONDS / OVERDUE_FACTOR

    @classmethod
    def of(cls, plan: Plan, fits: Mapping[str, int], skip: Iterable[str] = ()) -> "Schedule":
        """Make the schedule of a plan.

        Args:
            plan: The plan.
            fits: The number of acceptances of every shard that is done.
            skip: Shards that are not to be tried now.
        """
        parents = {shard.id: needs for shard in plan.shards if (needs := plan.parents(shard))}
        schedule = cls(plan.shards, skip, parents)
        chains: dict[int, Chain] = {}
        for shard in plan.shards:
            target = plan.accepted(shard)
            if target is None:
                schedule._take_up(shard.id, fits.get(shard.id))
                continue
            setting = shard.pieces[0][0]
            chain = chains.setdefault(setting, Chain(shard.source, target, deque()))
            chain.shards.append(shard.id)
            chain.waiting += shard.num_runs
            schedule._chains[shard.id] = chain
        schedule._counting = list(chains.values())
        for chain in schedule._counting:
            schedule._start_chain(chain, fits)
        return schedule

    # --- what may start --------------------------------------------------------------------

    def _take_up(self, shard: str, fits: int | None = None) -> None:
        """A shard is needed: it is done, with so many acceptances, or it may start."""
        self.known_runs += self._shards[shard].num_runs
        if fits is not None:
            self._enter(shard, fits)
        elif shard not in self.skipped:
            self._admit(shard)

    def _admit(self, shard: str) -> None:
        """A shard may start, once the results of others that it needs are there."""
        needs = self._parents.get(shard, ())
        missing = {one for one in needs if one not in self.done and one not in self.not_needed}
        if not missing:
            self._ready.add(self._shards[shard].bucket, shard)
            return
        self.waits_for[shard] = missing
        for parent in missing:
            self._children.setdefault(parent, []).append(shard)

    def _enter(self, shard: str, fits: int) -> None:
        self.done[shard] = fits
        self.done_runs += self._shards[shard].num_runs
        self._settled(shard)

    def _settled(self, shard: str) -> None:
        """Let start what waited for a shard that is done, or not needed, and for nothing else."""
        for child in self._children.pop(shard, ()):
            self.waits_for[child].discard(shard)
            if not self.waits_for[child]:
                del self.waits_for[child]
                self._ready.add(self._shards[child].bucket, child)

    def _start_chain(self, chain: Chain, fits: Mapping[str, int]) -> None:
        self.waiting += len(chain.shards)
        while chain.shards and chain.shards[0] in fits:
            shard = self._next_link(chain)
            self._take_up(shard, fits[shard])
            chain.count(self._shards[shard].num_runs, fits[shard])
        self._continue_chain(chain)

    def _continue_chain(self, chain: Chain) -> None:
        if chain.missing <= 0:
            self.not_needed.update(chain.shards)
            self.waiting -= len(chain.shards)
            for shard in chain.shards:
                self._settled(shard)
            chain.shards.clear()
            chain.waiting = 0
        elif chain.shards:
            self._take_up(self._next_link(chain))

    def _next_link(self, chain: Chain) -> str:
        self.waiting -= 1
        shard = chain.shards.popleft()
        chain.begin(self._shards[shard].num_runs)
        return shard

    @property
    def may_start(self) -> bool:
        """Whether there may be a job for some worker."""
        for shards in (self._first, self._again):
            while shards and not self._may_be_given(shards[0]):
                shards.popleft()
        return bool(self._first or len(self._ready) or self._again)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to start or in flight."""
        return not self.in_flight and not self.may_start

    # --- what settings that count acceptances may still need ---------------------------------

    @property
    def further_runs(self) -> float | None:
        """Draws expected beyond `known_runs`; None where a setting has no acceptance yet."""
        expected = [chain.further_draws for chain in self._counting]
        return None if None in expected else sum(filter(None, expected))

    @property
    def acceptances(self) -> tuple[int, int]:
        """Acceptances that were found, and that were asked for."""
        found = sum(min(chain.accepted, chain.target) for chain in self._counting)
        return found, sum(chain.target for chain in self._counting)

    def barren(self) -> list[Chain]:
        """Find the settings that turned out to have no fit in many draws."""
        found = [chain for chain in self._counting if chain.is_barren and not chain.is_told]
        for chain in found:
            chain.is_told = True
        return found

    # --- jobs ------------------------------------------------------------------------------

    def next_job(self, worker: str = "", now: float = 0.0) -> Job | None:
        """Start the next shard; None when this worker can start none now."""
        state = self._workers.setdefault(worker, _Worker())
        if state.is_overdue:
            return None
        shard = self._pick(state)
        if shard is None:
            return None
        if not state.shards:
            state.since = now
        state.shards[shard] = None
        self.in_flight.setdefault(shard, set()).add(worker)
        self._watch(worker, state, now)
        chain = self._chains.get(shard)
        return Job(shard, chain.missing if chain else None)

    def _pick(self, worker: _Worker) -> str | None:
        return (
            self._pick_from(self._first, worker)
            or self._pick_ready(worker)
            or self._pick_from(self._again, worker)
        )

    def _pick_from(self, shards: deque[str], worker: _Worker) -> str | None:
        """A shard that was given out before; the worker does not move to its bucket."""
        passed_over: list[str] = []
        found = None
        while shards and found is None:
            shard = shards.popleft()
            if self._may_be_given(shard):
                if shard in worker.shards:
                    passed_over.append(shard)
                else:
                    found = shard
        shards.extendleft(reversed(passed_over))
        return found

    def _may_be_given(self, shard: str) -> bool:
        """Whether a shard that was given out before may be given out again."""
        holders = self.in_flight.get(shard, ())
        return self._is_open(shard) and all(self._workers[name].is_overdue for name in holders)

    def _is_open(self, shard: str) -> bool:
        return shard not in self.done and shard not in self.failed

    def _pick_ready(self, worker: _Worker) -> str | None:
        taken = self._ready.take(worker.bucket)
        if taken is None:
            return None
        worker.bucket, shard = taken
        return shard

    # --- events ----------------------------------------------------------------------------

    def finished(
        self,
        shard: str,
        fits: int,
        worker: str = "",
        now: float = 0.0,
        *,
        seconds: float | None = None,
        compile_seconds: float = 0.0,
    ) -> bool:
        """A shard is in the ledger, with so many acceptances. Returns whether that is news.

        Args:
            shard: Its id.
            fits: Its acceptances.
            worker: Who says so.
            now: When.
            seconds: What it took, compilation not counted.
            compile_seconds: What compilation took.
        """
        state = self._ended(shard, worker, now)
        bucket, source = self._shards[shard].bucket, self._shards[shard].source
        if seconds is not None:
            self._durations.setdefault(source, _Durations()).add(seconds)
        self._compile_seconds = max(self._compile_seconds, compile_seconds)
        if state is not None:
            state.compiled.add(bucket)
        if shard in self.done:
            return False
        self.in_flight.pop(shard, None)
        self.failed.discard(shard)
        self._enter(shard, fits)
        if chain := self._chains.get(shard):
            chain.count(self._shards[shard].num_runs, fits)
            self._continue_chain(chain)
        return True

    def raised(self, shard: str, worker: str = "", now: float = 0.0) -> bool:
        """A shard's code raised. Returns whether it is given up."""
        self._ended(shard, worker, now)
        if not self._is_open(shard):
            return False
        self._attempts[shard] += 1
        if self._attempts[shard] >= MAX_ATTEMPTS:
            self._give_up(shard)
            return True
        self._take_back(shard, worker, self._again)
        return False

    def lost(self, worker: str) -> list[str]:
        """A worker went away with all it had. Returns the shards that are given up."""
        state = self._workers.pop(worker, None)
        if state is None:
            return []
        self._ready.leave(state.bucket)
        given_up = []
        for i, shard in enumerate(state.shards):
            if not self._is_open(shard):
                continue
            # It worked on the first; the others stood in line.
            self._losses[shard] += i == 0
            if self._losses[shard] >= MAX_LOST:
                self._give_up(shard)
                given_up.append(shard)
            else:
                self._take_back(shard, worker, self._first)
        return given_up

    def interrupted(self, shard: str, worker: str = "", now: float = 0.0) -> None:
        """A job ended because it was asked to."""
        self._ended(shard, worker, now)
        self._release(shard, worker)

    def overdue(self, now: float) -> list[str]:
        """Find the workers that became overdue; others get their shards as well."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, name = heapq.heappop(self._deadlines)
            state = self._workers.get(name)
            if state is None:
                continue
            state.is_watched = False
            if not state.shards or state.is_overdue:
                continue
            if now < state.since + self._allowance(state):
                self._watch(name, state, now)
            else:
                self.stalled(name)
                found.append(name)
        return found

    def stalled(self, worker: str) -> bool:
        """A worker is overdue, or has fallen silent: others get its shards. Is that news?"""
        state = self._workers.get(worker)
        if state is None or state.is_overdue or not state.shards:
            return False
        state.is_overdue = True
        self._first.extend(shard for shard in state.shards if self._may_be_given(shard))
        return True

    def shards_of(self, worker: str) -> list[str]:
        """What a worker has."""
        state = self._workers.get(worker)
        return list(state.shards) if state else []

    def _ended(self, shard: str, worker: str, now: float) -> _Worker | None:
        state = self._workers.get(worker)
        if state is not None:
            state.shards.pop(shard, None)
            state.since = now
            state.is_overdue = False
            if state.shards:
                self._watch(worker, state, now)
        return state

    def _take_back(self, shard: str, worker: str, shards: deque[str]) -> None:
        """A worker no longer has a shard: others may, unless one is at it that is not overdue."""
        self._release(shard, worker)
        if self._may_be_given(shard):
            shards.append(shard)

    def _release(self, shard: str, worker: str) -> None:
        holders = self.in_flight.get(shard, set())
        holders.discard(worker)
        if not holders:
            self.in_flight.pop(shard, None)

    def _give_up(self, shard: str) -> None:
        self.in_flight.pop(shard, None)
        self.failed.add(shard)

    # --- deadlines -------------------------------------------------------------------------

    def _watch(self, name: str, worker: _Worker, now: float) -> None:
        if not worker.is_watched:
            worker.is_watched = True
            due = min(worker.since + self._allowance(worker), now + RECHECK_SECONDS)
            heapq.heappush(self._deadlines, (max(due, now), name))

    def _allowance(self, worker: _Worker) -> float:
        """Seconds in which a worker should end the shard that it is at.

        Every further worker that has the same shard doubles it, so that a shard that is
        merely long is not given to all.
        """
        shard = next(iter(worker.shards))
        source, bucket = self._shards[shard].source, self._shards[shard].bucket
        typical = self._durations[source].median if source in self._durations else None
        if typical is None:
            return float("inf")
        allowed = max(OVERDUE_FACTOR * typical, OVERDUE_SECONDS)
        if bucket not in worker.compiled:
            allowed += OVERDUE_FACTOR * self._compile_seconds
        return allowed * 2.0 ** max(0, len(self.in_flight.get(shard, ())) - 1)


def needed(plan: Plan, fits: Mapping[str, int]) -> tuple[list[Shard], list[Shard]]:
    """Split a plan's shards into (needed, not needed) as far as the done ones tell."""
    schedule = Schedule.of(plan, fits)
    return (
        [shard for shard in plan.shards if shard.id not in schedule.not_needed],
        [shard for shard in plan.shards if shard.id in schedule.not_needed],
    )
