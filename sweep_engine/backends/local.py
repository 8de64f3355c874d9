"""The local backend: threads of this process, each running one job at a time.

Threads are enough: the work is done inside compiled programs and Parquet writing, which
run without the interpreter's lock.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

from sweep_engine.backends.backend import Answer, Job, JobOutcome, OpenWorkers, Worker

CLOSE_SECONDS = 5.0
"""So long may jobs in flight take to end when they are asked to."""


class LocalBackend:
    """Runs jobs in threads, one for every worker that is opened.

    Args:
        num_threads: Instead of that: the workers are gone through in turn.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        self._num_threads = num_threads
        self._workers: dict[str, Worker] = {}
        self._places: Counter[str] = Counter()
        self._pool: ThreadPoolExecutor | None = None
        self._outcomes: queue.SimpleQueue[JobOutcome] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()
        self._finished_runs: dict[object, int] = {}

    def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        return question(*arguments)

    def open(self, open_workers: OpenWorkers, *arguments: Any) -> None:
        opened = open_workers(*arguments)
        places = list(islice(cycle(opened), self._num_threads or len(opened)))
        names = {id(worker): str(index) for index, worker in enumerate(dict.fromkeys(places))}
        self._workers = {names[id(worker)]: worker for worker in places}
        self._places = Counter(names[id(worker)] for worker in places)
        self._pool = ThreadPoolExecutor(len(places), thread_name_prefix="sweep-engine")

    @property
    def num_workers(self) -> int:
        return len(self._workers)

    def vacancies(self) -> Sequence[str]:
        with self._lock:
            in_flight = Counter(self._in_flight)
        found = [
            (taken, name)
            for name, places in self._places.items()
            for taken in range(in_flight[name], places)
        ]
        return [name for _, name in sorted(found, key=lambda place: place[0])]

    def submit(self, job: Job, worker: str) -> None:
        with self._lock:
            if self._in_flight[worker] >= self._places[worker]:
                raise RuntimeError(f"{self._in_flight[worker]} jobs are in flight already")
            self._in_flight[worker] += 1
        assert self._pool is not None
        self._pool.submit(self._run, job, worker)

    def wait(self, seconds: float) -> list[JobOutcome]:
        found: list[JobOutcome] = []
        try:
            found.append(self._outcomes.get(timeout=seconds))
            while True:
                found.append(self._outcomes.get_nowait())
        except queue.Empty:
            return found

    def silent(self) -> Sequence[str]:
        return ()

    def progress(self) -> int:
        with self._lock:
            return sum(self._finished_runs.values())

    def cancel(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self.cancel()
        end = time.monotonic() + CLOSE_SECONDS
        while self._is_anyone_busy() and time.monotonic() < end:
            time.sleep(0.01)
        if self._pool is not None:
            self._pool.shutdown(wait=not self._is_anyone_busy(), cancel_futures=True)

    def _is_anyone_busy(self) -> bool:
        with self._lock:
            return any(self._in_flight.values())

    def _run(self, job: Job, worker: str) -> None:
        flight = object()

        def report(finished: int) -> None:
            with self._lock:
                self._finished_runs[flight] = self._finished_runs.get(flight, 0) + finished

        try:
            receipt = self._workers[worker](job, report, self._stop.is_set)
            outcome = JobOutcome(job, worker, receipt=receipt)
        except BaseException as error:
            outcome = JobOutcome(job, worker, error=error)
        with self._lock:
            self._in_flight[worker] -= 1
            self._finished_runs.pop(flight, None)
        self._outcomes.put(outcome)
