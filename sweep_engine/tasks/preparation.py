"""Prepare inputs, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from sweep_engine.errors import FieldError
from sweep_engine.spec.base import Spec, check_complete
from sweep_engine.spec.preparation import MaxPool, MeanPool, Normalise, StepSpec

Inputs = Float[np.ndarray, "N ..."]


def prepared(x: Inputs, steps: tuple[StepSpec, ...] | None) -> Inputs:
    """Apply the steps to inputs, in their order.

    Raises:
        FieldError: an input is smaller than a window.
    """
    for place, step in enumerate(steps or ()):
        try:
            x = STEPS[type(step)](step, x)
        except ValueError as error:
            raise FieldError(("steps", str(place)), str(error)) from error
    return x


def _normalise(step: Normalise, x: Inputs) -> Inputs:
    return (x - step.mean) / step.std


def _max_pool(step: MaxPool, x: Inputs) -> Inputs:
    windows, inside = _windows(x, step.side)
    return windows.max(axis=inside)


def _mean_pool(step: MeanPool, x: Inputs) -> Inputs:
    windows, inside = _windows(x, step.side)
    return windows.mean(axis=inside)


def _windows(x: Inputs, side: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Split every axis of an input in two: which window, and where in it; list the latter."""
    counts = [length // side for length in x.shape[1:]]
    if not all(counts):
        raise ValueError(f"inputs of shape {x.shape[1:]} have no window of side {side}")
    cut = x[:, *(slice(count * side) for count in counts)]
    parts = [part for count in counts for part in (count, side)]
    return cut.reshape(len(x), *parts), tuple(range(2, 2 + 2 * len(counts), 2))


STEPS: dict[type[Spec], Callable[[Any, Inputs], Inputs]] = {
    Normalise: _normalise,
    MaxPool: _max_pool,
    MeanPool: _mean_pool,
}
"""What every step does to inputs."""

check_complete(StepSpec, STEPS, f"{__name__}.STEPS")
