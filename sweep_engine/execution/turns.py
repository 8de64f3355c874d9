"""How many shards are computed on a device at once."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Lets so many threads compute at once; fewer, once memory has not sufficed for so many.

    Attributes:
        at_once: How many, now.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._computing = 0
        self._ended = threading.Condition()

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
