"""Which implementation computes a bucket: chosen once, on this device, then frozen.

A kernel is taken where it knows the runs, agrees with XLA in a self-test on the sweep's own
data, and wins a short race against the XLA program that would do the work otherwise. What the
work is, and how a kernel of it is tried, stands with each kind of source.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from sweep_engine.errors import Interrupted
from sweep_engine.kernels.fused_training.implementations import check_platform
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.planning import num_runs
from sweep_engine.sources import (
    XLA,
    Disagrees,
    KernelPrograms,
    SourcePrograms,
    Trial,
    kind_of,
)
from sweep_engine.spec import Setting
from sweep_engine.store.manifest import Choice

WORTH_FLOPS = 2e12
"""Work, at most, below which `auto` builds no kernel: some ten seconds of a few cores, when to
build and to try one takes about as long."""

RACE_SECONDS = 0.2
REPEATS = 3


def expect(programs: SourcePrograms, settings: Sequence[Setting]) -> Choice:
    """Say what can be known of a bucket's implementation without the device.

    `auto` stands where the first run has to find out.
    """
    if not isinstance(programs, KernelPrograms):
        return Choice(XLA, "there is no other for this source")
    named = programs.bucket.execution.implementation
    if named == XLA:
        return Choice(XLA, "asked for")
    if named == "auto":
        return _expect_auto(programs, settings)
    if named not in programs.kernels():
        return Choice(XLA, f"there is no {named} kernel of {_trial(programs).unit}")
    if named == "cuda":
        return Choice("cuda", "asked for; not verified on this device until its self-test passes")
    return Choice(named, "asked for; built and tested at the first run")


def _expect_auto(programs: KernelPrograms, settings: Sequence[Setting]) -> Choice:
    if obstacles := programs.obstacles("cpu"):
        return Choice(XLA, f"the cpu kernel does not know {', '.join(obstacles)}")
    flops = sum(num_runs(setting) * programs.flops(setting) for setting in settings)
    if flops < WORTH_FLOPS:
        return Choice(XLA, f"too little work for a kernel: {flops / 1e9:,.3g} GFLOP")
    return Choice("auto", "the first run tests and races the cpu kernel against XLA")


def choose(
    programs: SourcePrograms,
    settings: Sequence[Setting],
    threads: int,
    should_stop: Callable[[], bool],
) -> tuple[Choice, SourcePrograms]:
    """Choose what computes a bucket on this process's device.

    Args:
        programs: The bucket's, as the sweep asks for them.
        settings: The bucket's.
        threads: How many blocks are worked on at once here.
        should_stop: Asked between the parts of a trial.

    Returns:
        The choice, and the programs that were compiled for it.

    Raises:
        CannotBuild: the kernel that the sweep names is not for this device, or cannot be built.
        Disagrees: it failed its self-test.
        Interrupted: `should_stop` said so.
    """
    expected = expect(programs, settings)
    if expected.name == XLA or not isinstance(programs, KernelPrograms):
        return expected, programs
    if expected.name != "auto":
        check_platform(expected.name, jax.default_backend())
        agreed = self_test(programs, programs.by(XLA))
        go_on(should_stop)
        return Choice(expected.name, f"asked for; {agreed}"), programs
    platform = jax.default_backend()
    if platform != "cpu":
        reason = f"no kernel for {platform} has been verified; ask for it by name"
        return Choice(XLA, reason), programs
    xla, kernel = programs.by(XLA), programs.by("cpu")
    try:
        agreed = self_test(kernel, xla)
    except (CannotBuild, Disagrees) as error:
        go_on(should_stop)  # what stops this process may have stopped the compiler, too
        return Choice(XLA, str(error).splitlines()[0]), xla
    speed, other = race([kernel, xla], threads, should_stop)
    unit = _trial(kernel).unit
    raced = f"{speed:,.0f} {unit} per processor-second against {other:,.0f} by XLA"
    if speed <= other:
        return Choice(XLA, f"faster: the cpu kernel does {raced}"), xla
    return Choice("cpu", f"{agreed}; {raced}"), kernel


def self_test(kernel: KernelPrograms, xla: KernelPrograms) -> str:
    """Do some work by the kernel and by XLA, on the sweep's data, and compare.

    Returns:
        What was found, in words.

    Raises:
        CannotBuild: the kernel cannot be built.
        Disagrees: they differ by more than rounding.
    """
    kernel.build()
    return _trial(kernel).self_test(kernel, xla)


def _trial(programs: KernelPrograms) -> Trial[Any]:
    trial = kind_of(programs).trial
    if trial is None:
        raise TypeError(f"{type(programs).__name__} has kernels, and no trial of them")
    return trial


def go_on(should_stop: Callable[[], bool]) -> None:
    """Go on with the trials, unless this process is to end.

    Raises:
        Interrupted: it is.
    """
    if should_stop():
        raise Interrupted("interrupted while kernels were tried; run again to go on")


def race(
    contenders: Sequence[KernelPrograms], threads: int, should_stop: Callable[[], bool]
) -> list[float]:
    """Time programs that do the same work: units of it per processor-second of each.

    So many blocks at once as a sweep computes here; a sweep keeps all cores busy, so that the
    seconds of all threads count, and what others on the machine take does not. Calls are
    interleaved, and of each the quickest counts.
    """
    length = 16
    while _seconds(contenders[0], length, threads)[0] < RACE_SECONDS / 4 and length < 2**14:
        go_on(should_stop)
        length *= 4
    best = [0.0] * len(contenders)
    for _ in range(REPEATS):
        for i, programs in enumerate(contenders):
            go_on(should_stop)
            seconds, units = _seconds(programs, length, threads)
            best[i] = max(best[i], units / seconds)
    return best


def _seconds(programs: KernelPrograms, length: int, threads: int) -> tuple[float, int]:
    """Processor-seconds of as many calls as threads, and the units of work done."""
    call = _trial(programs).rehearse(programs, length)
    with ThreadPoolExecutor(threads) as pool:
        began = time.process_time()
        units = sum(pool.map(call, range(threads)))
        return time.process_time() - began, units


def check_frozen(programs: SourcePrograms) -> None:
    """Build the kernel that an earlier run froze for a bucket, if it did.

    Raises:
        CannotBuild: it cannot be built here, or is not for this device.
    """
    if isinstance(programs, KernelPrograms) and programs.implementation != XLA:
        check_platform(programs.implementation, jax.default_backend())
        programs.build()
