"""Closed by default: whoever reaches a port of a Ray cluster without a token runs code there."""

import contextlib
import ipaddress
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep_engine.errors import ClusterError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's way of keeping all ports of a cluster on loopback, named after what needed it first."""


def prepare_environment() -> None:
    """Set what Ray reads when it is imported; its workers inherit it."""
    if os.environ.get(MODE) not in ("token", "k8s"):
        os.environ[MODE] = "token"
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # else `uv run` runs in workers
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def token_file() -> Path:
    """Where the token is read from, unless it stands in the environment."""
    given = os.environ.get(TOKEN_PATH)
    return Path(given) if given else Path.home() / ".ray" / "auth_token"


def has_token() -> bool:
    """Whether there is a token; a file with it that is ours is made unreadable to others."""
    if os.environ.get(TOKEN) or os.environ.get(MODE) == "k8s":
        return True
    path = token_file()
    try:
        if not path.read_bytes().strip():
            return False
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            with contextlib.suppress(PermissionError):  # a mounted secret is someone else's
                path.chmod(0o600)
    except OSError:
        return False
    return True


def make_token() -> None:
    """Make a token file, readable by this user alone, unless there is a token."""
    if has_token():
        return
    path = token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it is empty
    with contextlib.suppress(FileExistsError):  # another process has just made it
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))


def require_token(address: str) -> None:
    """Refuse a cluster, or its job server, for which there is no token here.

    Raises:
        ClusterError: there is none, or what there is cannot be one.
    """
    if not has_token():
        raise ClusterError(
            f"no token for the Ray cluster at {address}: without one, anyone who reaches it runs "
            f"code on it. Start it with {MODE}=token, and put its token into {token_file()} "
            f"(mode 0600) or name the file in {TOKEN_PATH}"
        )
    given = os.environ.get(TOKEN)
    if os.environ.get(MODE) != "k8s" or given:
        token = os.fsencode(given) if given else token_file().read_bytes().strip()
        if not re.fullmatch(rb"[!-~]+", token):
            where = TOKEN if given else token_file()
            raise ClusterError(
                f"what stands in {where} is no token: it has spaces or characters beyond ASCII. "
                "Copy the cluster's anew"
            )


def open_to_all(address: str) -> str:
    """What to say of a cluster that needs no token and can be reached by others."""
    return (
        f"{address} answers without a token: anyone who reaches it runs code there. Start that "
        f"cluster with {MODE}=token"
    )


def is_loopback(host: str) -> bool:
    """Whether a host's name or address leads to this machine alone."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found)


@contextmanager
def loopback_only() -> Iterator[None]:
    """Processes that are started meanwhile keep their ports on loopback."""
    before = {name: os.environ.get(name) for name in LOOPBACK_ONLY}
    os.environ.update(LOOPBACK_ONLY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
