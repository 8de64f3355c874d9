"""The schedule: which shard is next. Pure: events come in, jobs come out, nothing is done.

Shards run in plan order. A shard whose code raises is tried again, up to three times in
all, behind the others. In a setting that stops at the k-th acceptance a shard waits for the
one before it, so that counting goes on in draw order; once k are reached the rest of the
setting's shards are not needed. A shard that starts from the results of others waits for them;
it stays behind where one of them is given up.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sweep_engine.backends import Job
from sweep_engine.planning import Plan, Shard

MAX_ATTEMPTS = 3


@dataclass
class _Chain:
    """The shards of a setting that stops at the k-th acceptance, in draw order."""

    target: int
    shards: deque[str]
    accepted: int = 0

    @property
    def missing(self) -> int:
        return self.target - self.accepted


@dataclass
class Schedule:
    """What is to do, in flight, done and failed.

    Attributes:
        queue: Shards that may start, in order.
        in_flight: Shards that have started.
        done: Shards that are in the ledger.
        failed: Shards that were given up.
        skipped: Shards that are not to be tried now.
        not_needed: Shards behind the k-th acceptance.
        waits_for: By shard that waits for results of others: those that are not there yet.
    """

    queue: deque[str] = field(default_factory=deque)
    in_flight: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    not_needed: set[str] = field(default_factory=set)
    waits_for: dict[str, set[str]] = field(default_factory=dict)
    _children: dict[str, list[str]] = field(default_factory=dict)
    _chains: dict[str, _Chain] = field(default_factory=dict)
    _attempts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, plan: Plan, fits: Mapping[str, int], skip: Iterable[str] = ()) -> "Schedule":
        """Make the schedule of a plan.

        Args:
            plan: The plan.
            fits: The number of acceptances of every shard that is done.
            skip: Shards that are not to be tried now.
        """
        schedule = cls(skipped=set(skip))
        chains: dict[int, _Chain] = {}
        for shard in plan.shards:
            target = plan.accepted(shard)
            if target is None:
                schedule._take_up(shard.id, shard.id in fits)
                continue
            setting = shard.pieces[0][0]
            chain = chains.setdefault(setting, _Chain(target, deque()))
            chain.shards.append(shard.id)
            schedule._chains[shard.id] = chain
        for chain in chains.values():
            schedule._start_chain(chain, fits)
        order = {shard.id: i for i, shard in enumerate(plan.shards)}
        schedule.queue = deque(sorted(schedule.queue, key=order.__getitem__))
        schedule._hold_back({shard.id: plan.parents(shard) for shard in plan.shards})
        return schedule

    def _hold_back(self, parents: Mapping[str, Iterable[str]]) -> None:
        """Take out of the queue what waits for results of other shards."""
        settled = self.done | self.not_needed
        for shard in self.queue:
            if missing := set(parents[shard]) - settled:
                self.waits_for[shard] = missing
                for parent in missing:
                    self._children.setdefault(parent, []).append(shard)
        self.queue = deque(shard for shard in self.queue if shard not in self.waits_for)

    def _settled(self, shard: str) -> None:
        """Let start what waited for a shard that is done, or not needed, and for nothing else."""
        for child in self._children.pop(shard, ()):
            self.waits_for[child].discard(shard)
            if not self.waits_for[child]:
                del self.waits_for[child]
                self.queue.append(child)

    def _take_up(self, shard: str, done: bool) -> None:
        if done:
            self.done.add(shard)
        elif shard not in self.skipped:
            self.queue.append(shard)

    def _start_chain(self, chain: _Chain, fits: Mapping[str, int]) -> None:
        while chain.shards and chain.shards[0] in fits:
            shard = chain.shards.popleft()
            self.done.add(shard)
            chain.accepted += fits[shard]
        self._continue_chain(chain)

    def _continue_chain(self, chain: _Chain) -> None:
        if chain.missing <= 0:
            self.not_needed.update(chain.shards)
            for shard in chain.shards:
                self._settled(shard)
            chain.shards.clear()
        elif chain.shards:
            self._take_up(chain.shards.popleft(), done=False)

    def next_job(self) -> Job | None:
        """Start the next shard; None when none can start now."""
        if not self.queue:
            return None
        shard = self.queue.popleft()
        self.in_flight.add(shard)
        chain = self._chains.get(shard)
        return Job(shard, chain.missing if chain else None)

    def finished(self, shard: str, fits: int) -> None:
        """A shard is in the ledger, with so many acceptances."""
        self.in_flight.discard(shard)
        self.done.add(shard)
        self._settled(shard)
        if chain := self._chains.get(shard):
            chain.accepted += fits
            self._continue_chain(chain)

    def raised(self, shard: str) -> bool:
        """A shard's code raised. Returns whether it is given up."""
        self.in_flight.discard(shard)
        self._attempts[shard] += 1
        if self._attempts[shard] < MAX_ATTEMPTS:
            self.queue.append(shard)
            return False
        self.failed.add(shard)
        return True

    @property
    def waiting(self) -> int:
        """Shards of chains that cannot start yet."""
        return sum(
            len(chain.shards) for chain in {id(c): c for c in self._chains.values()}.values()
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to start or in flight."""
        return not self.queue and not self.in_flight


def needed(plan: Plan, fits: Mapping[str, int]) -> tuple[list[Shard], list[Shard]]:
    """Split a plan's shards into (needed, not needed) as far as the done ones tell."""
    schedule = Schedule.of(plan, fits)
    return (
        [shard for shard in plan.shards if shard.id not in schedule.not_needed],
        [shard for shard in plan.shards if shard.id in schedule.not_needed],
    )
