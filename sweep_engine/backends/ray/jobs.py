"""Ray's job server, from outside the cluster: submit a command with its files, and follow it."""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sweep_engine.backends.ray import door
from sweep_engine.backends.ray.security import is_loopback, open_to_all, require_token
from sweep_engine.errors import ClusterError, Interrupted, OutputError

RECONNECT_SECONDS = 2.0
RECONNECTS = 30
"""Connections in a row that may break without a word before that is the end."""


FAILED_IN_JOB = 4
"""What `run` ends with as a job where it ends with 1 elsewhere: with 1 Ray ends its drivers."""

EXIT_CODES = {FAILED_IN_JOB: 1, 2: 2, 3: 3}
"""Of `run`, by those of its job. One that ends with another was ended by somebody, or by Ray."""


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

    def how_to_follow(self, job: str) -> str:
        """The command that follows a job again."""
        return f"sweep-engine submit --attach {job} --address {self._address}"

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Show a job's output from its beginning to its end; returns its exit code.

        A broken connection is made again. An exception leaves the job as it is.

        Raises:
            OutputError: that is no job's id.
            ClusterError: there is no such job.
            Interrupted: the connection is gone for good, or the job was ended from outside.
        """
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", job):
            raise OutputError(f"--attach {job!r}: that is no job's id, as `submit` prints one")
        log, broken = _Log(show), 0
        while True:
            before = log.shown
            why = "its output ends without its end"
            try:
                # Ray writes the token of whom it refuses a log into a log of its own.
                door.job_state(self._client, job)
                with contextlib.suppress(ConnectionError):
                    door.tail(self._client, job, log.from_the_beginning())
                state = door.job_state(self._client, job)
                if state.status.is_terminal():
                    return _exit_code(job, state)
            except door.NotAnswered as error:
                why = str(error)
            broken = 0 if log.shown > before else broken + 1
            if broken > RECONNECTS:
                raise Interrupted(
                    f"{self._address} cannot be reached ({why}); the job may go on; to follow it "
                    f"again: {self.how_to_follow(job)}"
                )
            time.sleep(RECONNECT_SECONDS)


def _exit_code(job: str, state: Any) -> int:
    """The exit code of a job that is over.

    Raises:
        Interrupted: it was ended from outside.
    """
    if state.status == "SUCCEEDED":
        return 0
    code = EXIT_CODES.get(state.driver_exit_code)
    if state.status == "STOPPED" or code is None:
        why = str(state.message or state.status).strip().partition("\n")[0]
        raise Interrupted(
            f"{job} was ended from outside ({why}); what is done is kept, submit it again to go on"
        )
    return code


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
