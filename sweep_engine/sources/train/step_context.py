"""StepContext: what an optimiser is told of the step that it takes, beside loss and parameters."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Int, Key, UInt32

from sweep_engine.keys import Purpose, run_key


class StepContext(NamedTuple):
    """One step of one run.

    Attributes:
        step: Steps taken before.
        root: The sweep's key.
        run: The words of the run's id.
        running: Whether the run is still running; what a run that has ended is given is unused.
        num_examples: Examples in the training set.
    """

    step: Int[Array, ""]
    root: Key[Array, ""]
    run: UInt32[Array, "2"]
    running: Bool[Array, ""]
    num_examples: int

    @property
    def key(self) -> Key[Array, ""]:
        """Make the run's key for whatever its optimiser draws; the same at every step.

        Made where it is asked for: some 400 operations, which a program without noise would hold
        and its compiler take out again.
        """
        return run_key(self.root, self.run, Purpose.OPTIMIZER)
