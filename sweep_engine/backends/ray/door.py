"""The one module that imports ray: what the engine asks of it, in the engine's words."""

import asyncio
import logging
import os
import re
import select
import shutil
import signal
import socket
import stat
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import ray
from ray._private import ray_constants
from ray.exceptions import AuthenticationError, RayError, RayTaskError
from ray.job_submission import JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep_engine.backends.ray.host import Host, Reply
from sweep_engine.backends.ray.security import (
    is_loopback,
    loopback_only,
    make_token,
    open_to_all,
    require_token,
)
from sweep_engine.errors import ClusterError, WorkerLost

_log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 128 * 2**20
"""Of a Ray started for one run: it holds the plan and the task's data, once."""

JOBS_AT_MOST = 64
"""Threads of a host; the driver gives it no more jobs than its workers may have."""

_remote: Any = ray.remote
_HostActor = _remote(
    max_restarts=0, max_concurrency=JOBS_AT_MOST, concurrency_groups={"look": 1, "stop": 1}
)(Host)

Ref = Any
Handle = Any


@dataclass(frozen=True)
class Node:
    """A machine of the cluster that is alive.

    Attributes:
        id: Its id.
        resources: How much there is of `CPU`, `GPU`, `TPU`.
    """

    id: str
    resources: Mapping[str, float]


def connect(address: str | None) -> bool:
    """Join a cluster, or start one on this machine; returns whether to leave it at the end.

    Raises:
        ClusterError: it is not there, or not to be trusted.
    """
    if ray.is_initialized():
        return False
    with _keep_signal_handlers():
        if address is None:
            _start()
        else:
            _join(address)
    return True


_private_folders: list[Path] = []
"""Made for a Ray that was started here. Ray opens its own folders to all users of the machine,
and workers load code from them."""


def _start() -> None:
    make_token()
    _private_folders.append(Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")))  # short: sockets
    ray_constants.ENABLE_RAY_CLUSTER, before = False, ray_constants.ENABLE_RAY_CLUSTER
    try:
        with loopback_only(), warnings.catch_warnings():
            # What Ray forks becomes another program at once, and never uses JAX's threads.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(
                address="local",
                include_dashboard=False,
                _temp_dir=str(_private_folders[-1] / "r"),
                object_store_memory=OBJECT_STORE_BYTES,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _join(address: str) -> None:
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address}: give the address of the head (HOST:PORT, or `auto` on a machine of the "
            "cluster); from outside, `sweep-engine submit` sends the run to it"
        )
    require_token(address)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, AuthenticationError, RuntimeError, ValueError, TimeoutError) as error:
        raise ClusterError(f"no Ray cluster to be joined at {address}: {error}") from error
    head = ray.get_runtime_context().gcs_address
    if not is_loopback(head.rsplit(":", 1)[0]) and _admits_strangers(head):
        ray.shutdown()
        raise ClusterError(open_to_all(head))
    node: Any = ray._private.worker._global_node
    _warn_of_open_folders(Path(node.get_session_dir_path()))


def _warn_of_open_folders(session: Path) -> None:
    """Say that other users of this machine can change the code that workers load, if they can."""
    if can_others_write(session / "runtime_resources"):
        _log.warning(
            "Ray's folder %s is open to all users of this machine: they can change the code that "
            "workers load. Start Ray with --temp-dir in a folder that is yours alone",
            session,
        )


def can_others_write(folder: Path) -> bool:
    """Tell whether users other than its owner can write somewhere below a folder."""
    if not all(_mode(path) & stat.S_IXOTH for path in folder.parents):
        return False
    walk = [Path(found) for found, _, _ in os.walk(folder)]
    return any(_mode(path) & stat.S_IWOTH for path in walk)


def _mode(path: Path) -> int:
    with suppress(FileNotFoundError):  # it went away meanwhile
        return path.stat().st_mode
    return 0


def _admits_strangers(head: str) -> bool:
    """Whether a head answers a call that comes without a token."""
    with grpc.insecure_channel(head) as channel:
        try:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=10)
        except grpc.RpcError as error:
            return bool(error.code() is not grpc.StatusCode.UNAUTHENTICATED)
        return True


@contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """`ray.init` takes SIGTERM for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()
    abandon()


def abandon() -> None:
    """Leave a cluster that is gone, where Ray would wait for it."""
    # Ray's processes may still write there as they end; what is left is in a folder of ours alone.
    while _private_folders:
        shutil.rmtree(_private_folders.pop(), ignore_errors=True)


class OwnNode:
    """The raylet of this machine, as seen by a connection that ends when it does."""

    def __init__(self) -> None:
        node: Any = ray._private.worker._global_node
        self._address: str = node.raylet_socket_name
        self._connection = self._connect()

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._address)
        except OSError:
            connection.close()
            return None
        return connection

    def lives_for(self, seconds: float) -> bool:
        """Wait, but not longer than the raylet lives; tell whether it does."""
        if self._connection is None:
            return False
        readable, _, _ = select.select([self._connection], [], [], seconds)
        if readable and not self._received():
            # It may have no use for a connection that is silent.
            self._connection.close()
            self._connection = self._connect()
        return self._connection is not None

    def _received(self) -> bytes:
        assert self._connection is not None
        try:
            return self._connection.recv(4096)
        except ConnectionError:
            return b""

    def __enter__(self) -> "OwnNode":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()


def alive_nodes() -> list[Node]:
    """List the machines of the cluster."""
    return [Node(node["NodeID"], node["Resources"]) for node in ray.nodes() if node["Alive"]]


def put(value: Any) -> Ref:
    """Store a value for all machines."""
    return ray.put(value)


def start_host(node: str, resources: Mapping[str, float], environment: Mapping[str, str]) -> Handle:
    """Start a host on a machine, as soon as the resources are free there."""
    actor = _HostActor.options(
        num_cpus=resources.get("CPU", 0),
        num_gpus=resources.get("GPU", 0),
        resources={k: v for k, v in resources.items() if k not in ("CPU", "GPU")},
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )
    return actor.remote(environment)


def call(host: Handle, method: str, *arguments: Any) -> Ref:
    """Call a method of a host."""
    group = method if method in ("look", "stop") else None
    return getattr(host, method).options(concurrency_group=group).remote(*arguments)


def ready(refs: Sequence[Ref], seconds: float) -> list[Ref]:
    """Wait until one of them is there, at most so long; list all that are."""
    if not refs:
        return []
    found, rest = ray.wait(list(refs), num_returns=1, timeout=seconds, fetch_local=False)
    if found and rest:
        more, _ = ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)
        found += more
    return list(found)


def result(ref: Ref) -> Any:
    """Get what is there; a `Reply` with an error if Ray could not so much as make the call.

    Raises:
        WorkerLost: the host has gone, or cannot be reached.
    """
    try:
        return ray.get(ref)
    except RayTaskError as error:
        return Reply(error=RuntimeError(str(error)))
    except RayError as error:
        raise WorkerLost(str(error).strip()) from None


def kill(host: Handle) -> None:
    """End a host at once."""
    with suppress(RayError, ValueError):
        ray.kill(host, no_restart=True)


def job_client(address: str) -> Any:
    """Talk to a cluster's job server, with the token."""
    logging.getLogger("ray").setLevel(logging.WARNING)
    with as_cluster_error(address):
        return JobSubmissionClient(address)


def job_server_admits_strangers(address: str) -> bool:
    """Whether a job server lists its jobs for someone who has no token."""
    try:
        with urllib.request.urlopen(f"{address}/api/jobs/", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def as_cluster_error(address: str) -> Iterator[None]:
    """Word what goes wrong between here and a job server."""
    try:
        yield
    except (ConnectionError, AuthenticationError, RuntimeError, OSError) as error:
        raise ClusterError(f"the job server at {address}: {error}") from error


class NotAnswered(ClusterError):
    """A job server did not answer, or not as one that is up: it may do so again."""


_REFUSED = re.compile("status code 4[0-9][0-9]")


def job_state(client: Any, job: str) -> Any:
    """Ask how a job is.

    Raises:
        NotAnswered: ask again.
        ClusterError: there is no such job, or the token is not the cluster's.
    """
    try:
        return client.get_job_info(job)
    except AuthenticationError as error:
        raise ClusterError(str(error)) from error
    except (ConnectionError, RuntimeError, OSError) as error:
        said = str(error).partition("\n")[0]
        if _REFUSED.search(said):
            raise ClusterError(f"job {job}: {said}") from error
        raise NotAnswered(said) from error


def tail(client: Any, job: str, take: Callable[[str], None]) -> None:
    """Pass on a job's output from its beginning, until the job or the connection ends.

    Raises:
        ConnectionError: the connection broke.
    """

    async def follow() -> None:
        async for text in client.tail_job_logs(job):
            take(text)

    try:
        asyncio.run(follow())
    except (RuntimeError, OSError, aiohttp.ClientError) as error:
        raise ConnectionError(str(error)) from error
