"""What observables cost: each is timed alone, on a few networks at once."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import numpy as np

from sweep_engine.lanes import padded_length
from sweep_engine.observables import Functions, Observable, observables
from sweep_engine.planning import num_runs
from sweep_engine.sources import Bucket
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
        seconds: What one takes, at most, with its share of the blocks' padding.
    """

    kind: str
    recorded: bool
    networks: int
    seconds: float


class Taken(NamedTuple):
    """What an observable takes.

    Attributes:
        seconds: Of one network.
        in_blocks: Whether it computes whole blocks, padding and all; else distinct functions.
    """

    seconds: float
    in_blocks: bool

    def scaled(self, factor: float) -> "Taken":
        """Say what it would take of larger networks."""
        return self._replace(seconds=factor * self.seconds)


Timing = dict[tuple[str, bool], Taken]
"""By the observable's kind, and whether it is recorded."""


@dataclass(frozen=True)
class Blocks:
    """The blocks that observe a bucket's networks.

    Attributes:
        lanes: K.
        shards: So many parts the networks come in, each with a last block of its own.
    """

    lanes: int
    shards: int

    def padding(self, networks: int) -> float:
        """Divide their lanes by so many networks, spread over the shards."""
        each = -(-networks // self.shards)
        return self.shards * padded_length(each, self.lanes) / networks if networks else 1.0


@dataclass
class Stopwatch:
    """Times observables: each once for networks of one task and model, whatever found them."""

    known: dict[str, Taken] = field(default_factory=dict)

    def time(self, bucket: Bucket, named: Sequence[ObservableKind]) -> Timing:
        """Time every observable of a bucket's networks, and those recorded on their way."""
        taken: Timing = {}
        for recorded, specs in ((False, named), (True, bucket.setting.spec.recorded)):
            for spec in specs:
                (observable,) = observables((spec,))
                if not observable.is_late:
                    found = self._taken(bucket, spec, observable)
                    before = taken.get((spec.kind, recorded), found._replace(seconds=0.0))
                    taken[spec.kind, recorded] = found._replace(
                        seconds=before.seconds + found.seconds
                    )
        return taken

    def _taken(self, bucket: Bucket, spec: ObservableKind, observable: Observable) -> Taken:
        parts = [bucket.setting.task, bucket.setting.model, spec]
        dumped = [part.model_dump(mode="json") for part in parts]
        key = canonical_json([*dumped, bucket.needs_start])
        if key not in self.known:
            in_blocks = observable.describe is None
            self.known[key] = Taken(_seconds(bucket, observable), in_blocks)
        return self.known[key]


def observable_costs(
    settings: Sequence[Setting], timing: Timing, blocks: Blocks
) -> Iterator[ObservableCost]:
    """Multiply what a network takes by how many there are in some settings."""
    rows = sum(rows_of(setting) for setting in settings)
    on_the_way = sum(num_runs(setting) * setting.spec.records_per_run for setting in settings)
    for (kind, recorded), taken in timing.items():
        networks = on_the_way if recorded else rows
        padding = blocks.padding(networks) if taken.in_blocks else 1.0
        yield ObservableCost(kind, recorded, networks, padding * taken.seconds)


def rows_of(setting: Setting) -> int:
    """Count the rows of a setting, or reckon with few where only fits are kept."""
    rows = setting.spec.num_rows
    return -(-num_runs(setting) // DRAWS_PER_FIT) if rows is None else rows


def _seconds(bucket: Bucket, observable: Observable) -> float:
    if observable.describe is not None:
        functions = _random_functions(bucket)
        began = time.perf_counter()
        observable.describe(functions)
        return (time.perf_counter() - began) / len(functions.packed)
    few = replace(bucket, observed=[observable], lanes=NETWORKS)
    arguments = few.observe_example()
    compiled = few.observe.compiled(*arguments)
    jax.block_until_ready(compiled(*arguments))
    began = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    return (time.perf_counter() - began) / NETWORKS


def _random_functions(bucket: Bucket) -> Functions:
    """Functions of random labels, which take longest to describe."""
    num_inputs, rule = len(bucket.task.probe_inputs), bucket.task.label_rule
    rng = np.random.default_rng(0)
    if rule is None:
        return Functions(np.zeros((FUNCTIONS, 0), np.uint8), num_inputs, None)
    labels = rng.integers(0, rule.num_labels, (FUNCTIONS, num_inputs), np.uint8)
    packed = np.packbits(labels, axis=1) if rule.num_labels == 2 else labels
    return Functions(np.unique(packed, axis=0), num_inputs, rule.num_labels)
