"""How many shards are computed on a device at once."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

FASTER = 1.05
"""Fewer at once must do so much more: the clock of a shared machine errs by some percent."""

REPEATS = 2
LONG_SECONDS = 2.0
"""A call that takes longer is not tried: the run would wait for what it wants to know."""


class Concurrency:
    """Lets so many threads compute at once; fewer, once memory has not sufficed for so many.

    Args:
        at_once: How many, as long as nothing else is known.
        most: How many may be tried; as many if not given.

    Attributes:
        at_once: How many, now.
    """

    def __init__(self, at_once: int, most: int | None = None) -> None:
        self.at_once = at_once
        self._most = most or at_once
        self._measured = self._most == 1
        self._measuring = threading.Lock()
        self._computing = 0
        self._ended = threading.Condition()

    def measure(self, call: Callable[[], object]) -> None:
        """Find how many at once get the most done, unless that is known; others wait meanwhile.

        Args:
            call: Work of the kind that is to come, for a moment.
        """
        with self._measuring:
            if not self._measured:
                if _seconds(call, 1) <= LONG_SECONDS:
                    self.at_once = fastest(call, self._most)
                self._measured = True

    def take(self, compute: Callable[[], T]) -> T:
        """Compute in turn. Without memory do so again, with half as many at once.

        Raises:
            MemoryError: there is too little even for one alone.
        """
        while True:
            alone = self._begin()
            try:
                return compute()
            except MemoryError:
                if alone:
                    raise
                self.at_once = max(1, self.at_once // 2)
            finally:
                self._end()

    def _begin(self) -> bool:
        with self._ended:
            self._ended.wait_for(lambda: self._computing < self.at_once)
            self._computing += 1
            return self.at_once == 1

    def _end(self) -> None:
        with self._ended:
            self._computing -= 1
            self._ended.notify_all()


def fastest(call: Callable[[], object], most: int) -> int:
    """Halve how many calls are made at once as long as that gets more of them done a second."""
    while most > 1:
        rates = dict.fromkeys((most, most // 2), 0.0)
        for _ in range(REPEATS):
            for at_once in rates:
                rates[at_once] = max(rates[at_once], at_once / _seconds(call, at_once))
        if rates[most] > 0 and rates[most // 2] <= FASTER * rates[most]:
            break
        most //= 2
    return most


def _seconds(call: Callable[[], object], at_once: int) -> float:
    """Seconds by the clock of so many calls at once; infinite without the memory for them."""
    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        try:
            for one in [pool.submit(call) for _ in range(at_once)]:
                one.result()
        except MemoryError:
            return float("inf")
    return time.perf_counter() - began
