"""A lock that dies with its holder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sweep_engine.errors import OutputError


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a file's lock until the end, or this process's death.

    A forked child holds it too for as long as it lives: start workers by spawning.

    Raises:
        OutputError: Another process holds it.
    """
    with path.open("a+") as stream:
        _take(stream, path)
        _write_holder(stream)
        yield


def _take(stream: IO[str], path: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        raise OutputError(
            f"{path.parent.parent} is in use by {stream.read() or 'another driver'}: "
            "wait for it, or end it first"
        ) from error


def _write_holder(stream: IO[str]) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
