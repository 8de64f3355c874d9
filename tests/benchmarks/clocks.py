"""Timing calls by the clock and by the processor, for the benchmarks of kernels."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Times(NamedTuple):
    """Seconds of every repeat: of the clock, and of the processor in all threads."""

    clock: list[float]
    processor: list[float]


def timed(calls: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, Times]:
    """Time some calls in turn, A B C A B C, after two warm-ups."""
    for call in calls.values():
        call()
        call()
    found = {name: Times([], []) for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            clock, processor = time.perf_counter(), time.process_time()
            call()
            found[name].clock.append(time.perf_counter() - clock)
            found[name].processor.append(time.process_time() - processor)
    return found
