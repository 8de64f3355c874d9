"""What the store asks of the place where the results stand."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import pyarrow.fs as pafs

T = TypeVar("T")
U = TypeVar("U")


class Files(Protocol):
    """The storage operations on one output directory.

    Paths are relative to the root, with `/` between the parts. Each operation leaves the old
    state or the new one, never something between, and may be asked for again after a crash or a
    lost reply. Each raises `OSError` if the storage failed, after which its effect is not known,
    `FileNotFoundError` if what it needs is not there, and `OutputError` if a path would leave
    the root. May be pickled, and used from many threads.
    """

    @property
    def location(self) -> str:
        """The root, as a user gives it."""

    def create(self, folders: Iterable[str]) -> None:
        """Make the root and folders below it, where folders exist without files in them."""

    def is_empty(self) -> bool:
        """Whether nothing is below the root; True if there is no root."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep out a second driver where that can be done without waiting for a dead one.

        Raises:
            OutputError: Another driver holds the lock.
        """

    def free_bytes(self) -> int | None:
        """The room that is left; None where nothing bounds it."""

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file durably, in place of an older one."""

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write whole files, by path. All are durable on return; before, any of them may be."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write a whole file durably unless there is one; the commit point of the store.

        Of any number of writers with different data exactly one ever gets True. It gets True
        again if it repeats the call, as it must after a lost reply.
        """

    def replace(self, path: str, data: bytes, *, previous: bytes | None) -> bool:
        """Write a whole file durably if what stands there is `previous`; None: nothing.

        Of any number of writers with different data and the same `previous` one gets True, and
        again if it repeats the call. Where there is a lock, the caller holds it.
        """

    def read(self, path: str, *, last: int | None = None) -> bytes:
        """Read a file, or only its `last` bytes."""

    def map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
        """Call a function that reads or writes one file on many: at once, where it waits."""

    def exists(self, path: str) -> bool:
        """Whether there is a file."""

    def below(self, folder: str) -> list[str]:
        """The path of every file below a folder, in any order; none if it does not exist."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The size in bytes of every file below a folder, by path; none if it does not exist."""

    def folders(self) -> list[str]:
        """The folders that stand directly below the root; none if there is no root."""

    def at_root(self) -> list[str]:
        """The files that stand directly below the root; none if there is no root."""

    def publish(self, staged: str, final: str) -> None:
        """Move a staged file to its final path; nothing if that was already done.

        A crash may leave the staged one beside the final one. Neither is ever seen in part.
        """

    def remove(self, path: str) -> None:
        """Remove a file; nothing if there is none."""

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file's bytes, in hex."""

    def arrow(self) -> pafs.FileSystem:
        """The same files as an Arrow file system, for scans."""
