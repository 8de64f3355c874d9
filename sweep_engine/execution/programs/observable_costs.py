"""What observables cost: each is timed alone, on a few networks at once."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import jax
import numpy as np
from jaxtyping import UInt8

from sweep_engine.observables import Observable, observables
from sweep_engine.planning import num_runs
from sweep_engine.sources import Bucket
from sweep_engine.sources.observe import describe
from sweep_engine.spec import Setting
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.observables import ObservableKind

NETWORKS = 8
"""Observed at once when timed: few, since one may take seconds; a whole block takes less each."""

FUNCTIONS = 64
"""Described at once when timed."""

DRAWS_PER_FIT = 1000
"""How rare fits are reckoned to be where only they are kept: nobody knows before drawing."""


@dataclass(frozen=True)
class ObservableCost:
    """What one observable costs in one bucket.

    Attributes:
        kind: Its name in a sweep file.
        recorded: Whether of runs on their way; else of the rows.
        networks: How many are observed, at most.
        seconds: What one takes, at most.
    """

    kind: str
    recorded: bool
    networks: int
    seconds: float


Timing = dict[tuple[str, bool], float]
"""Seconds of a network, by the observable's kind and whether it is recorded."""


@dataclass
class Stopwatch:
    """Times observables: each once for networks of one task and model, whatever found them."""

    known: dict[str, float] = field(default_factory=dict)

    def time(self, bucket: Bucket, named: Sequence[ObservableKind]) -> Timing:
        """Time every observable of a bucket's networks, and those recorded on their way."""
        seconds: Timing = defaultdict(float)
        for recorded, specs in ((False, named), (True, bucket.setting.spec.recorded)):
            for spec in specs:
                (observable,) = observables((spec,))
                if not observable.is_late:
                    seconds[spec.kind, recorded] += self._seconds(bucket, spec, observable)
        return seconds

    def _seconds(self, bucket: Bucket, spec: ObservableKind, observable: Observable) -> float:
        parts = [bucket.setting.task, bucket.setting.model, spec]
        dumped = [part.model_dump(mode="json") for part in parts]
        key = canonical_json([*dumped, bucket.needs_start])
        if key not in self.known:
            self.known[key] = _seconds(bucket, observable)
        return self.known[key]


def observable_costs(settings: Sequence[Setting], timing: Timing) -> Iterator[ObservableCost]:
    """Multiply what a network takes by how many there are in some settings."""
    rows = sum(rows_of(setting) for setting in settings)
    on_the_way = sum(num_runs(setting) * setting.spec.records_per_run for setting in settings)
    for (kind, recorded), seconds in timing.items():
        yield ObservableCost(kind, recorded, on_the_way if recorded else rows, seconds)


def rows_of(setting: Setting) -> int:
    """Count the rows of a setting, or reckon with few where only fits are kept."""
    rows = setting.spec.num_rows
    return -(-num_runs(setting) // DRAWS_PER_FIT) if rows is None else rows


def _seconds(bucket: Bucket, observable: Observable) -> float:
    if observable.describe is not None:
        packed = _functions(bucket)
        began = time.perf_counter()
        describe(replace(bucket, observed=[observable]), packed)
        return (time.perf_counter() - began) / FUNCTIONS
    few = replace(bucket, observed=[observable], lanes=NETWORKS)
    arguments = few.observe_example()
    compiled = few.observe.compiled(*arguments)
    jax.block_until_ready(compiled(*arguments))
    began = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    return (time.perf_counter() - began) / NETWORKS


def _functions(bucket: Bucket) -> UInt8[np.ndarray, "F bytes"]:
    """Draw packed functions: bits of two labels, else a label a byte."""
    shapes, reading = bucket.observe.shapes(*bucket.observe_example()), bucket.task.reading
    values = 256 if reading is None or reading.num_labels == 2 else reading.num_labels
    size = FUNCTIONS, int(shapes["function"].shape[-1])
    return np.random.default_rng(0).integers(0, values, size, np.uint8)
