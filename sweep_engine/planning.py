"""HOW to cut a sweep: settings into buckets, runs into shards.

A *bucket* holds the settings that share their static part, hence one compiled program. A
*shard* is the unit of work, retry and file: runs of one bucket. Shards depend on the sweep
alone, never on the machine. When a sweep grows, the earlier shards stay and new ones hold
only the runs that are missing.
"""

import bisect
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sweep_engine.errors import OutputError, PlanError
from sweep_engine.machine import uncollected
from sweep_engine.shown import ShortTable, Shown
from sweep_engine.spec import Piece, Setting, Sweep, axis_paths, settings, spec_id
from sweep_engine.spec.base import canonical_json, static_part
from sweep_engine.spec.ids import Known, hash31
from sweep_engine.spec.load import pin_new_files
from sweep_engine.spec.points import is_free_path
from sweep_engine.spec.renamed import first_written
from sweep_engine.spec.settings import identity
from sweep_engine.spec.sources.sizes import TINY_PARAMS
from sweep_engine.spec.starts import FunctionsFrom, parent_ref_of

NUM_SHARDS_MAX = 1_000_000


@dataclass(frozen=True)
class Shard:
    """Runs of one bucket: the unit of work, retry and file.

    Attributes:
        id: Content hash of the bucket and the runs.
        source: Name of the source.
        bucket: Name of the bucket.
        pieces: (setting id, first index, last index + 1) of the runs.
    """

    id: str
    source: str
    bucket: str
    pieces: tuple[tuple[int, int, int], ...]

    @cached_property
    def num_runs(self) -> int:
        """How many runs or draws it holds."""
        return sum(stop - start for _, start, stop in self.pieces)


@dataclass(frozen=True)
class Plan(Shown):
    """A sweep, its settings, and its shards in the order in which they should run.

    Attributes:
        sweep: The sweep.
        settings: By id.
        buckets: The settings' ids of every bucket, by its name.
        shards: In order; a source that counts acceptances needs its shards in this order.
    """

    sweep: Sweep
    settings: dict[int, Setting]
    buckets: dict[str, tuple[int, ...]]
    shards: tuple[Shard, ...]

    def short_table(self) -> ShortTable:
        """Say how many runs each source has, at most, and how they are cut."""
        rows = [self._row(name) for name in self.sweep.sources]
        return ShortTable(
            f"plan of {self.sweep.name}",
            ("source", "settings", "buckets", "shards", "runs at most"),
            rows,
        )

    def _row(self, source: str) -> tuple[str, ...]:
        shards = [shard for shard in self.shards if shard.source == source]
        counts = (
            sum(setting.source == source for setting in self.settings.values()),
            len({shard.bucket for shard in shards}),
            len(shards),
            sum(shard.num_runs for shard in shards),
        )
        return (source, *(f"{count:,}" for count in counts))

    @cached_property
    def moved_ids(self) -> dict[str, int]:
        """The ids that are not the first hash of their settings, by their digests."""
        return {s.digest: s.id for s in self.settings.values() if s.id != hash31(s.digest)}

    @cached_property
    def spec_id(self) -> str:
        """Hash of the whole sweep."""
        return spec_id(self.sweep)

    def pieces(self, shard: Shard) -> list[Piece]:
        """The shard's runs with their settings."""
        return [Piece(self.settings[s], start, stop) for s, start, stop in shard.pieces]

    def needs(self, piece: Piece) -> Piece | None:
        """The runs of another setting that a piece's runs start from, if they do.

        Run i starts from run i, and so does unit i of dependent draws. All of them, where they
        are not known by their index, or where a source asks for functions.
        """
        if piece.setting.parent is None:
            return None
        parent = self.settings[piece.setting.parent]
        if _asks_for_functions(piece.setting) or parent.spec.keeps_fits_only:
            return Piece(parent, 0, num_runs(parent))
        size = piece.setting.spec.unit_size
        return Piece(parent, piece.start // size, -(-piece.stop // size))

    def shards_of(self, piece: Piece) -> list[str]:
        """The shards that hold some runs of a setting, in their order."""
        held = self._held[piece.setting.id]
        first = bisect.bisect_right(held, piece.start, key=lambda entry: entry[1])
        return [shard for start, _, shard in itertools.takewhile(
            lambda entry: entry[0] < piece.stop, held[first:])]  # fmt: skip

    @cached_property
    def _held(self) -> dict[int, list[tuple[int, int, str]]]:
        """(start, stop, shard) of the runs of every setting, in order."""
        held: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for shard in self.shards:
            for setting, start, stop in shard.pieces:
                held[setting].append((start, stop, shard.id))
        return {setting: sorted(entries) for setting, entries in held.items()}

    def parents(self, shard: Shard) -> list[str]:
        """The shards whose results a shard needs before it can start."""
        if self.settings[shard.pieces[0][0]].parent is None:
            return []
        needed = [self.needs(piece) for piece in self.pieces(shard)]
        found = [self.shards_of(piece) for piece in needed if piece is not None]
        return list(dict.fromkeys(itertools.chain(*found)))

    def with_descendants(self, shards: Iterable[str]) -> set[str]:
        """Shards, and all that need their results."""
        children: dict[str, list[str]] = defaultdict(list)
        for shard in self.shards:
            for parent in self.parents(shard):
                children[parent].append(shard.id)
        found: set[str] = set()
        waiting = list(shards)
        while waiting:
            shard_id = waiting.pop()
            if shard_id not in found:
                found.add(shard_id)
                waiting += children[shard_id]
        return found

    def accepted(self, shard: Shard) -> int | None:
        """The number of acceptances at which the shard's setting stops, if it does."""
        return self.settings[shard.pieces[0][0]].spec.accepts_until

    def to_dict(self) -> list[list[Any]]:
        """List the shards as plain JSON data."""
        return [[s.id, s.source, s.bucket, [list(p) for p in s.pieces]] for s in self.shards]


def read_shards(data: Iterable[Sequence[Any]]) -> tuple[Shard, ...]:
    """Undo `Plan.to_dict`."""
    return tuple(
        Shard(shard, source, bucket, tuple((p[0], p[1], p[2]) for p in pieces))
        for shard, source, bucket, pieces in data
    )


@uncollected()
def plan(sweep: Sweep, previous: Sequence[Shard] = (), known: Known = dict) -> Plan:
    """Cut a sweep into shards.

    Args:
        sweep: What to run.
        previous: Shards planned before for the same output directory; they are kept, and
            the sweep may only have grown since.
        known: The ids that settings keep, where two have one hash: all of the sweep before, or
            those that were moved in the same one.

    Raises:
        SpecError: the sweep's axes or its data files are not valid.
        OutputError: the previous shards hold runs that the sweep does not ask for.
        PlanError: there are too many shards.
    """
    sweep = pin_new_files(sweep)
    by_id = {setting.id: setting for setting in _settings(sweep, previous, known)}
    bucket_of = _buckets(sweep, by_id.values())
    _check_previous(previous, by_id, bucket_of)
    done: dict[int, int] = defaultdict(int)
    for shard in previous:
        for setting, _, stop in shard.pieces:
            done[setting] = max(done[setting], stop)
    wanted = sum((num_runs(s) - done[s.id]) // s.spec.runs_per_shard for s in by_id.values())
    if wanted + len(previous) > NUM_SHARDS_MAX:
        raise PlanError(f"{wanted:,} shards are more than {NUM_SHARDS_MAX:,}: ask for less")
    buckets: dict[str, list[int]] = defaultdict(list)
    for setting_id, bucket in bucket_of.items():
        buckets[bucket].append(setting_id)
    shards = list(previous)
    for bucket, ids in buckets.items():
        missing = [(by_id[i], done[i]) for i in ids if done[i] < num_runs(by_id[i])]
        shards += _cut(bucket, missing, _ShardSizes(sweep, by_id[ids[0]]))
    if len(shards) > NUM_SHARDS_MAX:
        raise PlanError(f"{len(shards):,} shards are more than {NUM_SHARDS_MAX:,}: ask for less")
    return Plan(sweep, by_id, {k: tuple(v) for k, v in buckets.items()}, tuple(shards))


def _settings(sweep: Sweep, previous: Sequence[Shard], known: Known) -> list[Setting]:
    """The settings; of what the first release stored, those that it had."""
    found = settings(sweep, known)
    if sweep.is_stored:
        held = {setting for shard in previous for setting, _, _ in shard.pieces}
        if not held <= {setting.id for setting in found}:
            return settings(sweep, known, as_first_released=True)
    return found


def _buckets(sweep: Sweep, found: Iterable[Setting]) -> dict[int, str]:
    """Name the buckets of settings; those that differ in free fields alone share one."""
    is_static = {path: not is_free_path(sweep, path) for path in axis_paths(sweep)}
    names: dict[str, str] = {}
    bucket_of = {}
    for setting in found:
        shaping = {
            path: value if is_static[path] or value is None else "free"
            for path, value in setting.values.items()
        }
        key = canonical_json([setting.source, shaping])
        if key not in names:
            names[key] = bucket_name(sweep, setting)
        bucket_of[setting.id] = names[key]
    return bucket_of


def bucket_name(sweep: Sweep, setting: Setting) -> str:
    """Name the bucket of a setting: a letter, then a hash of its static part."""
    counted = setting.spec.counted
    content = {
        "source": setting.source,
        "spec": {k: v for k, v in static_part(setting.spec).items() if k not in counted},
        "task": identity(setting.task),
        "model": identity(setting.model),
        "accept": identity(setting.accept),
        "execution": identity(sweep.execution),
        "seed": sweep.seed,
    }
    text = canonical_json(first_written(content))
    return "b" + hashlib.sha256(text.encode()).hexdigest()[:12]


def num_runs(setting: Setting) -> int:
    """How many runs or draws a setting has, at most."""
    if setting.spec.num_runs is None:
        raise ValueError(f"the number of runs of {setting.source} is that of its parent")
    return setting.spec.num_runs


def _asks_for_functions(setting: Setting) -> bool:
    if setting.parent is None:
        return False
    found = parent_ref_of(setting.spec)
    return found is not None and isinstance(found[1], FunctionsFrom)


def _is_alone(setting: Setting) -> bool:
    """Whether work on a setting's shard needs to know something of this setting alone.

    How many acceptances are missing, or which functions were found.
    """
    return _asks_for_functions(setting) or setting.spec.accepts_until is not None


@dataclass(frozen=True)
class _ShardSizes:
    """Says how many runs the shards of a bucket hold.

    Attributes:
        sweep: The sweep.
        like: Any setting of the bucket.
    """

    sweep: Sweep
    like: Setting

    def of(self, setting: Setting) -> int:
        usual, of_tiny = setting.spec.runs_per_shard, setting.spec.runs_per_tiny_shard
        return of_tiny if of_tiny > usual and self.is_tiny else usual

    @cached_property
    def is_tiny(self) -> bool:
        """Say whether the bucket's networks are tiny."""
        # Imported here, since few sweeps have so many runs that this is asked.
        from sweep_engine.models import build
        from sweep_engine.tasks import load_task

        try:
            task = load_task(self.like.task, self.sweep.seed, self.sweep.folder)
            network = build(self.like.model, task.input_shape, task.loss.num_outputs())
        except ValueError:  # they do not fit: said where they are opened
            return False
        return network.layout.num_params <= TINY_PARAMS


def _cut(
    bucket: str, missing: Sequence[tuple[Setting, int]], sizes: _ShardSizes
) -> Iterator[Shard]:
    """Fill shards with the missing runs of a bucket, setting after setting.

    Some settings have their shards to themselves.
    """
    open_pieces: list[tuple[int, int, int]] = []
    room = 0
    for setting, start in missing:
        size = sizes.of(setting)
        alone = _is_alone(setting)
        room = room if open_pieces and not alone else size
        if alone and open_pieces:
            yield _shard(setting.source, bucket, open_pieces)
            open_pieces = []
        while start < num_runs(setting):
            stop = min(start + room, num_runs(setting))
            open_pieces.append((setting.id, start, stop))
            room -= stop - start
            start = stop
            if room == 0 or (alone and stop == num_runs(setting)):
                yield _shard(setting.source, bucket, open_pieces)
                open_pieces, room = [], size
    if open_pieces:
        yield _shard(missing[-1][0].source, bucket, open_pieces)


def _shard(source: str, bucket: str, pieces: Sequence[tuple[int, int, int]]) -> Shard:
    content = canonical_json([source, bucket, list(pieces)])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Shard(f"s{digest}", source, bucket, tuple(pieces))


def _check_previous(
    previous: Sequence[Shard], by_id: dict[int, Setting], bucket_of: dict[int, str]
) -> None:
    for shard in previous:
        for setting, _, stop in shard.pieces:
            if setting not in by_id or bucket_of[setting] != shard.bucket:
                raise OutputError(
                    f"the directory holds runs of {shard.source} at a setting that this sweep "
                    "does not have: a sweep may grow (more runs, points, sources), anything "
                    "else is another sweep and needs another --out"
                )
            if stop > num_runs(by_id[setting]):
                raise OutputError(
                    f"the directory holds {stop:,} runs of {shard.source}, the sweep asks for "
                    f"{num_runs(by_id[setting]):,}: a sweep may only grow"
                )
