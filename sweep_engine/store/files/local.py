"""The storage operations on a file system."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pyarrow.fs as pafs

from sweep_engine.store.files.lock import hold
from sweep_engine.store.layout import LOGS, STAGING, check_path

T = TypeVar("T")
U = TypeVar("U")

_LOCK_NAME = "driver.lock"


class LocalFiles:
    """The storage operations on a local or network file system with hard links; see `Files`.

    Attributes:
        root: The output directory, absolute: another process may stand in another folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    @property
    def location(self) -> str:
        return str(self.root)

    def create(self, folders: Iterable[str]) -> None:
        for folder in (self.root, *(self._path(folder) for folder in folders)):
            folder.mkdir(parents=True, exist_ok=True)

    def is_empty(self) -> bool:
        try:
            return not any(self.root.iterdir())
        except FileNotFoundError:
            return True

    def lock(self) -> AbstractContextManager[None]:
        return hold(self._target(f"{LOGS}/{_LOCK_NAME}"))

    def free_bytes(self) -> int:
        existing = self.root.absolute()
        while not existing.exists():
            existing = existing.parent
        return shutil.disk_usage(existing).free

    def write(self, path: str, data: bytes) -> None:
        self.write_all({path: data})

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        targets = {self._target(path): data for path, data in contents.items()}
        for target, data in targets.items():
            self._write_temporary(data).replace(target)
        for folder in {target.parent for target in targets}:
            _sync(folder)

    def put_if_absent(self, path: str, data: bytes) -> bool:
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

    def replace(self, path: str, data: bytes, *, previous: bytes | None) -> bool:
        current = self.read(path) if self.exists(path) else None
        if current != previous:
            return current == data
        self.write(path, data)
        return True

    def read(self, path: str, *, last: int | None = None) -> bytes:
        name = f"{self.root}/{check_path(path)}"
        # Many are small, and are read all at once.
        with open(name, "rb", buffering=0) as stream:  # noqa: PTH123  # a `Path` of each is dear
            if last is not None:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - last))
            return stream.read()

    def map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
        return map(function, items)

    def exists(self, path: str) -> bool:
        return self._path(path).exists()

    def below(self, folder: str) -> list[str]:
        return [path for path, _ in _below(str(self._path(folder)), folder)]

    def sizes(self, folder: str) -> dict[str, int]:
        found = {}
        for path, entry in _below(str(self._path(folder)), folder):
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                found[path] = entry.stat().st_size
        return found

    def folders(self) -> list[str]:
        return [entry.name for entry in self._entries() if entry.is_dir()]

    def at_root(self) -> list[str]:
        return [entry.name for entry in self._entries() if not entry.is_dir()]

    def publish(self, staged: str, final: str) -> None:
        # Not synchronised: a power cut undoes the move as a whole, and then it is done again.
        source, target = self._path(staged), self._target(final)
        try:
            source.rename(target)
        except FileNotFoundError:
            if not target.exists():
                raise

    def remove(self, path: str) -> None:
        self._path(path).unlink(missing_ok=True)

    def sha256(self, path: str) -> str:
        with self._path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def arrow(self) -> pafs.FileSystem:
        return pafs.SubTreeFileSystem(str(self.root.resolve()), pafs.LocalFileSystem())

    def _entries(self) -> list[Path]:
        try:
            return sorted(self.root.iterdir())
        except FileNotFoundError:
            return []

    def _path(self, path: str) -> Path:
        return self.root / check_path(path)

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


def _below(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Give every file below a folder, with its path; what a file system tells at no cost."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{prefix}/{entry.name}"
        if entry.is_dir():
            yield from _below(entry.path, path)
        else:
            yield path, entry


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
