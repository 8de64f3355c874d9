"""Ray's job server, from outside the cluster: submit a command with its files, and follow it."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sweep_engine.backends.ray import door
from sweep_engine.backends.ray.security import is_loopback, open_to_all, require_token
from sweep_engine.errors import ClusterError

RECONNECT_SECONDS = 2.0
RECONNECTS = 30
"""Connections in a row that may break without a word before that is the end."""


@dataclass(frozen=True)
class Files:
    """What a job takes along.

    Attributes:
        folder: Its working directory.
        packages: Python packages that come before those installed on the cluster.
    """

    folder: Path
    packages: Sequence[Path]


class Jobs:
    """A cluster's job server.

    Args:
        address: `http://HOST:PORT`, of which the dashboard's port is 8265 as a rule.

    Raises:
        ClusterError: it cannot be reached, refuses the token, or is open to everyone.
    """

    def __init__(self, address: str) -> None:
        self._address = address if "://" in address else f"http://{address}"
        require_token(self._address)
        host = urlsplit(self._address).hostname or ""
        if not is_loopback(host) and door.job_server_admits_strangers(self._address):
            raise ClusterError(open_to_all(self._address))
        self._client = door.job_client(self._address)

    def submit(self, command: str, files: Files) -> str:
        """Start a command on the cluster; returns the job's id."""
        with door.as_cluster_error(self._address):
            return str(
                self._client.submit_job(
                    entrypoint=command,
                    runtime_env={
                        "working_dir": str(files.folder),
                        "py_modules": [str(package) for package in files.packages],
                    },
                )
            )

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Show a job's output from its beginning to its end; returns its exit code.

        A broken connection is made again. An exception, as Ctrl-C raises one, leaves the job
        as it is.
        """
        log, broken = _Log(show), 0
        while True:
            before = log.shown
            with contextlib.suppress(ConnectionError):
                door.tail(self._client, job, log.from_the_beginning())
            with door.as_cluster_error(self._address):
                state = self._client.get_job_info(job)
            if state.status.is_terminal():
                break
            broken = 0 if log.shown > before else broken + 1
            if broken > RECONNECTS:
                raise ClusterError(f"the output of {job} cannot be followed at {self._address}")
            time.sleep(RECONNECT_SECONDS)
        if state.status == "SUCCEEDED":
            return 0
        return state.driver_exit_code or 1


@dataclass
class _Log:
    """A log that is read from its beginning with every connection, and shown once."""

    show: Callable[[str], None]
    shown: int = 0

    def from_the_beginning(self) -> Callable[[str], None]:
        """What takes the log piece by piece."""
        seen = 0

        def take(text: str) -> None:
            nonlocal seen
            new = text[max(0, self.shown - seen) :]
            seen += len(text)
            if new:
                self.shown = seen
                self.show(new)

        return take
