"""The storage operations on an object store: Amazon S3 and what speaks like it, Google Cloud."""

import errno
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import obstore
import pyarrow.fs as pafs
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from sweep_engine.errors import OutputError, StorageFailed
from sweep_engine.store.layout import STAGING, check_path

if TYPE_CHECKING:
    from obstore import ObjectMeta, UpdateVersion
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

T = TypeVar("T")
U = TypeVar("U")

RETRY: "RetryConfig" = {"max_retries": 10}
"""How often a request is sent again; a condition that then fails may be our own lost reply."""

CLIENT: "ClientConfig" = {"timeout": "60s", "connect_timeout": "10s"}

_REQUESTS_AT_ONCE = 32
_ADDRESS = re.compile(
    r"(?P<scheme>s3|gs)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?P<prefix>(/[^/]+)*)/?"
)


class ObjectFiles:
    """The storage operations on a bucket, or on a prefix in one; see `Files`.

    One request writes or copies a whole object, and a condition is part of its request, so no
    operation needs a temporary object or a lock. There is no lock at all: one that outlives its
    holder would keep out the driver that takes up its work. Two drivers at once do some work
    twice and commit it once; what they could disagree on, `sweep.json`, is replaced only by a
    driver that has read it.

    Attributes:
        location: The address, `s3://bucket/prefix` or `gs://bucket/prefix`.
    """

    def __init__(self, location: str) -> None:
        """Take an address; the first operation looks for credentials.

        Raises:
            OutputError: It is malformed.
        """
        found = _ADDRESS.fullmatch(location)
        if found is None or {".", ".."} & set(found["prefix"].split("/")):
            raise OutputError(f"{location}: expected s3://bucket/prefix or gs://bucket/prefix")
        self.location = location.rstrip("/")
        self._scheme, self._bucket = found["scheme"], found["bucket"]
        self._prefix = found["prefix"].strip("/")
        self._client = import_module(f"sweep_engine.store.files.{self._scheme}")

    def __reduce__(self) -> tuple[type["ObjectFiles"], tuple[str]]:
        return ObjectFiles, (self.location,)  # each process makes its own connections

    @cached_property
    def _store(self) -> "ObjectStore":
        store: ObjectStore = self._client.open_store(self._bucket, self._prefix, CLIENT, RETRY)
        return store

    def create(self, folders: Iterable[str]) -> None:
        """Make nothing, folders are parts of names; but see that the server heeds conditions.

        Raises:
            OutputError: It does not: two writers could both commit a shard.
        """
        probe = f"{STAGING}/{secrets.token_hex(16)}.tmp"
        try:
            if not self.put_if_absent(probe, b"first") or self.put_if_absent(probe, b"second"):
                raise OutputError(
                    f"{self.location}: this server does not heed `If-None-Match: *`, without "
                    "which racing workers could commit a shard twice: give another --out"
                )
        finally:
            self.remove(probe)

    def is_empty(self) -> bool:
        with _os_errors():
            return not any(obstore.list(self._store))

    def lock(self) -> AbstractContextManager[None]:
        return nullcontext()

    def free_bytes(self) -> None:
        return None

    def write(self, path: str, data: bytes) -> None:
        with _os_errors():
            # Whole, in one request: parts would have to be put together by another.
            obstore.put(self._store, check_path(path), data, use_multipart=False)

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        for _ in self.map(lambda item: self.write(*item), contents.items()):
            pass

    def put_if_absent(self, path: str, data: bytes) -> bool:
        with _os_errors():
            try:
                obstore.put(self._store, check_path(path), data, mode="create")
            except AlreadyExistsError:
                return self.read(path) == data
        return True

    def replace(self, path: str, data: bytes, *, previous: bytes | None) -> bool:
        if previous is None:
            return self.put_if_absent(path, data)
        with _os_errors():
            try:
                found = obstore.get(self._store, check_path(path))
            except FileNotFoundError:
                return False
            current = bytes(found.bytes())
            if current != previous:
                return current == data
            try:
                obstore.put(self._store, path, data, mode=_version(found.meta))
            except PreconditionError:
                return self.read(path) == data
        return True

    def read(self, path: str, *, last: int | None = None) -> bytes:
        check_path(path)
        with _os_errors():
            if last is None:
                return bytes(obstore.get(self._store, path).bytes())
            try:
                tail = obstore.get(self._store, path, options={"range": {"suffix": last}})
            except BaseError:
                if obstore.head(self._store, path)["size"]:
                    raise
                return b""  # the last bytes of nothing are no range
            return bytes(tail.bytes())

    def map(self, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            yield from pool.map(function, items)

    def exists(self, path: str) -> bool:
        try:
            with _os_errors():
                obstore.head(self._store, check_path(path))
        except FileNotFoundError:
            return False
        return True

    def below(self, folder: str) -> list[str]:
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        with _os_errors():
            chunks = obstore.list(self._store, prefix=check_path(folder))
            return {found["path"]: found["size"] for chunk in chunks for found in chunk}

    def folders(self) -> list[str]:
        with _os_errors():
            return sorted(obstore.list_with_delimiter(self._store)["common_prefixes"])

    def at_root(self) -> list[str]:
        with _os_errors():
            found = obstore.list_with_delimiter(self._store)["objects"]
        return sorted(entry["path"] for entry in found)

    def publish(self, staged: str, final: str) -> None:
        with _os_errors():
            try:
                obstore.copy(self._store, check_path(staged), check_path(final))
            except FileNotFoundError:
                if not self.exists(final):
                    raise
        self.remove(staged)

    def remove(self, path: str) -> None:
        with _os_errors():
            obstore.delete(self._store, check_path(path))

    def sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        with _os_errors():
            for chunk in obstore.get(self._store, check_path(path)).stream():
                digest.update(chunk)
        return digest.hexdigest()

    def arrow(self) -> pafs.FileSystem:
        return self._arrow

    @cached_property
    def _arrow(self) -> pafs.FileSystem:
        root = f"{self._bucket}/{self._prefix}".rstrip("/")
        return pafs.SubTreeFileSystem(root, self._client.open_arrow(self._bucket))


def _version(meta: "ObjectMeta") -> "UpdateVersion":
    """What S3 (an entity tag) or Google Cloud (a generation) knows a state of an object by."""
    version: UpdateVersion = {}
    if meta["e_tag"] is not None:
        version["e_tag"] = meta["e_tag"]
    if meta["version"] is not None:
        version["version"] = meta["version"]
    return version


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise what the client raises as the errors that `Files` promises."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, _first_line(error)) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StorageFailed(errno.EACCES, _first_line(error)) from error
    except BaseError as error:
        advice = "see that the network, the bucket and AWS_ENDPOINT_URL are right"
        raise StorageFailed(errno.EIO, f"{_first_line(error)}: {advice}") from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
