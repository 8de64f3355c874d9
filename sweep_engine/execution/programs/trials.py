"""Try kernels: time XLA at a bucket's work, test the kernel against it, and race the two.

What has to be tried runs in threads: neither XLA nor a C++ compiler can be interrupted, and a
signal or the end of the time for it must not wait for them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax

from sweep_engine import stopping
from sweep_engine.errors import Interrupted
from sweep_engine.execution.programs import attempts
from sweep_engine.execution.programs.attempts import noted
from sweep_engine.kernels import native
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.lanes import platform
from sweep_engine.planning import num_runs
from sweep_engine.sources import Disagrees, KernelPrograms, Rehearsed, Trial, kind_of
from sweep_engine.spec import Setting

T = TypeVar("T")

POLL_SECONDS = 0.1
CALL_SECONDS = 0.05
"""Seconds of a timed call of XLA at least; a kernel's may be shorter by what it wins."""

MOST_LENGTH = 2**14
REPEATS, DECISIVE = 3, 3.0
"""Bound the calls of a race: it is over once one contender is so many times as fast."""

_STOPPED = "interrupted while kernels were tried; run again to go on"


class OutOfTime(RuntimeError):
    """A trial has taken as long as it may."""


class Patience:
    """Waits for parts of a trial as long as this process is not to end, and the time lasts.

    Args:
        should_stop: Asked ten times a second.

    Attributes:
        deadline: The reading of `time.monotonic` at which the trial ends.
    """

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self.deadline = float("inf")

    def wait(self, begun: "Future[T]") -> T:
        """Return what was begun to compute, or raise its error.

        Raises:
            Interrupted: `should_stop` said so.
            OutOfTime: the deadline has passed.
        """
        while True:
            self.go_on(is_working=not begun.done())
            try:
                found = begun.result(POLL_SECONDS)
            except Exception as error:
                if isinstance(error, NotYet) and not begun.done():
                    continue
                self.go_on()  # what stops this process may have stopped the compiler, too
                raise
            return found

    def do(self, call: Callable[..., T], *arguments: Any) -> T:
        """Compute in a thread, and wait for it; see `wait`."""
        return self.wait(begin(call, *arguments))

    def go_on(self, *, is_working: bool = False) -> None:
        """Go on, unless this process is to end or the time is over; see `wait`.

        Args:
            is_working: Whether a thread is at a compiler, which would outlast this process's
                last words: a process that heeds signals is ended at once.
        """
        if self._should_stop():
            native.end_compilers()
            if is_working:
                stopping.give_up(_STOPPED)
            raise Interrupted(_STOPPED)
        if time.monotonic() > self.deadline:
            native.end_compilers()
            raise OutOfTime


def begin(call: Callable[..., T], *arguments: Any) -> "Future[T]":
    """Compute in a thread of its own, for which the end of the process does not wait."""
    begun: Future[T] = Future()

    def work() -> None:
        try:
            begun.set_result(call(*arguments))
        except BaseException as error:
            begun.set_exception(error)

    threading.Thread(target=work, name="kernel trial", daemon=True).start()
    return begun


@dataclass(frozen=True)
class Pace:
    """Hold how fast XLA does the work of a bucket, measured on a piece of it.

    Attributes:
        rate: Units of work a second by the clock, of as many calls at once as a sweep makes here.
            The kernel's compiler may run beside them, so it is rather too low.
        units_per_run: Estimated, where runs end early: units done over runs that ended, which
            is the maximum-likelihood estimate if a run ends with the same probability in each.
            Infinite if none has ended.
        length: Of a call that takes long enough to be timed; see `Trial.rehearse`.
        speed: Units a second as a race counts them; see `Timing.seconds`. 0 if that is not known.
    """

    rate: float
    units_per_run: float
    length: int
    speed: float = 0.0

    def seconds(self, settings: Sequence[Setting]) -> float:
        """Estimate the seconds by the clock that all runs of some settings take."""
        units = sum(num_runs(s) * min(s.spec.work_per_run, self.units_per_run) for s in settings)
        return units / self.rate


def pace_of(programs: KernelPrograms, threads: int, patience: Patience) -> Pace:
    """Time a piece of a bucket's work: calls grow until one is long enough, or runs end in it."""
    length = 16
    while True:
        found = patience.do(timed, programs, length, threads)
        if found.seconds >= CALL_SECONDS * threads or length >= MOST_LENGTH:
            break
        length *= 4
    units, ended = found.done
    per_run = units / ended if ended else float("inf")
    return Pace(units / found.clock, per_run, length, units / found.seconds)


def self_test(kernel: KernelPrograms, xla: KernelPrograms) -> str:
    """Do some work by the kernel and by XLA, on the sweep's data, and compare.

    Returns:
        What was found, in words.

    Raises:
        CannotBuild: the kernel cannot be built, or does not work on this device.
        Disagrees: they differ by more than rounding.
    """
    name, trial = kernel.implementation, trial_of(kernel)
    if platform() == "cpu":
        kernel.build()
        return trial.self_test(kernel, xla)
    with noted(name, _device_kind()):
        try:
            kernel.build()
            return trial.self_test(kernel, xla)
        except (CannotBuild, Disagrees):
            raise
        except Exception as error:  # whatever the device, or its compiler, says of the kernel
            raise CannotBuild(f"the {name} kernel fails on this device: {error}") from error


def ended_its_process(kernel: str) -> bool:
    """Say whether a kernel's self-test ended a process on an accelerator like this before."""
    return platform() != "cpu" and attempts.ended_its_process(kernel, _device_kind())


def _device_kind() -> str:
    return str(jax.devices()[0].device_kind)


def trial_of(programs: KernelPrograms) -> Trial[Any]:
    """Look up how kernels of some work are tried."""
    trial = kind_of(programs).trial
    if trial is None:
        raise TypeError(f"{type(programs).__name__} has kernels, and no trial of them")
    return trial


def race(
    contenders: Sequence[KernelPrograms],
    threads: int,
    length: int,
    patience: Patience,
    known: Sequence[float] = (0.0, 0.0),
) -> list[float]:
    """Time programs that do the same work: units of it a second of each; see `Timing.seconds`.

    So many blocks at once as a sweep computes here. Calls are interleaved, and of each the quickest
    counts. They go on until one contender is far ahead, `REPEATS` times at most.

    Args:
        contenders: The programs.
        threads: How many calls are made at once.
        length: Of a call; see `Trial.rehearse`.
        patience: Waits for the calls.
        known: The speeds of calls that were timed before; 0 where none was.
    """
    best = list(known)
    for _ in range(REPEATS):
        for i, programs in enumerate(contenders):
            found = patience.do(timed, programs, length, threads)
            best[i] = max(best[i], found.done.units / found.seconds)
            if all(best) and max(best) >= DECISIVE * min(best):
                return best
    return best


class Timing(NamedTuple):
    """Hold what some calls took, in seconds of processors and by the clock, and did in all."""

    processor: float
    clock: float
    done: Rehearsed

    @property
    def seconds(self) -> float:
        """Return what counts: on a CPU the seconds of all threads, elsewhere those by the clock.

        A sweep keeps all cores busy, and what others on the machine take does not count. An
        accelerator has no processor time.
        """
        return self.processor if platform() == "cpu" else self.clock


def timed(programs: KernelPrograms, length: int, threads: int) -> Timing:
    """Make as many calls at once as threads."""
    call = trial_of(programs).rehearse(programs, length)
    with ThreadPoolExecutor(threads) as pool:
        processor, clock = time.process_time(), time.perf_counter()
        done = list(pool.map(call, range(threads)))
        processor, clock = time.process_time() - processor, time.perf_counter() - clock
    whole = Rehearsed(sum(one.units for one in done), sum(one.ended for one in done))
    return Timing(processor, clock, whole)
