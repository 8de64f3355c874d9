"""Keep what was read last: one comparison is looked at, decided on and drawn from the same rows."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Keep the values that were asked for last, as many as fit into some memory.

    Example:
        >>> kept = Kept(100, size=len)
        >>> kept.of("a", lambda: "x" * 60), kept.of("a", lambda: "made again") == "x" * 60
        ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', True)
        >>> kept.of("b", lambda: "y" * 60)[:1], kept.of("a", lambda: "made again")
        ('y', 'made again')

    Args:
        max_bytes: Of all values together; a larger one is not kept.
        size: The bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self._max_bytes, self._size = max_bytes, size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def of(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Give the value of a key, made anew unless it is still there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        if self._size(value) <= self._max_bytes:
            self._values[key] = value
            while sum(map(self._size, self._values.values())) > self._max_bytes:
                self._values.popitem(last=False)
        return value
