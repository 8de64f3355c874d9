"""How long this thread has spent compiling: what a shard took says nothing without it."""

import threading
from typing import Any

import jax

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
