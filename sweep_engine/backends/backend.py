"""The interface between the driver and whatever runs the shards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Receipt = dict[str, Any]
"""What a worker reports of a committed shard, as plain JSON data."""


@dataclass(frozen=True)
class Job:
    """One attempt at a shard.

    Attributes:
        shard: Its id.
        accepted: Discard the draws after so many acceptances; None where nothing is cut.
    """

    shard: str
    accepted: int | None = None


Worker = Callable[[Job, Callable[[int], None], Callable[[], bool]], Receipt]
"""(job, report of finished runs, should stop) -> receipt. Commits the shard's files itself."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a receipt, or the error that its code raised.

    Attributes:
        job: The job.
        receipt: What the worker reported; None if it raised.
        error: What it raised; None if it did not.
    """

    job: Job
    receipt: Receipt | None = None
    error: BaseException | None = None


class Backend(Protocol):
    """Workers that take jobs. Used by one driver thread.

    Results come in any order. After `cancel` the jobs in flight end soon, with an
    `Interrupted` error; `close` may be called more than once.
    """

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight."""

    def submit(self, job: Job) -> None:
        """Start a job; RuntimeError when `capacity` jobs are in flight."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait for outcomes, at most so long; an empty list when none came."""

    def progress(self) -> int:
        """Count the runs that jobs have finished since the last call."""

    def cancel(self) -> None:
        """Ask all jobs in flight to end without a result."""

    def close(self) -> None:
        """Cancel, wait for the jobs in flight, and free the workers."""
