"""Folders that outlive a process. What is read from them is trusted: code, and data."""

import atexit
import functools
import logging
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

_log = logging.getLogger(__name__)


class _Unusable(OSError):
    """A folder is not this user's alone to write to."""


def cache_folder(name: str) -> Path:
    """Make or find a folder of this user's cache, to which nobody else can write.

    A cache is optional. Where it cannot be used, that is logged once as a warning and the
    folder is one of this process's own, which ends with it. Nothing is read from a folder
    that somebody else owns or can write to.

    Args:
        name: Of what is kept: `xla`, `native`, `data`.

    Raises:
        OSError: there is no room for temporary files either.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_parent(base)
        folder = base / "sweep_engine" / name
        for step in (folder.parent, folder):
            step.mkdir(mode=0o700, exist_ok=True)
            _check_private(step)
        _check_writable(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        _warn_once(str(error))
        folder = _temporary_folder(os.getpid()) / name
        folder.mkdir(exist_ok=True)
    return folder


def _check_parent(base: Path) -> None:
    """See that nobody else can put another folder in the place of one that was checked."""
    found = base.stat()
    open_to_others = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.getuid()) or open_to_others:
        raise _Unusable(f"others can replace what is in {base}")


def _check_private(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise _Unusable(f"others can write to {folder}: give it to this user, with mode 0700")


def _check_writable(folder: Path) -> None:
    """Write a file: permissions alone do not tell of a full disk or one that is read-only."""
    probe = folder / f"{secrets.token_hex(8)}.tmp"
    try:
        probe.write_bytes(b"\0")
    finally:
        probe.unlink(missing_ok=True)


@functools.cache
def _warn_once(why: str) -> None:
    _log.warning("nothing is kept in a cache (%s): the next start compiles again", why)


@functools.cache
def _temporary_folder(process: int) -> Path:
    """Make a folder for a process; a child that was forked makes its own and ends only that."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-engine-"))

    def end() -> None:
        if os.getpid() == process:
            # At exit nobody is left to tell; what stays is a temporary folder.
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return folder
