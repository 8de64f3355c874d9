"""RecordTimes: the networks of a flow that are observed on its way."""

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.models import Network


class RecordTimes:
    """The places that are recorded: all of a flow's `times`, whose networks it keeps anyway.

    So a flow with a record is the program of the flow without, and has the same bits.
    """

    most_turns = None  # a time has its slot to itself

    def empty(self, num_params: int) -> tuple[()]:
        """Make nothing: the snapshots are the slots."""
        return ()

    def set_aside(self, state: Any, network: Network) -> Any:
        """Leave all as it is: a snapshot has been taken."""
        return state

    def networks(self, states: Any) -> Float[Array, "K M P"]:
        """Give theta at every time of a block."""
        return states.snapshots

    def filled(
        self, before: Int[np.ndarray, " K"], states: Any, ended: Bool[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
        """List what the flows that have ended have set aside: lanes, steps and slots."""
        steps = np.asarray(states.carried.time_steps)
        lane, slot = np.nonzero((steps >= 0) & ended[:, None])
        return lane, steps[lane, slot], slot
