"""A process on the cluster with workers in it; what the driver's calls run. Imports no ray."""

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sweep_engine.backends.backend import Job, OpenWorkers, Receipt, Worker


@dataclass(frozen=True)
class Reply:
    """What a call came to: a value, or the error that it raised."""

    value: Any = None
    error: BaseException | None = None


class Host:
    """An actor: it opens its workers once and does jobs until the driver lets it go.

    Args:
        environment: Set before anything else is imported.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._workers: list[Worker] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._finished_runs: dict[int, int] = {}

    def ask(self, question: Callable[..., Any], *arguments: Any) -> Reply:
        """Call a function here."""
        return _reply(question, *arguments)

    def open(self, open_workers: OpenWorkers, *arguments: Any) -> Reply:
        """Open the workers; the value is how many jobs each may have at once."""
        return _reply(self._open, open_workers, *arguments)

    def _open(self, open_workers: OpenWorkers, *arguments: Any) -> list[int]:
        opened = list(open_workers(*arguments))
        self._workers = list(dict.fromkeys(opened))
        return [opened.count(worker) for worker in self._workers]

    def work(self, flight: int, worker: int, job: Job) -> Reply:
        """Do a job; the value is its receipt."""
        try:
            return _reply(self._work, flight, worker, job)
        finally:
            with self._lock:
                self._finished_runs.pop(flight, None)

    def _work(self, flight: int, worker: int, job: Job) -> Receipt:
        def report(finished: int) -> None:
            with self._lock:
                self._finished_runs[flight] = self._finished_runs.get(flight, 0) + finished

        return self._workers[worker](job, report, self._stop.is_set)

    def look(self, seconds: float) -> dict[int, int]:
        """After so long, say how many runs the jobs in flight have finished."""
        time.sleep(seconds)
        with self._lock:
            return dict(self._finished_runs)

    def stop(self) -> None:
        """Ask all jobs to end."""
        self._stop.set()


def _reply(function: Callable[..., Any], *arguments: Any) -> Reply:
    try:
        return Reply(function(*arguments))
    except BaseException as error:
        return Reply(error=_portable(error))


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as text, in a form that another process can read."""
    lines = traceback.format_exception(error)
    try:
        portable: BaseException = pickle.loads(pickle.dumps(error))
    except Exception:
        portable = RuntimeError(lines[-1].strip())
    portable.add_note("".join(lines))
    return portable
