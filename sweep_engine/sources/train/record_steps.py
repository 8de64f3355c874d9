"""RecordSteps: at which steps a run is recorded, and where in memory that is."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.models import Network
from sweep_engine.solutions import RunStatus
from sweep_engine.sources.stepped.single_run import RunState
from sweep_engine.sources.stepped.slots import steps_to_any
from sweep_engine.spec.sources import Record

SLOTS = 16
"""Networks that a lane can hold aside, at least: so seldom need a segment end for them."""


@dataclass(frozen=True)
class RecordSteps:
    """Which steps are recorded, and in which of a lane's slots.

    Attributes:
        spec: What stands in the sweep.
        alignment: Steps after which a segment likes to end.
    """

    spec: Record
    alignment: int

    @property
    def num_slots(self) -> int:
        """Say how many networks a lane holds: all of a list of steps, else those of one segment."""
        if self.spec.at is not None:
            return len(self.spec.at)
        assert self.spec.every is not None
        return max(SLOTS, -(-self.alignment // self.spec.every))

    @property
    def most_turns(self) -> int | None:
        """Turns of a segment in which no slot is needed twice; None where none ever is."""
        if self.spec.every is None:
            return None
        turns = self.num_slots * self.spec.every
        return turns - turns % self.alignment  # above 0: the slots last for one alignment

    def slot(self, step: Int[Array, ""]) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        """Say whether the network at a step is recorded, and in which slot, on the device."""
        if self.spec.at is not None:
            here = jnp.asarray(self.spec.at) == step
            return jnp.any(here), jnp.argmax(here)
        assert self.spec.every is not None
        return step % self.spec.every == 0, step // self.spec.every % self.num_slots

    def empty(self, num_params: int) -> Float[Array, "S P"]:
        """Make a lane's slots."""
        return jnp.zeros((self.num_slots, num_params))

    def set_aside(self, state: RunState, network: Network) -> RunState:
        """Copy a network that is recorded into its slot, before the step that changes it.

        A scatter, which writes P numbers a lane; where nothing is due it writes past the end.
        """
        is_due, slot = self.slot(state.step)
        is_due &= state.status == RunStatus.RUNNING
        place = jnp.where(is_due, slot, self.num_slots)
        theta = network.layout.flatten(state.params)
        return state._replace(recorded=state.recorded.at[place].set(theta, mode="drop"))

    def steps_to_next(self, step: Int[Array, ""]) -> Int[Array, ""]:
        """Count the steps to the next that is recorded."""
        if self.spec.at is not None:
            return steps_to_any(self.spec.at, step)
        assert self.spec.every is not None
        return self.spec.every - step % self.spec.every

    def networks(self, states: RunState) -> Float[Array, "K S P"]:
        """Give theta in every slot of a block."""
        return states.recorded

    def filled(
        self,
        before: Int[np.ndarray, " K"],
        states: RunState,
        ended: Bool[np.ndarray, " K"],
    ) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
        """List what a segment has set aside: lanes, steps and slots.

        A lane that goes on has not been at its last step yet; one that has ended was there.
        """
        stop = np.asarray(states.step) + ended
        met = [self.between(*each) for each in zip(before.tolist(), stop.tolist(), strict=True)]
        steps, slots = (np.concatenate(parts) for parts in zip(*met, strict=True))
        return np.repeat(np.arange(len(met)), [len(at) for at, _ in met]), steps, slots

    def between(self, start: int, stop: int) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]]:
        """List the steps from `start` to `stop` - 1 that are recorded, and the slot of each."""
        if self.spec.at is not None:
            at = np.array(self.spec.at)
            slots = np.flatnonzero((at >= start) & (at < stop))
            return at[slots], slots
        assert self.spec.every is not None
        index = np.arange(-(-start // self.spec.every), -(-stop // self.spec.every))
        return index * self.spec.every, index % self.num_slots
