"""Which implementation trains or draws a bucket: chosen once, on this device, then frozen.

A kernel is taken where it knows the runs, agrees with XLA in a self-test on the sweep's own
data, and wins a short race against the XLA program that would do the work otherwise.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from sweep_engine.kernels.fused_training.implementations import check_platform
from sweep_engine.kernels.native import CannotBuild
from sweep_engine.planning import num_runs
from sweep_engine.sources import DrawPrograms, SourcePrograms, TrainPrograms
from sweep_engine.sources.train.kernel import case_of
from sweep_engine.sources.train.single_run import GIVEN_START
from sweep_engine.spec import Setting
from sweep_engine.store.manifest import Choice

WORTH_FLOPS = 2e12
"""Work, at most, below which `auto` builds no kernel: some ten seconds of a few cores, when to
build and to try one takes about as long."""

TEST_STEPS = 3
TEST_RATES = (1e-4, 1e-1)
TOLERANCE = 1e-3
ROUNDING = 2e-6
"""Of the self-test: of the largest move of a parameter, and of the largest parameter."""

RACE_SECONDS = 0.2
REPEATS = 3

TEST_LABELS = 2**14
MOST_DIFFERENT = 1e-4
"""Of the self-test of draws: how many labels it compares at least, and the share of them, and
two, that may differ: float32 outputs within rounding of 0 are some in a million."""

Contender = TrainPrograms | DrawPrograms
"""Programs of which a kernel may do the work."""

UNITS = {TrainPrograms: "network-steps", DrawPrograms: "draws"}


class Disagrees(RuntimeError):
    """A kernel gave other results than XLA on this device."""


def expect(programs: SourcePrograms, settings: Sequence[Setting]) -> Choice:
    """Say what can be known of a bucket's implementation without the device.

    `auto` stands where the first run has to find out.
    """
    if not isinstance(programs, Contender):
        return Choice("reference", "there is no other for this source")
    asked = programs.bucket.execution.implementation
    if asked == "reference":
        return Choice("reference", "asked for")
    if asked == "cuda" and isinstance(programs, DrawPrograms):
        return Choice("reference", "there is no cuda kernel of draws")
    if asked == "cuda":
        return Choice("cuda", "asked for; not verified on this device until its self-test passes")
    if asked == "cpu":
        return Choice("cpu", "asked for; built and tested at the first run")
    if obstacles := programs.obstacles("cpu"):
        return Choice("reference", f"the cpu kernel does not know {', '.join(obstacles)}")
    flops = sum(num_runs(setting) * programs.flops(setting) for setting in settings)
    if flops < WORTH_FLOPS:
        return Choice("reference", f"too little work for a kernel: {flops / 1e9:,.3g} GFLOP")
    return Choice("auto", "the first run tests and races the cpu kernel against XLA")


def choose(
    programs: SourcePrograms, settings: Sequence[Setting], threads: int
) -> tuple[Choice, SourcePrograms]:
    """Choose who trains or draws a bucket on this process's device.

    Args:
        programs: The bucket's, as the sweep asks for them.
        settings: The bucket's.
        threads: How many blocks are worked on at once here.

    Returns:
        The choice, and the programs that were compiled for it.

    Raises:
        CannotBuild: the kernel that the sweep names is not for this device, or cannot be built.
        Disagrees: it failed its self-test.
    """
    expected = expect(programs, settings)
    if expected.name == "reference" or not isinstance(programs, Contender):
        return expected, programs
    if expected.name != "auto":
        check_platform(expected.name, jax.default_backend())
        agreed = self_test(programs, programs.by("reference"))
        return Choice(expected.name, f"asked for; {agreed}"), programs
    platform = jax.default_backend()
    if platform != "cpu":
        reason = f"no kernel for {platform} has been verified; ask for it by name"
        return Choice("reference", reason), programs
    xla, kernel = programs.by("reference"), programs.by("cpu")
    try:
        agreed = self_test(kernel, xla)
    except (CannotBuild, Disagrees) as error:
        return Choice("reference", str(error).splitlines()[0]), xla
    speed, other = race([kernel, xla], threads)
    raced = f"{speed:,.0f} {UNITS[type(kernel)]} per processor-second against {other:,.0f} by XLA"
    if speed <= other:
        return Choice("reference", f"faster: the cpu kernel does {raced}"), xla
    return Choice("cpu", f"{agreed}; {raced}"), kernel


def self_test(programs: Contender, xla: Contender) -> str:
    """Do some work by the kernel and by XLA, on the sweep's data, and compare.

    Returns:
        What was found, in words.

    Raises:
        CannotBuild: the kernel cannot be built.
        Disagrees: they differ by more than rounding.
    """
    programs.build()
    if isinstance(programs, DrawPrograms):
        return _test_draws(programs)
    assert isinstance(xla, TrainPrograms)
    return _test_steps(programs, xla)


def _test_draws(programs: DrawPrograms) -> str:
    """Compare functions, and how many targets they miss, of draws of many scales."""
    kernel, lanes = programs.kernel, programs.bucket.lanes
    num_blocks = -(-TEST_LABELS // (lanes * len(kernel.order)))
    shape = num_blocks, lanes
    index = np.arange(num_blocks * lanes, dtype=np.uint32).reshape(shape)
    runs = np.stack([np.zeros_like(index), index], axis=-1)
    rng = np.random.default_rng(0)
    hyper = {
        path: rng.uniform(0.5, 2.0, shape).astype(values.dtype)
        for path, values in programs.bucket.hyper([programs.bucket.setting]).items()
    }
    found, truth = (
        programs.bucket.program(one.find)(runs, hyper, programs.bucket.root, kernel.inputs)
        for one in (kernel, replace(kernel, implementation="reference"))
    )
    labels = index.size * len(kernel.order)
    different = np.bitwise_count(np.asarray(found.function) ^ np.asarray(truth.function)).sum(1)
    miscounted = (found.wrong != truth.wrong) & (different == 0)
    if miscounted.any() or different.sum() > MOST_DIFFERENT * labels + 2:
        raise Disagrees(
            f"the {programs.implementation} kernel differs from XLA in {different.sum():,} of "
            f"{labels:,} labels on this device"
        )
    return f"agreed with XLA in all but {different.sum()} of {labels:,} labels"


def _test_steps(programs: TrainPrograms, xla: TrainPrograms) -> str:
    """Train a block from the same start.

    Learning rates rise from lane to lane, and decays are large, so that every term shows. A
    quarter of the lanes may differ: a relu within rounding of 0 may take the other side.
    """
    name = programs.implementation
    hyper = _test_values(programs)
    began, _ = _ended(programs, 0, hyper)
    found, ends = _ended(programs, TEST_STEPS, hyper)
    truth, true_ends = _ended(xla, TEST_STEPS, hyper)
    moved = np.abs(truth - began).max(axis=1)
    told = np.isfinite(truth).all(axis=1) & (moved > 0)
    if not told.any():
        raise Disagrees(f"the {name} kernel could not be tested: no network can be trained here")
    gap = np.abs(found - truth)[told].max(axis=1)
    size = np.abs(truth)[told].max(axis=1)
    agree = (gap <= TOLERANCE * moved[told] + ROUNDING * size) & (ends == true_ends)[told].all(1)
    if agree.mean() < 0.75:
        raise Disagrees(
            f"the {name} kernel differs from XLA by {np.nanmedian(gap / moved[told]):.1e} of the "
            f"parameters' moves in {TEST_STEPS} steps on this device"
        )
    return f"agreed with XLA to {np.median(gap / moved[told]):.0e} of the parameters' moves"


def _test_values(programs: TrainPrograms) -> dict[str, Any]:
    lanes = programs.bucket.lanes
    given: dict[str, Any] = {
        "optimizer.learning_rate": np.geomspace(*TEST_RATES, lanes + 2)[1:-1],
        "optimizer.momentum": np.full(lanes, 0.9),
        "optimizer.l2": np.full(lanes, 0.1),
        "optimizer.weight_decay": np.full(lanes, 0.1),
        "stop.max_steps": np.full(lanes, TEST_STEPS),
    }
    values = programs.example
    if GIVEN_START in values:  # zeros, from which most gradients are 0
        width = max(case_of(programs.training).widths)
        shape = values[GIVEN_START].shape
        given[GIVEN_START] = np.random.default_rng(0).normal(size=shape) / np.sqrt(width)
    return values | {k: v.astype(values[k].dtype) for k, v in given.items() if k in values}


def _ended(
    programs: TrainPrograms, steps: int, hyper: dict[str, Any]
) -> tuple[Float[np.ndarray, "K P"], np.ndarray]:
    """Parameters, and (step, status) of every lane, after so many turns and the last check."""
    turns = steps + 1 if steps else 0
    states = programs.advance(*programs.first_segment(turns, hyper))
    ends = np.stack([np.asarray(states.step), np.asarray(states.status)], axis=1)
    return programs.bucket.network.layout.flatten_rows(states.params), ends


def race(contenders: Sequence[Contender], threads: int) -> list[float]:
    """Time programs that do the same work: network-steps, or draws, per processor-second of each.

    So many blocks at once as a sweep trains here; a sweep keeps all cores busy, so that the
    seconds of all threads count, and what others on the machine take does not. Calls are
    interleaved, and of each the quickest counts.
    """
    steps = 16
    while _seconds(contenders[0], steps, threads)[0] < RACE_SECONDS / 4 and steps < 2**14:
        steps *= 4
    best = [0.0] * len(contenders)
    for _ in range(REPEATS):
        for i, programs in enumerate(contenders):
            seconds, taken = _seconds(programs, steps, threads)
            best[i] = max(best[i], taken / seconds)
    return best


def _seconds(programs: Contender, steps: int, threads: int) -> tuple[float, int]:
    """Processor-seconds of a segment, or as many calls, in so many threads, and the work done."""
    if isinstance(programs, DrawPrograms):
        call = _draws(programs, steps // 16)
    else:
        call = _segment(programs, steps)
    with ThreadPoolExecutor(threads) as pool:
        began = time.process_time()
        taken = sum(pool.map(call, range(threads)))
        return time.process_time() - began, taken


def _segment(programs: TrainPrograms, steps: int) -> Callable[[int], int]:
    """A call that trains a segment, and tells the steps that runs took in all."""
    arguments = programs.first_segment(steps, programs.example)
    programs.advance.compiled(*arguments)
    return lambda _: int(np.asarray(programs.advance(*arguments).step).sum())


def _draws(programs: DrawPrograms, calls: int) -> Callable[[int], int]:
    """A call that makes some calls of the counting pass, and tells the draws in all."""
    timed = programs.timed()
    programs.scan.compiled(*timed.arguments)
    return lambda _: sum(programs.scan(*timed.arguments)[1].size for _ in range(calls))


def check_frozen(programs: SourcePrograms) -> None:
    """Build the kernel that an earlier run froze for a bucket, if it did.

    Raises:
        CannotBuild: it cannot be built here, or is not for this device.
    """
    if isinstance(programs, Contender) and programs.implementation != "reference":
        check_platform(programs.implementation, jax.default_backend())
        programs.build()
