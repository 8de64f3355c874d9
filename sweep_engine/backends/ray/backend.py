"""The Ray backend: one long-lived actor a device (a *host*), supervised by the driver's thread.

Ray restarts nothing here. A host that goes away is replaced, wherever there is room, and its
jobs come back as lost; what else is to be done about them is the schedule's business. A host
that is frozen is not noticed by Ray for minutes: it is *silent*, and gets no jobs meanwhile.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep_engine.backends.backend import CORES, Answer, Job, JobOutcome, OpenWorkers
from sweep_engine.backends.ray import door
from sweep_engine.backends.ray.door import Handle, Ref
from sweep_engine.backends.ray.host import Reply
from sweep_engine.backends.ray.roll import NODES_SECONDS, Roll, WorkerPlace
from sweep_engine.errors import ClusterError, WorkerLost

LOOK_SECONDS = 1.0
"""How often a host is asked for its progress; less often when there are many."""

HOSTS_PER_SECOND = 100
"""Hosts asked in a second, at most."""

SILENT_SECONDS = 30.0
"""A host that has not answered for so long is frozen, or cut off."""

ASK_SECONDS = 900.0
"""So long may a cluster take to have a place for the first host."""

CLOSE_SECONDS = 5.0
"""So long may jobs in flight take to end when they are asked to."""

RETRY_SECONDS = (1.0, 60.0)
"""Until a host is started again where one could not be opened: at first, and at most."""

REFUSALS = 2
"""Hosts that could not be opened at every place, before that is the end."""

PLATFORMS = {"GPU": "cuda,cpu", "TPU": "tpu,cpu", "CPU": "cpu"}
"""What JAX is told in a host, by what the host holds of Ray's resources."""


@dataclass
class _Flight:
    """A job in flight."""

    number: int
    job: Job
    worker: "_Worker"
    finished_runs: int = 0


@dataclass
class _Host:
    """A host as the driver knows it."""

    name: str
    place: WorkerPlace
    handle: Handle
    heard_at: float
    workers: list["_Worker"] = field(default_factory=list)
    refs: set[Ref] = field(default_factory=set)
    is_looked_at: bool = False

    @property
    def flights(self) -> list[_Flight]:
        return [flight for worker in self.workers for flight in worker.flights.values()]


@dataclass
class _Worker:
    """One of a host's workers: a device."""

    name: str
    host: _Host
    index: int
    at_most: int
    flights: dict[int, _Flight] = field(default_factory=dict)


@dataclass
class _Trouble:
    """What went wrong at a place."""

    times: int = 0
    retry_at: float = 0.0
    error: BaseException | None = None


class RayBackend:
    """Runs jobs in the hosts of a Ray cluster.

    Args:
        address: Of the cluster; left out, one is started on this machine.

    Raises:
        ClusterError: there is no cluster, or there is no token for it.
    """

    def __init__(self, address: str | None = None) -> None:
        self._leaves = door.connect(address)
        self._hosts: dict[str, _Host] = {}
        self._taken: dict[WorkerPlace, _Host] = {}
        self._troubles: dict[WorkerPlace, _Trouble] = {}
        self._workers: dict[str, _Worker] = {}
        self._refs: dict[Ref, tuple[_Host, _Flight | None]] = {}
        self._lost: list[JobOutcome] = []
        self._numbers = itertools.count()
        self._shared: dict[int, tuple[Any, Ref]] = {}
        self._open_with: tuple[Ref, ...] | None = None
        self._stopping = self._closed = False
        self._collected_at = time.monotonic()
        self._roll = Roll()

    # --- opening ---------------------------------------------------------------------------

    def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        shared = [self._share(value) for value in (question, *arguments)]
        end = time.monotonic() + ASK_SECONDS
        knocked: set[str] = set()
        up: dict[Ref, _Host] = {}
        while time.monotonic() < end:
            up |= self._knock(knocked)
            for ref in door.ready(list(up), 0.2)[:1]:
                reply = self._reply(up.pop(ref), ref, shared)
                if reply is None:
                    continue
                if reply.error is not None:
                    raise reply.error
                answer: Answer = reply.value
                return answer
        raise ClusterError(f"the cluster has had no place for a worker for {ASK_SECONDS:.0f} s")

    def _knock(self, knocked: set[str]) -> dict[Ref, _Host]:
        """Start hosts where there is room; a call of each ends as soon as it is up."""
        self._roll.check()
        self._check_refusals()
        if not self._roll.places:
            time.sleep(0.2)
        for place in self._free_places():
            self._start(place)
        new = [host for host in self._hosts.values() if host.name not in knocked]
        knocked |= self._hosts.keys()
        return {door.call(host.handle, "look", 0.0): host for host in new}

    def _reply(self, host: _Host, is_up: Ref, shared: Sequence[Ref]) -> Reply | None:
        """Ask a host; None if it goes away."""
        try:
            door.result(is_up)
            ref = door.call(host.handle, "ask", *shared)
            while not door.ready([ref], 1.0):
                self._roll.check()
            reply: Reply = door.result(ref)
            return reply
        except WorkerLost as error:
            self._drop(host, error)
            return None

    def open(self, open_workers: OpenWorkers, *arguments: Any) -> None:
        self._open_with = tuple(self._share(value) for value in (open_workers, *arguments))
        for host in self._hosts.values():
            self._open(host)
        self._tend()

    def _share(self, value: Any) -> Ref:
        if id(value) not in self._shared:
            self._shared[id(value)] = (value, door.put(value))  # kept, so that its id is its own
        return self._shared[id(value)][1]

    def _start(self, place: WorkerPlace) -> None:
        environment = {"JAX_PLATFORMS": PLATFORMS[place.kind]}
        if place.kind == "CPU":
            environment[CORES] = str(int(place.amount))
        handle = door.start_host(place.node, {place.kind: place.amount}, environment)
        name = f"{place.node[:8]}-{next(self._numbers)}"
        host = _Host(name, place, handle, time.monotonic())
        self._hosts[name] = self._taken[place] = host
        if self._open_with is not None:
            self._open(host)

    def _open(self, host: _Host) -> None:
        assert self._open_with is not None
        self._follow(door.call(host.handle, "open", *self._open_with), host)

    def _opened(self, host: _Host, reply: Reply) -> None:
        if reply.error is not None:
            self._drop(host, reply.error)
            return
        self._troubles.pop(host.place, None)
        for index, at_most in enumerate(reply.value):
            worker = _Worker(f"{host.name}-{index}", host, index, at_most)
            host.workers.append(worker)
            self._workers[worker.name] = worker
        self._look(host)

    # --- jobs ------------------------------------------------------------------------------

    @property
    def num_workers(self) -> int:
        return len(self._workers)

    def vacancies(self) -> Sequence[str]:
        if self._stopping:
            return []
        now = time.monotonic()
        found = [
            (taken, worker.name)
            for worker in self._workers.values()
            if not self._is_silent(worker.host, now)
            for taken in range(len(worker.flights), worker.at_most)
        ]
        return [name for _, name in sorted(found, key=lambda place: place[0])]

    def submit(self, job: Job, worker: str) -> None:
        known = self._workers.get(worker)
        if known is None:  # it went away since it was named
            self._lost.append(JobOutcome(job, worker, error=WorkerLost(f"{worker} has gone")))
            return
        if len(known.flights) >= known.at_most:
            raise RuntimeError(f"{len(known.flights)} jobs are in flight already")
        flight = _Flight(next(self._numbers), job, known)
        known.flights[flight.number] = flight
        ref = door.call(known.host.handle, "work", flight.number, known.index, job)
        self._follow(ref, known.host, flight)

    def _follow(self, ref: Ref, host: _Host, flight: _Flight | None = None) -> None:
        self._refs[ref] = (host, flight)
        host.refs.add(ref)

    def wait(self, seconds: float) -> list[JobOutcome]:
        end = time.monotonic() + seconds
        while True:
            self._tend()
            left = end - time.monotonic()
            found = self._collect(max(0.0, min(left, NODES_SECONDS)) if not self._lost else 0.0)
            if found or left <= 0:
                return found

    def _collect(self, seconds: float) -> list[JobOutcome]:
        refs = list(self._refs)
        if not refs:
            time.sleep(seconds)
        found = [
            outcome
            for ref in door.ready(refs, seconds)
            if ref in self._refs and (outcome := self._arrived(ref))
        ]
        self._notice_own_absence()
        lost, self._lost = self._lost, []
        return found + lost

    def _arrived(self, ref: Ref) -> JobOutcome | None:
        host, flight = self._refs.pop(ref)
        host.refs.discard(ref)
        try:
            value = door.result(ref)
        except WorkerLost as error:
            if flight is not None:
                self._lost.append(JobOutcome(flight.job, flight.worker.name, error=error))
                del flight.worker.flights[flight.number]
            self._drop(host, error)
            return None
        host.heard_at = time.monotonic()
        if isinstance(value, dict):
            self._looked(host, value)
        elif flight is None:
            self._opened(host, value)
        else:
            del flight.worker.flights[flight.number]
            return JobOutcome(flight.job, flight.worker.name, value.value, value.error)
        return None

    # --- progress --------------------------------------------------------------------------

    def _look(self, host: _Host) -> None:
        seconds = max(LOOK_SECONDS, len(self._hosts) / HOSTS_PER_SECOND)
        self._follow(door.call(host.handle, "look", seconds), host)

    def _looked(self, host: _Host, finished_runs: dict[int, int]) -> None:
        for flight in host.flights:
            flight.finished_runs = finished_runs.get(flight.number, flight.finished_runs)
        self._look(host)

    def progress(self) -> int:
        return sum(f.finished_runs for w in self._workers.values() for f in w.flights.values())

    def silent(self) -> Sequence[str]:
        now = time.monotonic()
        return [
            worker.name
            for worker in self._workers.values()
            if worker.flights and self._is_silent(worker.host, now)
        ]

    def _is_silent(self, host: _Host, now: float) -> bool:
        return now - host.heard_at > SILENT_SECONDS

    def _notice_own_absence(self) -> None:
        """Nobody was silent while it was the driver that did not listen."""
        now = time.monotonic()
        away = now - self._collected_at
        if away > SILENT_SECONDS / 3:
            for host in self._hosts.values():
                host.heard_at = max(host.heard_at, now - SILENT_SECONDS / 2)
        self._collected_at = now

    # --- hosts come and go -----------------------------------------------------------------

    def _tend(self) -> None:
        """Start hosts where there is room, and see whether there is any hope."""
        self._roll.check()
        if self._open_with is None or self._stopping:
            return
        for place in self._free_places():
            self._start(place)
        self._check_refusals()

    def _free_places(self) -> list[WorkerPlace]:
        now = time.monotonic()
        return [
            place
            for place in self._roll.places
            if place not in self._taken and self._trouble(place).retry_at <= now
        ]

    def _trouble(self, place: WorkerPlace) -> _Trouble:
        return self._troubles.get(place, _Trouble())

    def _drop(self, host: _Host, error: BaseException) -> None:
        """A host is gone, or of no use: its jobs are lost, its place is free."""
        if self._hosts.pop(host.name, None) is None:
            return
        del self._taken[host.place]
        self._lost += [
            JobOutcome(flight.job, flight.worker.name, error=_as_lost(error))
            for flight in host.flights
        ]
        for worker in host.workers:
            del self._workers[worker.name]
        for ref in host.refs:
            del self._refs[ref]
        if not host.workers:
            self._remember(host.place, error)
        door.kill(host.handle)

    def _remember(self, place: WorkerPlace, error: BaseException) -> None:
        trouble = self._troubles.setdefault(place, _Trouble())
        first, at_most = RETRY_SECONDS
        trouble.retry_at = time.monotonic() + min(first * 2**trouble.times, at_most)
        trouble.times += 1
        trouble.error = error

    def _check_refusals(self) -> None:
        """Give up if workers can be opened nowhere."""
        if self._workers or not self._roll.places:
            return
        troubles = [self._trouble(place) for place in self._roll.places]
        if all(trouble.times >= REFUSALS for trouble in troubles):
            error = troubles[0].error
            assert error is not None
            raise ClusterError(f"no worker can be opened on the cluster: {error}") from error

    # --- the end ---------------------------------------------------------------------------

    def cancel(self) -> None:
        if not self._stopping:
            self._stopping = True
            for host in self._hosts.values():
                door.call(host.handle, "stop")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._roll.gone:
            self._roll.close()
            door.abandon()
            return  # nothing of it could be ended
        self.cancel()
        end = time.monotonic() + CLOSE_SECONDS
        while self._is_anyone_busy() and time.monotonic() < end:
            self._collect(0.1)
        for host in list(self._hosts.values()):
            door.kill(host.handle)
        self._roll.close()
        if self._leaves:
            door.leave()

    def _is_anyone_busy(self) -> bool:
        now = time.monotonic()
        return any(
            worker.flights and not self._is_silent(worker.host, now)
            for worker in self._workers.values()
        )


def _as_lost(error: BaseException) -> WorkerLost:
    return error if isinstance(error, WorkerLost) else WorkerLost(str(error))
