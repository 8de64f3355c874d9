"""What the work on a shard takes from outside and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from sweep_engine.errors import Interrupted
from sweep_engine.keys import halves, run_ids
from sweep_engine.solutions import Curves, FunctionCounts, Solutions, UnitNumber
from sweep_engine.sources.bucket import Bucket, Hyper
from sweep_engine.spec.settings import Piece, Setting


@dataclass(frozen=True)
class Control:
    """How work is watched and stopped.

    Attributes:
        report: Called with the number of runs finished since the last call.
        should_stop: Asked between segments; True ends the work with `Interrupted`.
    """

    report: Callable[[int], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False

    def proceed(self, finished: int) -> None:
        """Report progress, and stop if asked to."""
        self.report(finished)
        if self.should_stop():
            raise Interrupted("stopped between two segments")


@dataclass(frozen=True)
class StoredRuns:
    """Runs of another source as they were stored: one for each run, or unit, of a shard.

    Attributes:
        theta: Parameters in the state asked for, shape (R, P); NaN in the final state of a run
            that diverged.
        steps: The steps after which that was.
        status: How the run ended, as `RunStatus`; RUNNING where it went on from that state.
        log_weight: Of the run, in nats.
        final: Parameters in the final state, where they are asked for as well.
    """

    theta: Float32[np.ndarray, "R P"]
    steps: Int[np.ndarray, " R"]
    status: Int[np.ndarray, " R"]
    log_weight: Float[np.ndarray, " R"]
    final: Float32[np.ndarray, "R P"] | None = None


@dataclass(frozen=True)
class Inputs:
    """What the work on a shard needs to know of earlier shards.

    Attributes:
        accepted: For a source that stops at the k-th acceptance: how many are missing.
        starts: For a source that starts from another: the runs that these start from.
        functions: For a source that asks for them: labels on the reference inputs of the
            commonest functions among the other's fits, shape (k, F).
    """

    accepted: int | None = None
    starts: StoredRuns | None = None
    functions: UInt8[np.ndarray, "k F"] | None = None


@dataclass(frozen=True)
class LaneSteps:
    """How well the lanes were used: steps that runs took, of the steps the lanes were there."""

    busy: int = 0
    all: int = 0


@dataclass(frozen=True)
class Finished:
    """The result of a shard's work.

    Attributes:
        solutions: The rows.
        columns: A value per row: losses and observables. None where the row has none.
        functions: Packed functions of the rows, shape (R, bytes).
        tallies: Counts per setting over all draws.
        curves: What was recorded on the way.
        measured: Numbers about settings or units that are no counts.
        lane_steps: How well the lanes were used.
    """

    solutions: Solutions
    columns: dict[str, np.ndarray]
    functions: UInt8[np.ndarray, "R bytes"]
    tallies: list[FunctionCounts]
    curves: Curves | None = None
    lane_steps: LaneSteps = LaneSteps()
    measured: tuple[UnitNumber, ...] = ()


@dataclass(frozen=True)
class Runs:
    """The runs of a list of pieces, in order: ids and each one's traced values."""

    ids: np.ndarray
    words: np.ndarray
    hyper: Hyper
    setting: np.ndarray

    @classmethod
    def of(cls, bucket: Bucket, pieces: Sequence[Piece]) -> "Runs":
        """List the runs of some pieces."""
        ids = np.concatenate([run_ids(p.setting.id, p.start, p.stop) for p in pieces])
        index = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
        hyper = bucket.hyper([piece.setting for piece in pieces])
        return cls(ids, halves(ids), {k: v[index] for k, v in hyper.items()}, ids >> 32)

    @classmethod
    def of_ids(
        cls, bucket: Bucket, ids: Int[np.ndarray, " R"], settings: Mapping[int, Setting]
    ) -> "Runs":
        """List runs by their ids."""
        known, index = np.unique(ids >> 32, return_inverse=True)
        hyper = bucket.hyper([settings[int(setting)] for setting in known])
        return cls(ids, halves(ids), {k: v[index] for k, v in hyper.items()}, ids >> 32)

    def __len__(self) -> int:
        return len(self.ids)

    def with_values(self, values: Hyper) -> "Runs":
        """Add to every run values of its own, by name."""
        return replace(self, hyper=self.hyper | values)

    def take(self, index: np.ndarray) -> "Runs":
        """Select runs."""
        hyper = {path: values[index] for path, values in self.hyper.items()}
        return Runs(self.ids[index], self.words[index], hyper, self.setting[index])

    def padded(self, length: int) -> "Runs":
        """Repeat the last run until there are `length`."""
        return self.take(np.minimum(np.arange(length), len(self) - 1))
