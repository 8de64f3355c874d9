"""Shards that may start, so dealt out that a worker needs few programs. Pure."""

import heapq
from collections import Counter, deque
from collections.abc import Iterable


class Ready:
    """Queues of shards, one a bucket, and which buckets are being worked on.

    A worker stays at its bucket while there are shards. Then it takes the first bucket that
    nobody works on, or else the one with the most shards for each worker on it. Every call
    takes O(log n).
    """

    def __init__(self, buckets: Iterable[str]) -> None:
        self._order = {bucket: i for i, bucket in enumerate(dict.fromkeys(buckets))}
        self._names = list(self._order)
        self._shards: dict[str, deque[str]] = {}
        self._workers: Counter[str] = Counter()
        # A lazy heap: the valid entry of a bucket, which `_promised` names, may promise too much,
        # and is then corrected when it is met; never too little.
        self._heap: list[tuple[float, int]] = []
        self._promised: dict[str, tuple[float, int]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, bucket: str, shard: str) -> None:
        """A shard may start, after those of its bucket that are here."""
        self._shards.setdefault(bucket, deque()).append(shard)
        self._length += 1
        self._offer(bucket)

    def take(self, bucket: str | None) -> tuple[str, str] | None:
        """Take a shard for a worker that is at `bucket`; return its bucket and itself."""
        if bucket is None or not self._shards.get(bucket):
            found = self._best()
            if found is None:
                return None
            self.leave(bucket)
            bucket = found
            self._workers[bucket] += 1
            self._offer(bucket)
        self._length -= 1
        return bucket, self._shards[bucket].popleft()

    def leave(self, bucket: str | None) -> None:
        """A worker no longer works on a bucket."""
        if bucket is not None:
            self._workers[bucket] -= 1
            self._offer(bucket)

    def _offer(self, bucket: str) -> None:
        if not self._shards.get(bucket):
            return
        entry = self._entry(bucket)
        if bucket not in self._promised or entry < self._promised[bucket]:
            self._promised[bucket] = entry
            heapq.heappush(self._heap, entry)

    def _entry(self, bucket: str) -> tuple[float, int]:
        workers = self._workers[bucket]
        share = len(self._shards[bucket]) / workers if workers else float("inf")
        return -share, self._order[bucket]

    def _best(self) -> str | None:
        while self._heap:
            entry = heapq.heappop(self._heap)
            bucket = self._names[entry[1]]
            if self._promised.get(bucket) != entry:
                continue
            del self._promised[bucket]
            if self._shards.get(bucket) and self._entry(bucket) <= entry:
                return bucket
            self._offer(bucket)
        return None
