"""Timing calls against one another: warmed up, interleaved, medians with their range."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UPS = 2
REPEATS = 5


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, over the repeats.

    Attributes:
        median: The median.
        low: The least.
        high: The greatest.
        processor: Median of the processor seconds of all threads; on a shared machine, what
            others take does not count in it.
    """

    median: float
    low: float
    high: float
    processor: float

    def rate(self, units: float) -> dict[str, float]:
        """Units a second: the median, and the range."""
        ends = {"median": self.median, "low": self.high, "high": self.low}
        return {name: float(f"{units / seconds:.4g}") for name, seconds in ends.items()}


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, warm_ups: int = WARM_UPS, repeats: int = REPEATS
) -> dict[str, Timing]:
    """Time some calls in turn, A B C A B C, so that a busy minute meets all alike.

    A call must have finished its work when it returns.
    """
    for call in calls.values():
        for _ in range(warm_ups):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            began, began_processor = time.perf_counter(), time.process_time()
            call()
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - began_processor)
    return {
        name: Timing(statistics.median(s), min(s), max(s), statistics.median(processor[name]))
        for name, s in seconds.items()
    }
