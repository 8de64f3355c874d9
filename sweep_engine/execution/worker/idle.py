"""Buckets whose shards are done, as far as is known: their programs are let go."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEPT = 4
"""Idle buckets whose programs are kept: a shard that failed, or was late, may come back to one."""


class Idle:
    """Lets a bucket's programs go when nobody works on it, and on others since.

    A worker stays with a bucket while it has shards, so that one which is left does seldom come
    again; then its programs are made anew.

    Args:
        let_go: Forgets the programs of a bucket.
        kept: How many idle buckets keep theirs.
    """

    def __init__(self, let_go: Callable[[str], None], kept: int = KEPT) -> None:
        self._let_go = let_go
        self._kept = kept
        self._lock = threading.Lock()
        self._workers: Counter[str] = Counter()
        self._idle: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def working_on(self, bucket: str) -> Iterator[None]:
        """Keep a bucket's programs meanwhile."""
        with self._lock:
            self._workers[bucket] += 1
            self._idle.pop(bucket, None)
        try:
            yield
        finally:
            for left in self._leave(bucket):
                self._let_go(left)

    def _leave(self, bucket: str) -> list[str]:
        with self._lock:
            self._workers[bucket] -= 1
            if self._workers[bucket]:
                return []
            del self._workers[bucket]
            self._idle[bucket] = None
            surplus = len(self._idle) - self._kept
            return [self._idle.popitem(last=False)[0] for _ in range(surplus)]
