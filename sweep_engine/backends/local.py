"""The local backend: threads of this process, each running one job at a time.

Threads are enough: the work is done inside compiled programs and Parquet writing, which
run without the interpreter's lock.
"""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

from sweep_engine.backends.backend import Job, Outcome, Worker


class LocalBackend:
    """Runs jobs in `num_workers` threads."""

    def __init__(self, worker: Worker, num_workers: int) -> None:
        self._worker = worker
        self._capacity = num_workers
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix="sweep-engine")
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._finished_runs = 0

    @property
    def capacity(self) -> int:
        return self._capacity

    def submit(self, job: Job) -> None:
        with self._lock:
            if self._in_flight >= self._capacity:
                raise RuntimeError(f"{self._in_flight} jobs are in flight already")
            self._in_flight += 1
        self._pool.submit(self._run, job)

    def wait(self, seconds: float) -> list[Outcome]:
        found: list[Outcome] = []
        try:
            found.append(self._outcomes.get(timeout=seconds))
            while True:
                found.append(self._outcomes.get_nowait())
        except queue.Empty:
            return found

    def progress(self) -> int:
        with self._lock:
            finished, self._finished_runs = self._finished_runs, 0
        return finished

    def cancel(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self.cancel()
        self._pool.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        try:
            outcome = Outcome(job, receipt=self._worker(job, self._report, self._stop.is_set))
        except Exception as error:
            outcome = Outcome(job, error=error)
        with self._lock:
            self._in_flight -= 1
        self._outcomes.put(outcome)

    def _report(self, finished: int) -> None:
        with self._lock:
            self._finished_runs += finished
