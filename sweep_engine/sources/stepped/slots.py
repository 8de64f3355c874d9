"""RecordSlots: where on the device networks wait that are observed on the way."""

from collections.abc import Sequence
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sweep_engine.models import Network


class RecordSlots(Protocol):
    """Say which places of a run are recorded, and in which of a lane's slots."""

    @property
    def most_turns(self) -> int | None:
        """Turns of a segment in which no slot is needed twice; None where none ever is."""

    def empty(self, num_params: int) -> Any:
        """Make a lane's slots; empty where its state holds the networks already."""

    def set_aside(self, state: Any, network: Network) -> Any:
        """Copy a network that is recorded into its slot, before the step that changes it."""

    def networks(self, states: Any) -> Float[Array, "K S P"]:
        """Give theta in every slot of a block."""

    def filled(
        self, before: Int[np.ndarray, " K"], states: Any, ended: Bool[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
        """List what a segment has set aside: lanes, steps and slots.

        Args:
            before: The steps that every lane's run had taken before the segment.
            states: A block's states after it.
            ended: The lanes whose run has ended in it.
        """


def steps_to_any(places: Sequence[int], step: Int[Array, ""]) -> Int[Array, ""]:
    """Count the steps to the next of some places; the most there are if all lie behind."""
    ahead = jnp.asarray(places) - step
    return jnp.min(jnp.where(ahead > 0, ahead, np.iinfo(np.int32).max))
