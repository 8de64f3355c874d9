"""Solutions: the one record that every source fills."""

import math
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8


class RunStatus(IntEnum):
    """How a run ended. Members are data on the device; `label` is what the tables say."""

    RUNNING = 0
    FIT = 1
    LOSS_REACHED = 2
    MAX_STEPS = 3
    DIVERGED = 4
    DRAWN = 5
    MAX_TIME = 6
    STALLED = 7

    @property
    def label(self) -> str:
        """The status as it stands in the tables."""
        return self.name.lower()


@dataclass(frozen=True)
class Curves:
    """What was recorded on the way: rows of (run, step).

    Attributes:
        run_id: Shape (T,).
        step: Shape (T,).
        train_loss: Shape (T,).
        train_error: Shape (T,); NaN where the task has no labels.
        observed: Values of W rows by column, shape (W, ...): what was observed on the way.
        place: Which of the W a row has, shape (T,); -1 where it has none.
        time: Shape (T,), of runs that go along a time.
    """

    run_id: Int[np.ndarray, " T"]
    step: Int[np.ndarray, " T"]
    train_loss: Float[np.ndarray, " T"]
    train_error: Float[np.ndarray, " T"]
    observed: dict[str, np.ndarray]
    place: Int[np.ndarray, " T"]
    time: Float[np.ndarray, " T"] | None = None


@dataclass(frozen=True)
class Solutions:
    """R runs: SGD solutions, prior draws and conditioned draws alike.

    Attributes:
        run_id: Shape (R,), 64-bit.
        setting: Id of each run's setting.
        status: `RunStatus` values.
        steps: Steps of the optimiser or solver; 0 for a draw.
        fit: Whether the final state passes the acceptance rule.
        fit_step: First checked step at which it passed; -1 if it never did.
        log_weight: Log importance weight, in nats; 0 for equally weighted draws.
        theta: Final parameters, shape (R, P).
        first_fit: Parameters at the first fit, shape (R, P), where they were kept as well.
        average: Average of the parameters along the run, shape (R, P), where it was kept.
        snapshots: Parameters after each of S steps, shape (R, S, P), where they were kept.
        snapshot_steps: These steps, shape (R, S); what a run did not reach is not meant.
        ancestor: Index, in its unit, of the draw that each row descends from, shape (R,), where
            draws are cloned.
    """

    run_id: Int[np.ndarray, " R"]
    setting: Int[np.ndarray, " R"]
    status: Int[np.ndarray, " R"]
    steps: Int[np.ndarray, " R"]
    fit: Bool[np.ndarray, " R"]
    fit_step: Int[np.ndarray, " R"]
    log_weight: Float[np.ndarray, " R"]
    theta: Float[np.ndarray, "R P"]
    first_fit: Float[np.ndarray, "R P"] | None = None
    average: Float[np.ndarray, "R P"] | None = None
    ancestor: Int[np.ndarray, " R"] | None = None
    snapshots: Float[np.ndarray, "R S P"] | None = None
    snapshot_steps: Int[np.ndarray, "R S"] | None = None

    def __len__(self) -> int:
        return len(self.run_id)

    def take(self, index: np.ndarray) -> "Solutions":
        """Select rows."""
        parts: dict[str, Any] = {
            field.name: None if (rows := getattr(self, field.name)) is None else rows[index]
            for field in fields(self)
        }
        return Solutions(**parts)


@dataclass(frozen=True)
class FunctionCounts:
    """How often each function was drawn in one setting, whether the draw was kept or not.

    Attributes:
        setting: Id of the setting.
        draws: Number of draws.
        fits: Number of draws that pass the acceptance rule.
        functions: Distinct functions as packed outputs, shape (F, bytes); F is 0 where
            outputs are not discrete.
        counts: Draws of each, shape (F,); all 0 where only fits were identified.
        fit_counts: Draws of each that fit, shape (F,).
    """

    setting: int
    draws: int
    fits: int
    functions: np.ndarray
    counts: Int[np.ndarray, " F"]
    fit_counts: Int[np.ndarray, " F"]


@dataclass(frozen=True)
class UnitNumber:
    """One number about a setting, or about a unit of dependent draws, that is no count.

    Attributes:
        setting: Id of the setting.
        what: Its name, such as `log_p_fit`.
        value: The number.
        stderr: Its standard error, where one unit tells; NaN elsewhere.
        unit: Which repetition or chain; -1 for the whole setting.
        function: Packed outputs of the function that it is about, where it is about one.
    """

    setting: int
    what: str
    value: float
    stderr: float = math.nan
    unit: int = -1
    function: UInt8[np.ndarray, " bytes"] | None = None
