"""The storage operations that everything in the store goes through.

Paths are relative to the root, with `/` between the parts, so that an object store can answer
the same operations. Each leaves the old state or the new one, never something between, and may
be asked for again after a crash or a lost reply.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pyarrow.fs as pafs

from sweep_engine.errors import OutputError
from sweep_engine.store.layout import STAGING


class LocalFiles:
    """The storage operations on a local or network file system with hard links.

    Every operation raises `OSError` as the system gave it (no space, an input/output error) and
    `OutputError` if a path would leave the root.

    Attributes:
        root: The output directory.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file durably, in place of an older one."""
        self.write_all({path: data})

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write whole files, by path. All are durable on return; before, any of them may be."""
        targets = {self._target(path): data for path, data in contents.items()}
        for target, data in targets.items():
            self._write_temporary(data).replace(target)
        for folder in {target.parent for target in targets}:
            _sync(folder)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write a whole file durably unless there is one; the commit point of the store.

        Of any number of writers with different data exactly one ever gets True. It gets True
        again if it repeats the call, as it must after a lost reply.
        """
        target = self._target(path)
        temporary = self._write_temporary(data)
        try:
            target.hardlink_to(temporary)
        except FileExistsError:
            return target.read_bytes() == data
        finally:
            temporary.unlink(missing_ok=True)
        _sync(target.parent)
        return True

    def read(self, path: str, *, last: int | None = None) -> bytes:
        """Read a file, or only its `last` bytes."""
        with self._path(path).open("rb") as stream:
            if last is not None:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - last))
            return stream.read()

    def exists(self, path: str) -> bool:
        return self._path(path).exists()

    def sizes(self, folder: str) -> dict[str, int]:
        """The size in bytes of every file below a folder, by path; none if it does not exist."""
        found: dict[str, int] = {}
        _collect(str(self._path(folder)), folder, found)
        return found

    def folders(self) -> list[str]:
        """The folders that stand directly below the root."""
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())

    def publish(self, staged: str, final: str) -> None:
        """Move a staged file to its final path; nothing if that was already done.

        Not synchronised: a power cut undoes the move as a whole, and then it is done again.
        """
        source, target = self._path(staged), self._target(final)
        try:
            source.rename(target)
        except FileNotFoundError:
            if not target.exists():
                raise

    def remove(self, path: str) -> None:
        """Remove a file; nothing if there is none."""
        self._path(path).unlink(missing_ok=True)

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file's bytes, in hex."""
        with self._path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def arrow(self) -> pafs.FileSystem:
        """The same files as an Arrow file system, for scans."""
        return pafs.SubTreeFileSystem(str(self.root.resolve()), pafs.LocalFileSystem())

    def _path(self, path: str) -> Path:
        parts = path.split("/")
        if PurePosixPath(path).is_absolute() or any(part in ("", ".", "..") for part in parts):
            raise OutputError(f"{path!r} is not a path below {self.root}")
        return self.root / path

    def _target(self, path: str) -> Path:
        target = self._path(path)
        _make_folder(target.parent)
        return target

    def _write_temporary(self, data: bytes) -> Path:
        temporary = self._target(f"{STAGING}/{secrets.token_hex(16)}.tmp")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def _collect(folder: str, prefix: str, found: dict[str, int]) -> None:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{prefix}/{entry.name}"
        if entry.is_dir():
            _collect(entry.path, path, found)
        else:
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                found[path] = entry.stat().st_size


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
