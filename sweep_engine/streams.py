"""Standard streams whose reader does not decide the work: what cannot be written is dropped."""

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDIN, STDOUT, STDERR = 0, 1, 2


class _Unfailing(io.RawIOBase):
    """A file descriptor whose writes succeed, whether or not they reach it."""

    def __init__(self, descriptor: int, lost: Callable[[OSError], None]) -> None:
        self._descriptor = descriptor
        self._lost = lost

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "Buffer", /) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # its reader is slow, and made the pipe so
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._lost(error)
                return memoryview(data).nbytes


def unfailing(
    descriptor: int, encoding: str, lost: Callable[[OSError], None] = lambda _: None
) -> TextIO:
    """Make a text stream that drops what its descriptor does not take.

    Args:
        descriptor: Where it writes.
        encoding: Characters that it lacks are written as escapes.
        lost: Told of each write that failed.
    """
    raw = _Unfailing(descriptor, lost)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=True
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a standard stream, which may have been closed, is a terminal."""
    return stream is not None and stream.isatty()


def protect() -> None:
    """Make this process's output and errors unfailing, also those that it was started without.

    A reader that has left is not worth a word. Output that is lost otherwise, as on a full
    disk, is told once on the other stream.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        _open_if_closed(descriptor)
    if sys.stdout is sys.__stdout__:  # it is not captured
        sys.stdout = unfailing(STDOUT, _encoding(sys.stdout), _tell_once())
    if sys.stderr is sys.__stderr__:
        sys.stderr = unfailing(STDERR, _encoding(sys.stderr))


def _open_if_closed(descriptor: int) -> None:
    """Keep a descriptor from becoming that of the next file that is opened."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)


def _encoding(stream: TextIO | None) -> str:
    return stream.encoding if stream is not None else "utf-8"


def _tell_once() -> Callable[[OSError], None]:
    told = False

    def tell(error: OSError) -> None:
        nonlocal told
        if not told and error.errno != errno.EPIPE:
            told = True
            print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)

    return tell
