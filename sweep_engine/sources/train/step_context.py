"""StepContext: what an optimiser is told of the step that it takes, beside loss and parameters."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Int, Key


class StepContext(NamedTuple):
    """One step of one run.

    Attributes:
        step: Steps taken before.
        key: The run's own, for whatever the optimiser draws; the same at every step.
        running: Whether the run is still running; what a run that has ended is given is unused.
        num_examples: Examples in the training set.
    """

    step: Int[Array, ""]
    key: Key[Array, ""]
    running: Bool[Array, ""]
    num_examples: int
