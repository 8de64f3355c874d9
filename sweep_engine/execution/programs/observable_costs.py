"""Reckon what observables cost: each alone, on a few networks at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sweep_engine.execution.programs.clocks import Clock, describing
from sweep_engine.lanes import padded_length
from sweep_engine.observables import Observable, observables
from sweep_engine.planning import num_runs
from sweep_engine.sources import Bucket
from sweep_engine.spec import Setting
from sweep_engine.spec.base import canonical_json
from sweep_engine.spec.observables import ObservableKind

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
    """Asks a clock for each observable once, for networks of one task and model.

    Attributes:
        clock: Says how long programs take.
        known: What it has said.
    """

    clock: Clock
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
            seconds = self.clock.observing if in_blocks else describing
            self.known[key] = Taken(seconds(bucket, observable), in_blocks)
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
