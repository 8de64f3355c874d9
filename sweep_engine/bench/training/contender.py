"""What every contender is: a way of training the networks of a problem for some steps."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from jaxtyping import Float

from sweep_engine.bench.training.problem import Problem

Run = Callable[[], Float[np.ndarray, " R"]]
"""Trains from the initial parameters, and returns each network's loss on all training data."""


class Contender(Protocol):
    """A way of training."""

    @property
    def name(self) -> str:
        """For the table."""

    @property
    def most_networks(self) -> int | None:
        """So many stand for all, where each is trained alone; None where all are trained."""

    def prepare(self, problem: Problem, steps: int) -> Run:
        """Make ready what is not timed: data on the device, indices of the minibatches."""
