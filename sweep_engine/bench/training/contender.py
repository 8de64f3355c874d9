"""What every contender is: a way of training the networks of a problem for some steps."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from jaxtyping import Float

from sweep_engine.bench.training.problem import Problem, Workload

Losses = Callable[[], Float[np.ndarray, " R"]]
"""Computes each network's loss on all training data."""

Run = Callable[[], Losses]
"""Trains from the initial parameters to the end."""


class Contender(Protocol):
    """A way of training."""

    @property
    def name(self) -> str:
        """For the table."""

    @property
    def most_networks(self) -> int | None:
        """So many stand for all, where each is trained alone; None where all are trained."""

    def least_steps(self, workload: Workload) -> int:
        """Steps of a timed call at least."""

    def suits(self, problem: Problem) -> bool:
        """Whether it can train this problem here."""

    def prepare(self, problem: Problem, steps: int) -> Run:
        """Make ready what is not timed: data on the device, indices of the minibatches."""


class Bare:
    """A contender that has nothing to do but the steps."""

    most_networks: int | None = None

    def least_steps(self, workload: Workload) -> int:
        return 1

    def suits(self, problem: Problem) -> bool:
        return True
