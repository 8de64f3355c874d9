"""Signals that ask this process to end: heeded within seconds, whatever it is doing.

Python runs a handler between two of its own instructions, and a call into a compiled program
may last for minutes. So the handlers do nothing: the operating system puts the number of a
signal into a pipe at once (`signal.set_wakeup_fd`), and a thread waits for it there. Work that
is asked to end and does not is left as it is: nothing that was not committed is kept anyway.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 3
"""The exit code: what is done is kept, the same command goes on."""

GRACE_SECONDS = 8.0
"""So long may work take to end by itself."""

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_LEFT = "what was being computed is left: run again to go on"

Callback = Callable[[], object]


class Stop:
    """The wish that this process may end.

    Args:
        say: Tells the user a line.
        end: Ends the process with an exit code, at once.
    """

    def __init__(self, say: Callable[[str], object], end: Callable[[int], object]) -> None:
        self._say = say
        self._end = end
        self._asked = threading.Event()
        self._lock = threading.RLock()
        self._gentle = False
        self._last_words = "interrupted; what is done is kept, the same command goes on"
        self._to_end: list[Callback] = []

    @property
    def is_asked(self) -> bool:
        """Whether a signal has come."""
        return self._asked.is_set()

    @contextmanager
    def gently(self) -> Iterator[Callable[[], bool]]:
        """Within it a signal is a wish, which work looks for; elsewhere it ends the process."""
        with self._lock:
            self._gentle = True
        try:
            yield self._asked.is_set
        finally:
            with self._lock:
                self._gentle = False

    @contextmanager
    def last_words(self, text: str) -> Iterator[None]:
        """Say this, instead, should a signal end the process meanwhile."""
        with self._lock:
            before, self._last_words = self._last_words, text
        try:
            yield
        finally:
            with self._lock:
                self._last_words = before

    @contextmanager
    def ending(self, end: Callback) -> Iterator[None]:
        """Call this as soon as a signal comes meanwhile: what it ends would outlive the process."""
        with self._lock:
            self._to_end.append(end)
            if self.is_asked:
                end()
        try:
            yield
        finally:
            with self._lock:
                self._to_end.remove(end)

    def heed(self, number: int) -> None:
        """Do what a signal asks for. A second one ends the process, but for a second SIGHUP.

        A terminal that is closed sends that one, and its shell may send it again.
        """
        with self._lock:
            if self.is_asked:
                if number != signal.SIGHUP:
                    self._end(128 + number)
                return
            self._asked.set()
            for end in self._to_end:
                end()
            if not self._gentle:
                self._say(self._last_words)
                self._end(INTERRUPTED)
                return
        self._say("stopping: what is done is kept")
        timer = threading.Timer(GRACE_SECONDS, self.give_up, [_LEFT])
        timer.daemon = True
        timer.start()

    def give_up(self, why: str) -> None:
        """Say why, and end the process at once: what it is doing would never end."""
        self._say(why)
        self._end(INTERRUPTED)


_current: Stop | None = None


@contextmanager
def heeded(say: Callable[[str], object]) -> Iterator[Stop]:
    """Heed signals in this process from now on; to its end, once one has come.

    Whoever was started to ignore SIGHUP, as by `nohup`, goes on ignoring it.

    Args:
        say: Tells the user a line; called in a thread.
    """
    global _current
    stop = Stop(say, os._exit)
    if threading.current_thread() is not threading.main_thread():
        yield stop  # which no signal reaches: that is the main thread's affair
        return
    out, into = os.pipe()
    os.set_blocking(into, False)
    numbers = [n for n in SIGNALS if n != signal.SIGHUP or not _is_ignored(n)]
    _current = stop
    threading.Thread(target=_listen, args=(out, stop), name="signals", daemon=True).start()
    before_wakeup = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _leave_it_to_the_thread) for number in numbers}
    try:
        yield stop
    finally:
        if stop.is_asked and signal.SIGHUP in numbers:
            # Python gives signals their defaults back while it ends: a second one would kill it.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not stop.is_asked:
            _current = None
            signal.set_wakeup_fd(before_wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(into)


@contextmanager
def ending(end: Callback) -> Iterator[None]:
    """Call this as soon as a signal comes meanwhile, if this process heeds signals."""
    if _current is None:
        yield
    else:
        with _current.ending(end):
            yield


def give_up(why: str) -> None:
    """End this process at once, if it heeds signals: what it is doing would never end."""
    if _current is not None:
        _current.give_up(why)


def _listen(out: int, stop: Stop) -> None:
    while numbers := os.read(out, 64):
        for number in numbers:
            if number in SIGNALS:
                stop.heed(number)
    os.close(out)


def _leave_it_to_the_thread(*_: object) -> None:
    pass


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def end_group(leader: int) -> None:
    """Kill a process and all that it has started, which is a process group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
