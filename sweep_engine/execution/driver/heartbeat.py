"""How a run is doing, in a small file under `logs/`, for anyone who sees the directory."""

import contextlib
import json
import os
import socket
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from sweep_engine.execution.driver.progress import Standing
from sweep_engine.store import Files
from sweep_engine.store.layout import LOGS

PATH = f"{LOGS}/progress.json"
BEAT_SECONDS = 2.0
EVENTS = 50

STALE_SECONDS = 30.0
"""A run that goes on writes far more often; clocks of two machines may differ by a little."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a worker.

    Attributes:
        at: When, in seconds since 1970.
        what: `lost`, `silent` or `overdue`.
        worker: Which.
        shards: What it had.
    """

    at: float
    what: str
    worker: str
    shards: list[str]


class Heartbeat:
    """Writes how a run stands, now and then. What cannot be written is left out."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._next = 0.0
        self._events: deque[Event] = deque(maxlen=EVENTS)

    def note(self, event: Event) -> None:
        """Keep an event among the last ones that are written."""
        self._events.append(event)

    def beat(self, standing: Standing) -> None:
        """Write, if the last time is long enough ago."""
        if time.monotonic() >= self._next:
            self._write(standing, "running")

    def last(self, standing: Standing, state: str) -> None:
        """Write how the run ended: `ended`, or `stopped` before its end.

        Where there is no room for that, what was written before makes room: it says `running`.
        """
        if not self._write(standing, state):
            with contextlib.suppress(OSError):
                self._files.remove(PATH)
            self._write(standing, state)

    def _write(self, standing: Standing, state: str) -> bool:
        self._next = time.monotonic() + BEAT_SECONDS
        data = {
            "state": state,
            "written_at": time.time(),
            "driver": f"process {os.getpid()} on {socket.gethostname()}",
            "runs_per_second": standing.rate,
            "eta_seconds": standing.eta_seconds,
            **asdict(standing),
            "events": [asdict(event) for event in self._events],
        }
        try:
            self._files.write(PATH, json.dumps(data, indent=1).encode())
        except OSError:
            return False
        return True


def read_heartbeat(files: Files) -> dict[str, Any] | None:
    """Read how the last run stood; None where none has begun or the file cannot be read.

    `age_seconds` says how long ago it was written, and `state` is `stale` if that is too long
    for a run that goes on: its driver is gone, or cannot write.
    """
    try:
        data: dict[str, Any] = json.loads(files.read(PATH))
        data["age_seconds"] = max(0.0, time.time() - data.pop("written_at"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if data.get("state") == "running" and data["age_seconds"] > STALE_SECONDS:
        data["state"] = "stale"
    return data
