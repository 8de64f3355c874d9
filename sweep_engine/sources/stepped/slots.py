"""RecordSlots: where on the device networks wait that are observed on the way."""

from typing import Any, Protocol

import numpy as np
from jaxtyping import Array, Bool, Int


class RecordSlots(Protocol):
    """Which places of a run are recorded, and in which of a lane's slots."""

    @property
    def num_slots(self) -> int:
        """Say how many networks a lane holds."""

    @property
    def most_turns(self) -> int | None:
        """Turns of a segment in which no slot is needed twice; None where none ever is."""

    def due(self, state: Any) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        """Say whether a run's network is recorded as it is, and in which slot, on the device."""

    def filled(
        self, before: Int[np.ndarray, " K"], states: Any, ended: Bool[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
        """List what a segment has set aside: lanes, steps and slots.

        Args:
            before: The steps that every lane's run had taken before the segment.
            states: A block's states after it.
            ended: The lanes whose run has ended in it.
        """
