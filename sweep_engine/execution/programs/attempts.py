"""Self-tests of kernels on accelerators: what ended this process once is not tried again.

A kernel that has an error can end the process, or keep the device busy for ever, before
anybody can say so. A note of the self-test lies in this user's cache until it has ended.
"""

import hashlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep_engine import stopping
from sweep_engine.caches import cache_folder

STUCK_SECONDS = 120.0
"""A signal that comes before takes the note away: the test was going on, and its user left."""


@contextmanager
def noted(kernel: str, device_kind: str) -> Iterator[None]:
    """Keep a note while a kernel is tested; see `ended_its_process`."""
    try:
        note, began = _note(kernel, device_kind), time.monotonic()
        note.write_text(str(os.getpid()))
    except OSError:  # a cache is optional
        yield
        return

    def interrupt() -> None:
        if time.monotonic() - began < STUCK_SECONDS:
            note.unlink(missing_ok=True)

    with stopping.ending(interrupt):
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def ended_its_process(kernel: str, device_kind: str) -> bool:
    """Say whether a self-test was begun on this machine by a process that is no more."""
    try:
        process = int(_note(kernel, device_kind).read_text())
    except (OSError, ValueError):
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # or its number is somebody else's now
        return True
    return False


def _note(kernel: str, device_kind: str) -> Path:
    """Name the file: homes are shared by machines, whose processes have numbers of their own."""
    identity = "\0".join([kernel, device_kind, platform.node()])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache_folder("self_tests") / f"{kernel}-{digest}"
