"""Which implementation trains a case on this device, and why."""

import functools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from sweep_engine.kernels.fused_training import cpu, cuda, reference
from sweep_engine.kernels.fused_training.case import (
    Adam,
    Case,
    Checks,
    Data,
    Limits,
    Segment,
    Sgd,
    State,
)
from sweep_engine.kernels.native import CannotBuild

Implementation = Literal["reference", "cpu", "cuda"]
Train = Callable[..., tuple[State, Any]]

TRAIN: dict[Implementation, Train] = {
    "reference": reference.train_segment,
    "cpu": cpu.train_segment,
    "cuda": cuda.train_segment,
}
MOST_WIDTH = {"cpu": 1024, "cuda": 512}
"""Layers wider than this leave the cache, or the shared memory, and XLA's products win."""

TEST_STEPS = 3
TOLERANCE = 1e-4
"""Of the self-test, relative to the largest parameter; a wrong term is larger by far."""

RACE_SECONDS = 0.3


class Disagrees(RuntimeError):
    """A kernel gave other results than the reference on this device."""


@dataclass(frozen=True)
class Choice:
    """An implementation, and why it was taken.

    Attributes:
        implementation: Its name in the sweep file.
        reason: For the plan, the metadata and `status`.
    """

    implementation: Implementation
    reason: str

    @property
    def train_segment(self) -> Train:
        """What `reference.train_segment` is."""
        return TRAIN[self.implementation]


def choose(
    case: Case,
    implementation: Implementation | Literal["auto"] = "auto",
    *,
    rival: float | None = None,
) -> Choice:
    """Choose who trains a case on this process's device.

    `auto` takes a kernel that supports the case, agrees with the reference in a self-test
    here and wins a short race; a GPU's only where it is asked for by name. One that is asked
    for by name has to pass the self-test.

    Args:
        case: What is to be trained.
        implementation: As the sweep file has it.
        rival: Network-steps per second of what else would train the case; left out, the
            reference is timed.

    Raises:
        CannotBuild: the implementation asked for cannot be built, or not for this case.
        Disagrees: it failed its self-test.
    """
    platform = jax.default_backend()
    if implementation == "reference":
        return Choice("reference", "asked for")
    if implementation != "auto":
        refuse_unsupported(case, implementation, platform)
        return Choice(implementation, f"asked for; {self_test(case, implementation)}")
    if platform != "cpu":
        return Choice(
            "reference", f"no kernel for {platform} has been verified; ask for it by name"
        )
    try:
        refuse_unsupported(case, "cpu", platform)
        agreed = self_test(case, "cpu")
    except (CannotBuild, Disagrees) as error:
        reason = str(error).splitlines()[0]
        _warn_once(f"training by XLA, which is slower than the kernel: {reason}")
        return Choice("reference", reason)
    speed, other = rate(case, "cpu"), rival or rate(case, "reference")
    raced = f"{speed:,.0f} network-steps/s against {other:,.0f}"
    if speed <= other:
        return Choice("reference", f"faster here: the kernel does {raced}")
    return Choice("cpu", f"{agreed}; {raced}")


def refuse_unsupported(case: Case, implementation: Implementation, platform: str) -> None:
    """Raise CannotBuild unless the implementation is for this platform and case."""
    wanted = {"cpu": "cpu", "cuda": "gpu"}[implementation]
    if platform != wanted:
        raise CannotBuild(f"the {implementation} kernel needs a {wanted}, and this is a {platform}")
    most = MOST_WIDTH[implementation]
    if max(case.widths) > most:
        raise CannotBuild(f"the {implementation} kernel takes layers of at most {most} units")


def self_test(case: Case, implementation: Implementation) -> str:
    """Train a few networks by the kernel and by the reference.

    Returns:
        What was found, in words.

    Raises:
        CannotBuild: the kernel cannot be built.
        Disagrees: the median network differs by more than the tolerance.
    """
    example = _example(case, num_runs=8, turns=TEST_STEPS)
    found, truth = (_call(case, name)(*example)[0] for name in (implementation, "reference"))
    scale = np.abs(truth.theta).max(axis=1)
    # By the median: a relu within rounding of 0 may take the other side in a network or two.
    gap = float(np.median(np.abs(found.theta - truth.theta).max(axis=1) / scale))
    same = np.array_equal(found.step, truth.step) and np.array_equal(found.status, truth.status)
    if not (gap <= TOLERANCE and same):
        raise Disagrees(
            f"the {implementation} kernel differs from the reference by {gap:.1e} after "
            f"{TEST_STEPS} steps on this device"
        )
    return f"agreed with the reference to {gap:.0e}"


def rate(case: Case, implementation: Implementation) -> float:
    """Time an implementation: network-steps per second, over some tenths of a second."""
    num_runs, turns = 64, 8
    call = _call(case, implementation)
    while True:
        example = _example(case, num_runs, turns)
        jax.block_until_ready(call(*example))
        began = time.perf_counter()
        jax.block_until_ready(call(*example))
        seconds = time.perf_counter() - began
        if seconds > RACE_SECONDS / 4 or turns >= 4096:
            return num_runs * turns / seconds
        turns *= 4


def _call(case: Case, implementation: Implementation) -> Callable[..., tuple[State, Any]]:
    checks = Checks(2**30, "train_loss", stop_at_fit=False)
    return jax.jit(functools.partial(TRAIN[implementation], case, checks, num_records=1))


def _example(case: Case, num_runs: int, turns: int) -> tuple[Any, ...]:
    """Networks and examples like those that a case is of."""
    rng = np.random.default_rng(0)
    scale = 1 / np.sqrt(max(case.widths))
    theta = rng.normal(size=(num_runs, case.num_params)) * scale
    x = rng.normal(size=(case.num_examples, case.widths[0]))
    y = rng.integers(max(2, case.widths[-1]), size=case.num_examples)
    shape = (num_runs, turns, case.minibatch) if case.minibatch else (num_runs, 0, 0)
    indices = rng.integers(case.num_examples, size=shape)

    def every(value: float) -> jax.Array:
        return jnp.full(num_runs, value, jnp.float32)

    hyper = (
        Adam(every(1e-3), every(0.9), every(0.999), every(1e-4), every(1e-3), every(1e-3))
        if case.optimizer == "adam"
        else Sgd(every(0.01), every(0.9), every(1e-3), every(1e-3))
    )
    targets = jnp.asarray(y, jnp.float32 if case.loss == "squared" else jnp.int32)
    return (
        reference.start(case, jnp.asarray(theta, jnp.float32)),
        hyper,
        Limits(jnp.full(num_runs, 2**30, jnp.int32), every(-jnp.inf), every(-jnp.inf)),
        Data(jnp.asarray(x, jnp.float32), targets),
        Segment(jnp.full(num_runs, turns, jnp.int32), jnp.asarray(indices, jnp.int32)),
    )


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
