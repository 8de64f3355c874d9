"""Which implementation computes a bucket: chosen once, on this device, then frozen.

A kernel is taken where it knows the runs, agrees with XLA in a self-test on the sweep's own
data, and wins a short race against the XLA program that would do the work otherwise. Whether
that is tried at all is a matter of time: XLA's, measured on a piece of the bucket's own work,
and the trial's. What the work is, and how a kernel of it is tried, stands with each kind of
source.

On an accelerator it goes the same way. The kernels for them have not run on their hardware yet:
the self-test on the device at hand is what lets one compute there.

One implementation computes a bucket from its first shard to its last. XLA could begin while a
kernel is built, but then the bits of a shard would depend on how fast the compiler was, and a
sweep that was run twice, or was resumed, would not be the same sweep.
"""

import time
from collections.abc import Callable, Sequence

import jax

from sweep_engine.execution.programs.trials import (
    OutOfTime,
    Patience,
    begin,
    ended_its_process,
    pace_of,
    race,
    self_test,
    trial_of,
)
from sweep_engine.kernels import native
from sweep_engine.kernels.fused_training.implementations import UNVERIFIED, check_platform
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.lanes import platform
from sweep_engine.planning import num_runs
from sweep_engine.sources import XLA, Disagrees, KernelPrograms, SourcePrograms
from sweep_engine.spec import Setting
from sweep_engine.store.manifest import Choice

TRIAL_SHARE = 0.1
"""Of the time of a sweep by XLA: so long its trial may last. What XLA needs anyway, to be compiled
and timed, is no part of it; the kernel is built meanwhile."""

TRIAL_SECONDS = 1.0
"""Of a trial, seen on two cores, where the kernel and its program have been built before: it is
tested and raced. With less time for it there is none."""

UNIT_SECONDS, FLOPS_PER_SECOND = 1e-6, 2e10
"""Of XLA on a core, roughly: for a step or draw of a tiny network, which is 0.5 to 2 us, and for
the arithmetic of a large one, 5 to 10 times as fast. Where nothing has been measured yet."""


def expect(programs: SourcePrograms, settings: Sequence[Setting]) -> Choice:
    """Say what can be known of a bucket's implementation without the device.

    `auto` stands where the first run has to find out.

    Args:
        programs: The bucket's.
        settings: The bucket's, and those of buckets that share its trial.
    """
    if not isinstance(programs, KernelPrograms):
        return Choice(XLA, "there is no other for this source")
    named = programs.bucket.execution.implementation
    if named == XLA:
        return Choice(XLA, "asked for")
    if named == "auto":
        return _expect_auto(programs, settings)
    if named not in programs.kernels():
        return Choice(XLA, f"there is no {named} kernel of {trial_of(programs).unit}")
    if named in UNVERIFIED:
        return Choice(named, "asked for; not verified on this device until its self-test passes")
    return Choice(named, "asked for; built and tested at the first run")


def _expect_auto(programs: KernelPrograms, settings: Sequence[Setting]) -> Choice:
    name = programs.candidate
    if name is None:
        return Choice(XLA, f"there is no kernel of {trial_of(programs).unit} for {platform()}")
    if obstacles := programs.obstacles(name):
        return Choice(XLA, f"the {name} kernel does not know {', '.join(obstacles)}")
    seconds = sum(map(_rough_seconds(programs), settings))
    if TRIAL_SHARE * seconds < TRIAL_SECONDS:
        return Choice(XLA, f"too little work for a kernel: {_about(seconds)} by XLA")
    return Choice(
        "auto",
        f"the first run times XLA ({_about(seconds)} in all) and, where it is worth the time, "
        f"tests and races the {name} kernel",
    )


def _rough_seconds(programs: KernelPrograms) -> Callable[[Setting], float]:
    def of_setting(setting: Setting) -> float:
        arithmetic = programs.flops(setting) / FLOPS_PER_SECOND
        return num_runs(setting) * (setting.spec.work_per_run * UNIT_SECONDS + arithmetic)

    return of_setting


def _about(seconds: float) -> str:
    """Say processor-seconds that are known roughly.

    Example:
        >>> _about(0.1234), _about(2041.0)
        ('about 0.12 processor-seconds', 'about 2,000 processor-seconds')
    """
    rounded = float(f"{seconds:.2g}")
    return f"about {f'{rounded:,.0f}' if rounded >= 10 else rounded} processor-seconds"


def choose(
    programs: SourcePrograms,
    settings: Sequence[Setting],
    threads: int,
    should_stop: Callable[[], bool],
) -> tuple[Choice, SourcePrograms]:
    """Choose what computes a bucket, and those like it, on this process's device.

    Args:
        programs: The bucket's, as the sweep asks for them.
        settings: Those of all these buckets.
        threads: How many blocks are worked on at once here.
        should_stop: Asked all the time.

    Returns:
        The choice, and the programs that were compiled for it.

    Raises:
        CannotBuild: the kernel that the sweep names is not for this device, or cannot be built.
        Disagrees: it failed its self-test.
        Interrupted: `should_stop` said so.
    """
    expected, patience = expect(programs, settings), Patience(should_stop)
    if expected.name == XLA or not isinstance(programs, KernelPrograms):
        return expected, programs
    if expected.name != "auto":
        check_platform(expected.name, jax.default_backend())
        agreed = patience.do(self_test, programs, programs.by(XLA))
        return Choice(expected.name, f"asked for; {agreed}"), programs
    name = programs.candidate
    assert name is not None, "then XLA would have been expected"
    if ended_its_process(name):
        reason = f"a self-test of the {name} kernel ended its process on this device; ask by name"
        return Choice(XLA, f"{reason} to try it again"), programs
    return _try(programs, name, settings, threads, patience)


def _try(
    programs: KernelPrograms,
    name: str,
    settings: Sequence[Setting],
    threads: int,
    patience: Patience,
) -> tuple[Choice, KernelPrograms]:
    """Time XLA while the kernel is built; test and race the two if there is time for it."""
    xla, kernel = programs.by(XLA), programs.by(name)
    began, building = time.monotonic(), begin(kernel.build)
    at_once = threads if platform() == "cpu" else 1  # of several devices one is timed
    pace = pace_of(xla, at_once, patience)
    now = time.monotonic()
    expected = now - began + pace.seconds(settings) * at_once / threads
    patience.deadline = now + TRIAL_SHARE * expected
    whole = f"XLA takes {expected:,.2g} s for it"
    if TRIAL_SHARE * expected < TRIAL_SECONDS:
        native.end_compilers()
        return Choice(XLA, f"too little work for a kernel: {whole}"), xla
    try:
        patience.wait(building)
        agreed = patience.do(self_test, kernel, xla)
        known = (0.0, pace.speed)  # that of XLA has been timed at the same work
        speed, other = race([kernel, xla], at_once, pace.length, patience, known)
    except (CannotBuild, Disagrees) as error:
        return Choice(XLA, str(error).splitlines()[0]), xla
    except OutOfTime:
        return Choice(XLA, f"a trial of the {name} kernel takes more than it may: {whole}"), xla
    second = "processor-second" if platform() == "cpu" else "second"
    raced = f"{speed:,.0f} {trial_of(kernel).unit} per {second} against {other:,.0f} by XLA"
    if speed <= other:
        return Choice(XLA, f"faster: the {name} kernel does {raced}"), xla
    return Choice(name, f"{agreed}; {raced}"), kernel


def check_frozen(programs: SourcePrograms) -> None:
    """Build the kernel that an earlier run froze for a bucket, if it did.

    Raises:
        CannotBuild: it cannot be built here, or is not for this device.
    """
    if isinstance(programs, KernelPrograms) and programs.implementation != XLA:
        check_platform(programs.implementation, jax.default_backend())
        programs.build()
