"""Compiling: the seconds a thread has spent at it, and the buckets to come meanwhile."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import jax

from sweep_engine.execution.programs.programs import Programs

_log = logging.getLogger(__name__)

_PREFIX = "/jax/core/compile/"


class _Seconds(threading.local):
    total = 0.0


_seconds = _Seconds()


def compile_seconds() -> float:
    """Seconds that this thread has traced, lowered and compiled for."""
    return _seconds.total


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    if event.startswith(_PREFIX):
        _seconds.total += duration_secs


jax.monitoring.register_event_duration_secs_listener(_listen)


class Ahead:
    """Compiles buckets in the threads that work on shards, so that no core waits or is shared.

    A thread whose bucket another one is compiling compiles the next bucket meanwhile, but for
    the first of all: two at once would delay the first result. Each program is compiled once.
    What cannot be compiled is left to its own bucket's shards, which try again and say why.

    Args:
        programs: The programs, on a device.
        buckets: Those with shards to do, in the order in which they will be begun.
    """

    def __init__(self, programs: Programs, buckets: Iterable[str]) -> None:
        self._programs = programs
        self._lock = threading.Lock()
        self._tried = {name: threading.Event() for name in buckets}
        self._to_come = dict.fromkeys(self._tried)

    def prepare(self, name: str, should_stop: Callable[[], bool]) -> None:
        """See to it that a bucket's programs are compiled.

        Args:
            name: The bucket.
            should_stop: Asked before every program; True ends it.
        """
        tried = self._tried.get(name)
        if tried is None:
            return
        chosen = self._choose(name)
        while chosen is not None:
            self._compile(chosen, should_stop)
            chosen = None if tried.is_set() else self._choose(name)
        tried.wait()

    def _choose(self, name: str) -> str | None:
        """This bucket, if nobody has begun it; else the next one, until it is compiled."""
        with self._lock:
            if name not in self._to_come:
                is_first = not any(tried.is_set() for tried in self._tried.values())
                if is_first or self._tried[name].is_set() or not self._to_come:
                    return None
                name = next(iter(self._to_come))
            del self._to_come[name]
            return name

    def _compile(self, name: str, should_stop: Callable[[], bool]) -> None:
        try:
            for program, arguments in self._programs.of(name).to_compile():
                if should_stop():
                    return
                program.compiled(*arguments)
        except Exception as error:
            _log.info("bucket %s is left to its shards: %s", name, error)
        finally:
            self._tried[name].set()
