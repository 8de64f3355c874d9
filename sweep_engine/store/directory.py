"""The output directory of a sweep: its files, its lock, its room."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sweep_engine.errors import OutputError
from sweep_engine.store.files import LocalFiles
from sweep_engine.store.layout import FIGURES, LEDGER, LOGS

_LOCK_NAME = "driver.lock"


@dataclass(frozen=True)
class OutputDirectory:
    """Where the results of one sweep stand.

    Attributes:
        root: The directory itself.
    """

    root: Path

    @property
    def files(self) -> LocalFiles:
        """The storage operations on it."""
        return LocalFiles(self.root)

    @property
    def sweep_yaml(self) -> Path:
        """The sweep file as it was given."""
        return self.root / "sweep.yaml"

    @property
    def sweep_json(self) -> Path:
        """The sweep resolved, with its id and its plan."""
        return self.root / "sweep.json"

    @property
    def logs(self) -> Path:
        return self.root / LOGS

    @property
    def comparisons(self) -> Path:
        return self.root / "comparisons.parquet"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        return self.root / FIGURES

    def create(self) -> None:
        """Make the directory, or take up one that a sweep already began.

        Raises:
            OutputError: It is a file, cannot be written, or holds something else.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if any(self.root.iterdir()) and not self._is_ours():
                raise OutputError(
                    f"{self.root} is not empty and no sweep's output: give --out another directory"
                )
            (self.root / LEDGER).mkdir(exist_ok=True)
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.root} cannot be used: {error.strerror}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory against a second driver, until the end or this process's death.

        A forked child holds it too for as long as it lives: start workers by spawning.

        Raises:
            OutputError: Another driver holds it.
        """
        with (self.logs / _LOCK_NAME).open("a+") as stream:
            self._take(stream)
            _write_holder(stream)
            yield

    def free_bytes(self) -> int:
        """The room left on the file system."""
        return shutil.disk_usage(self.root).free

    def _is_ours(self) -> bool:
        return (self.root / LEDGER).is_dir() or self.sweep_json.is_file()

    def _take(self, stream: IO[str]) -> None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise OutputError(
                f"{self.root} is in use by {stream.read() or 'another driver'}: "
                "wait for it, or end it first"
            ) from error


def _write_holder(stream: IO[str]) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
