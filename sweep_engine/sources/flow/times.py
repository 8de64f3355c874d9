"""RecordTimes: the networks of a flow that are observed on its way, one slot a time."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int


@dataclass(frozen=True)
class RecordTimes:
    """Which times of a flow are recorded: those that its solver steps to.

    Attributes:
        times: In increasing order.
    """

    times: Float32[np.ndarray, " M"]

    most_turns = None  # a time has its slot to itself

    @property
    def num_slots(self) -> int:
        """Say how many networks a lane holds."""
        return len(self.times)

    def due(self, state: Any) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        """Say whether a flow is at one of the times, and at which, on the device."""
        here = jnp.asarray(self.times) == state.carried.time
        return jnp.any(here), jnp.argmax(here)

    def filled(
        self, before: Int[np.ndarray, " K"], states: Any, ended: Bool[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
        """List what the flows that have ended have set aside: lanes, steps and slots."""
        steps = np.asarray(states.carried.time_steps)
        lane, slot = np.nonzero((steps >= 0) & ended[:, None])
        return lane, steps[lane, slot], slot
