"""The interface between the driver and whatever runs the shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sweep_engine.errors import WorkerLost

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

OpenWorkers = Callable[..., Sequence[Worker]]
"""Opens the workers of one process, one a device; one listed n times may have n jobs at once."""

Answer = TypeVar("Answer")

CORES = "SWEEP_ENGINE_CORES"
"""Environment variable: the cores that a worker's process should use, where not all."""


@dataclass(frozen=True)
class JobOutcome:
    """What became of a job: a receipt, or an error.

    Attributes:
        job: The job.
        worker: Who had it.
        receipt: What the worker reported; None if there is an error.
        error: `WorkerLost` if the worker went away, else what its code raised.
    """

    job: Job
    worker: str
    receipt: Receipt | None = None
    error: BaseException | None = None

    @property
    def lost(self) -> bool:
        """Whether the worker went away, which says nothing of the job."""
        return isinstance(self.error, WorkerLost)


class Backend(Protocol):
    """Workers that take jobs. Used by one driver thread; workers may come and go.

    Every job has exactly one outcome; they come in any order. After `cancel` the jobs in
    flight end soon, with an `Interrupted` error; `close` may be called more than once.
    """

    def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Call a function where the workers will be, and return what it returns."""

    def open(self, open_workers: OpenWorkers, *arguments: Any) -> None:
        """Open the workers, in every process that they will be in.

        What the function and its arguments hold travels once, even if `ask` was given it too.
        """

    @property
    def num_workers(self) -> int:
        """How many workers there are now."""

    def vacancies(self) -> Sequence[str]:
        """Name a worker for every job that may be submitted now, idle workers first."""

    def submit(self, job: Job, worker: str) -> None:
        """Start a job; RuntimeError when the worker has no vacancy."""

    def wait(self, seconds: float) -> list[JobOutcome]:
        """Wait for outcomes, at most so long; an empty list when none came."""

    def silent(self) -> Sequence[str]:
        """Name the workers with jobs of which nothing has been heard for long."""

    def progress(self) -> int:
        """Count the runs that the jobs in flight have finished so far."""

    def cancel(self) -> None:
        """Ask all jobs in flight to end without a result."""

    def close(self) -> None:
        """Cancel, give the jobs in flight a moment to end, and free the workers."""
