"""Storage whose Nth operation fails."""

import errno
import io
import os
from enum import Enum
from pathlib import Path


class Crash(BaseException):
    """The process is gone: nothing it would have done after happens."""


class Fault(Enum):
    NO_SPACE = "no space"
    IO_ERROR = "input/output error"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    REPLY_LOST = "reply lost"


class Saboteur:
    """Counts calls and makes the Nth one fail.

    Attributes:
        fired: Whether it has.
    """

    def __init__(self, fault, nth):
        self.fault, self.left, self.fired = fault, nth, False
        self.crashed = False

    def call(self, operation, *args, **kwargs):
        if self.crashed:
            raise Crash
        self.left -= 1
        if self.left:
            return operation(*args, **kwargs)
        self.fired = True
        return self._fail(operation, *args, **kwargs)

    def _fail(self, operation, *args, **kwargs):
        if self.fault is Fault.NO_SPACE:
            raise OSError(errno.ENOSPC, "no space left")
        if self.fault is Fault.IO_ERROR:
            raise OSError(errno.EIO, "input/output error")
        if self.fault in (Fault.CRASH_AFTER, Fault.REPLY_LOST):
            operation(*args, **kwargs)
        if self.fault is Fault.REPLY_LOST:
            raise OSError(errno.ETIMEDOUT, "reply lost")
        self.crashed = True
        raise Crash


class FaultyFiles:
    """Files of which every storage operation goes through a saboteur."""

    OPERATIONS = frozenset(
        {"write", "write_all", "put_if_absent", "replace", "read", "sizes", "publish", "remove"}
    )

    def __init__(self, files, saboteur):
        self.files, self.saboteur = files, saboteur

    def __getattr__(self, name):
        attribute = getattr(self.files, name)
        if name not in FaultyFiles.OPERATIONS:
            return attribute
        return lambda *args, **kwargs: self.saboteur.call(attribute, *args, **kwargs)


class TornStream:
    """A file opened for writing; a fault comes when half of what is written stands there."""

    def __init__(self, stream, saboteur):
        self.stream, self.saboteur = stream, saboteur

    def write(self, data):
        half = len(data) // 2
        self.stream.write(data[:half])
        self.saboteur.call(self.stream.write, data[half:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def __getattr__(self, name):
        return getattr(self.stream, name)


def sabotage_system_calls(monkeypatch, saboteur, below=""):
    """Let the calls by which files change go through a saboteur: those below a folder."""

    def concerns(path):
        name = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else path
        return os.fspath(name).startswith(os.fspath(below))

    for name in ("fsync", "link", "mkdir", "rename", "replace", "unlink"):
        call = getattr(os, name)

        def sabotaged(*args, _call=call, **kwargs):
            if not concerns(args[0]):
                return _call(*args, **kwargs)
            return saboteur.call(_call, *args, **kwargs)

        monkeypatch.setattr(os, name, sabotaged)
    open_file = io.open

    def opened(file, mode="r", *args, **kwargs):
        stream = open_file(file, mode, *args, **kwargs)
        is_spared = mode.startswith("r") or not concerns(file)
        return stream if is_spared else TornStream(stream, saboteur)

    monkeypatch.setattr(io, "open", opened)
