"""How kernels of training are tried."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from sweep_engine.solutions import RunStatus
from sweep_engine.sources.stepped.single_run import GIVEN_START
from sweep_engine.sources.train.kernel import case_of
from sweep_engine.sources.train.programs import TrainPrograms
from sweep_engine.sources.trial import Disagrees, Rehearsed

TEST_STEPS = 3
TEST_RATES = (1e-4, 1e-1)
TOLERANCE = 1e-3
ROUNDING = 2e-6
"""Of the self-test: of the largest move of a parameter, and of the largest parameter."""


class TrainTrial:
    """Tries kernels of training."""

    unit = "network-steps"

    def self_test(self, kernel: TrainPrograms, xla: TrainPrograms) -> str:
        """Train a block from the same start.

        Learning rates rise from lane to lane, and decays are large, so that every term shows. A
        quarter of the lanes may differ: a relu within rounding of 0 may take the other side.
        """
        name, hyper = kernel.implementation, _test_values(kernel)
        began, _ = _ended(kernel, 0, hyper)
        found, ends = _ended(kernel, TEST_STEPS, hyper)
        truth, true_ends = _ended(xla, TEST_STEPS, hyper)
        moved = np.abs(truth - began).max(axis=1)
        told = np.isfinite(truth).all(axis=1) & (moved > 0)
        if not told.any():
            raise Disagrees(
                f"the {name} kernel could not be tested: no network can be trained here"
            )
        gap = np.abs(found - truth)[told].max(axis=1)
        size = np.abs(truth)[told].max(axis=1)
        close = gap <= TOLERANCE * moved[told] + ROUNDING * size
        agree = close & (ends == true_ends)[told].all(1)
        if agree.mean() < 0.75:
            raise Disagrees(
                f"the {name} kernel differs from XLA by {np.nanmedian(gap / moved[told]):.1e} of "
                f"the parameters' moves in {TEST_STEPS} steps on this device"
            )
        return f"agreed with XLA to {np.median(gap / moved[told]):.0e} of the parameters' moves"

    def rehearse(self, programs: TrainPrograms, length: int) -> Callable[[int], Rehearsed]:
        """Train a segment of so many steps at most, from the start."""
        arguments = programs.first_segment(length, programs.example)
        programs.advance.compiled(*arguments)

        def call(_: int) -> Rehearsed:
            states = programs.advance(*arguments)
            ended = np.asarray(states.status) != RunStatus.RUNNING
            return Rehearsed(int(np.asarray(states.step).sum()), int(ended.sum()))

        return call


def _test_values(programs: TrainPrograms) -> dict[str, Any]:
    lanes = programs.bucket.lanes
    given: dict[str, Any] = {
        "optimizer.learning_rate": np.geomspace(*TEST_RATES, lanes + 2)[1:-1],
        "optimizer.momentum": np.full(lanes, 0.9),
        "optimizer.l2": np.full(lanes, 0.1),
        "optimizer.weight_decay": np.full(lanes, 0.1),
        "stop.max_steps": np.full(lanes, TEST_STEPS),
    }
    values = {name: value[:lanes] for name, value in programs.example.items()}
    if GIVEN_START in values:  # zeros, from which most gradients are 0
        width = max(max(n, m) for n, m, _ in case_of(programs.single).layers)
        shape = values[GIVEN_START].shape
        given[GIVEN_START] = np.random.default_rng(0).normal(size=shape) / np.sqrt(width)
    return values | {k: v.astype(values[k].dtype) for k, v in given.items() if k in values}


def _ended(
    programs: TrainPrograms, steps: int, hyper: dict[str, Any]
) -> tuple[Float[np.ndarray, "K P"], np.ndarray]:
    """Parameters, and (step, status) of K lanes, after so many steps and the last check."""
    iterations = steps + 1 if steps else 0
    lanes, width = programs.bucket.lanes, programs.width
    repeated = {name: np.resize(value, (width, *value.shape[1:])) for name, value in hyper.items()}
    states = programs.advance(*programs.first_segment(iterations, repeated))
    ends = np.stack([np.asarray(states.step), np.asarray(states.status)], axis=1)
    return programs.bucket.network.layout.flatten_rows(states.params)[:lanes], ends[:lanes]
