"""The output directory of a sweep: its files, its lock, its room."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweep_engine.errors import OutputError, explain
from sweep_engine.store.files import Files, LocalFiles, open_files
from sweep_engine.store.layout import LEDGER, LOGS, SWEEP_JSON


@dataclass(frozen=True)
class OutputDirectory:
    """Where the results of one sweep stand.

    Attributes:
        root: A folder, or an address `s3://bucket/prefix` or `gs://bucket/prefix`.
    """

    root: Path | str

    @cached_property
    def files(self) -> Files:
        """The storage operations on it."""
        return open_files(self.root)

    @property
    def is_ours(self) -> bool:
        """Whether a sweep has begun here."""
        return self.files.exists(SWEEP_JSON) or LEDGER in self.files.folders()

    def create(self) -> None:
        """Make the directory, or take up one that a sweep already began.

        Raises:
            OutputError: It is a file, cannot be written, or holds something else.
        """
        try:
            if not self.files.is_empty() and not self.is_ours:
                raise OutputError(
                    f"{self.root} is not empty and no sweep's output: give --out another directory"
                )
            self.files.create([LEDGER, LOGS])
        except OSError as error:
            raise OutputError(f"{self.root} cannot be used: {explain(error)}") from error

    @property
    def is_read_only(self) -> bool:
        """Whether this process may only read what is here; of an object store nobody knows."""
        files = self.files
        if not isinstance(files, LocalFiles):
            return False
        folders = [files.root, files.root / LEDGER, files.root / LOGS]
        return any(folder.exists() and not os.access(folder, os.W_OK) for folder in folders)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the directory against a second driver; see `Files.lock`."""
        return self.files.lock()

    def free_bytes(self) -> int | None:
        """The room that is left; None where nothing bounds it."""
        return self.files.free_bytes()
