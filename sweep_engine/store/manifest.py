"""`sweep.json`: the sweep resolved, its plan, and the choices that the first run froze."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sweep_engine.errors import CorruptResults, OutputError, SpecError
from sweep_engine.planning import Plan, Shard, plan, read_shards
from sweep_engine.spec import Sweep, axis_paths, dump_sweep, restore, touches
from sweep_engine.spec.observables import merge
from sweep_engine.spec.renamed import IMPLEMENTATION
from sweep_engine.store.directory import OutputDirectory
from sweep_engine.store.files import LocalFiles
from sweep_engine.store.layout import SWEEP_JSON
from sweep_engine.store.seals import UNSEALED, is_whole, seal

FORMAT = 1

_SEAL, _SHARDS = "seal", "shards"
_MOVED, _SWEEP_FILE = "moved_ids", "sweep_file"
_KEYS = {"format", "spec_id", "sweep", "folder", "frozen", _SHARDS, _SEAL}
_OPTIONAL = {_MOVED, _SWEEP_FILE}
"""Few sweeps have ids that moved, and one that Python runs has no sweep file."""


@dataclass(frozen=True)
class Choice:
    """An implementation, and why it was taken.

    Attributes:
        name: `xla`, or a kernel.
        reason: For the plan, the metadata, `status` and the report.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Frozen:
    """What decides the bits beside the sweep: chosen by the first run, kept by all others.

    Attributes:
        platform: JAX's name of the platform.
        device_kind: The device.
        precision: `exact` or `fast`.
        implementation: What trains or draws, by bucket.
        lanes: K, by bucket.
        versions: Of sweep_engine, jax, flax, optax, numpy and Python.
        held: Buckets that XLA trains as it once did all: runs that have ended are held at every
            step, not once between checks, and no check shares the outputs of a step. Those begun
            then; their last bits are others.
    """

    platform: str
    device_kind: str
    precision: str
    implementation: dict[str, Choice]
    lanes: dict[str, int]
    versions: dict[str, str]
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What an output directory is for.

    Attributes:
        plan: The sweep and its shards.
        frozen: The choices of its first run.
        sweep_file: SHA-256 of `sweep.yaml`, which others read; None where there is none.
    """

    plan: Plan
    frozen: Frozen
    sweep_file: str | None = None

    def choices(self, source: str) -> dict[str, list[Choice]]:
        """What trains or draws a source: by implementation, the choices of its buckets."""
        found: dict[str, list[Choice]] = {}
        for bucket, choice in self.frozen.implementation.items():
            if self.plan.settings[self.plan.buckets[bucket][0]].source == source:
                found.setdefault(choice.name, []).append(choice)
        return found


def describe_choices(choices: Sequence[Choice]) -> str:
    """Say which implementation does the work of some buckets, and why that of the first."""
    more = f" (of the first of {len(choices):,} buckets)" if len(choices) > 1 else ""
    return f"{choices[0].name}: {choices[0].reason}{more}"


class Previous(NamedTuple):
    """What a directory holds already, and a growing sweep must keep.

    Attributes:
        sweep: The sweep.
        shards: The shards that were planned.
        frozen: The choices of the first run.
        data: `sweep.json` as it was read.
        moved_ids: Of settings that share a hash with others, by their digests.
        sweep_file: SHA-256 of `sweep.yaml`; None where it is not known.
    """

    sweep: Sweep
    shards: tuple[Shard, ...]
    frozen: Frozen
    data: bytes
    moved_ids: dict[str, int]
    sweep_file: str | None

    def ids(self) -> dict[str, int]:
        """The ids of all settings, by their digests: a growing sweep keeps them."""
        return {s.digest: s.id for s in manifest_of(self).plan.settings.values()}


def write_manifest(
    directory: OutputDirectory, manifest: Manifest, previous: Previous | None = None
) -> Previous:
    """Write `sweep.json`, whole or not at all, over the one that the manifest grew from.

    So of two drivers that begin or grow a sweep at once, one goes on: else their shards could
    overlap.

    Returns:
        What is there now, for the next to grow from.

    Raises:
        OutputError: another driver has written it since `previous` was read.
    """
    data = {
        "format": FORMAT,
        "spec_id": manifest.plan.spec_id,
        "sweep": dump_sweep(manifest.plan.sweep),
        "folder": _to_stored(manifest.plan.sweep.folder, directory),
        "frozen": asdict(manifest.frozen),
        _SHARDS: None,
    }
    if manifest.plan.moved_ids:
        data[_MOVED] = manifest.plan.moved_ids
    if manifest.sweep_file is not None:
        data[_SWEEP_FILE] = manifest.sweep_file
    # The seal comes last: what looks like its place stands before it.
    text = seal(_in_lines({**data, _SEAL: UNSEALED}, manifest.plan.to_dict()).encode())
    if not directory.files.replace(SWEEP_JSON, text, previous=previous and previous.data):
        raise OutputError(
            f"{directory.root}: another run has just begun here or changed the sweep: run again"
        )
    planned = manifest.plan
    return Previous(
        planned.sweep, planned.shards, manifest.frozen, text, planned.moved_ids, manifest.sweep_file
    )


def _in_lines(data: dict[str, Any], shards: list[list[Any]]) -> str:
    """Write JSON for readers, with a shard a line: there may be 100,000."""
    before, _, after = json.dumps(data, indent=1).partition(f'\n "{_SHARDS}": null')
    lines = ",\n  ".join(map(json.dumps, shards))
    return f'{before}\n "{_SHARDS}": [\n  {lines}\n ]{after}'


def read_manifest(directory: OutputDirectory) -> Manifest:
    """Read `sweep.json`.

    Raises:
        OutputError: there is none.
        CorruptResults: it cannot be read.
    """
    previous = read_previous(directory)
    if previous is None:
        raise OutputError(f"{directory.root}: no sweep here (there is no {SWEEP_JSON})")
    return manifest_of(previous)


def manifest_of(previous: Previous) -> Manifest:
    """Say what a directory is for, from what was read of it."""
    planned = plan(previous.sweep, previous.shards, lambda: previous.moved_ids)
    return Manifest(planned, previous.frozen, previous.sweep_file)


def with_stored_observables(previous: Previous, sweep: Sweep) -> Sweep:
    """Give a sweep the observables that were added to its rows later (`observe`)."""
    stored = previous.sweep.observables
    merged = merge(stored, sweep.observables)
    return sweep.model_copy(update={"observables": merged}) if len(merged) == len(stored) else sweep


def check_growth(previous: Previous, sweep: Sweep, root: str) -> None:
    """Refuse a sweep whose rows would have other columns than those that are there.

    Raises:
        OutputError: the observables or `store` changed, or an axis came to runs that are done.
    """
    before = previous.sweep
    new, old = dump_sweep(sweep), dump_sweep(before)
    changed = [field for field in ("observables", "store") if new[field] != old[field]]
    moved = set(axis_paths(sweep)) ^ set(axis_paths(before))
    changed += [p for p in sorted(moved) if any(touches(before, p, s) for s in before.sources)]
    if changed:
        raise OutputError(
            f"{root} holds runs made with other {', '.join(changed)}: a sweep may grow "
            "(more runs, points, sources, and observables by `observe`), anything else is another "
            "sweep and needs another --out"
        )


def read_previous(directory: OutputDirectory) -> Previous | None:
    """Read what a growing sweep must keep; None where nothing has been run."""
    if not directory.files.exists(SWEEP_JSON):
        return None
    data, text = _read(directory)
    with _as_corrupt(directory):
        sweep = restore(data["sweep"], (_base(directory) / data["folder"]).resolve())
        shards, frozen = read_shards(data[_SHARDS]), _frozen(data["frozen"])
        moved, sweep_file = dict(data.get(_MOVED, {})), data.get(_SWEEP_FILE)
        return Previous(sweep, shards, frozen, text, moved, sweep_file)


def _frozen(data: dict[str, Any]) -> Frozen:
    chosen = data["implementation"]
    if isinstance(chosen, str):  # of 0.1.0, which had one for all buckets
        one = {"name": chosen, "reason": "there was no other"}
        chosen = dict.fromkeys(data["lanes"], one)
    read = {
        "implementation": {k: _choice(**v) for k, v in chosen.items()},
        "held": tuple(data.get("held", data["lanes"])),  # all were, before there was a choice
    }
    return Frozen(**data | read)


def _choice(name: str, reason: str) -> Choice:
    return Choice(IMPLEMENTATION.of_today(name), reason)


def _base(directory: OutputDirectory) -> Path:
    """What a stored path is relative to; a path that stands on an object store is absolute."""
    files = directory.files
    return files.root if isinstance(files, LocalFiles) else Path()


def _to_stored(folder: Path, directory: OutputDirectory) -> str:
    if isinstance(directory.files, LocalFiles):
        return os.path.relpath(folder, directory.files.root)
    return str(folder.absolute())


def _read(directory: OutputDirectory) -> tuple[dict[str, Any], bytes]:
    place = f"{directory.files.location}/{SWEEP_JSON}"
    try:
        text = directory.files.read(SWEEP_JSON)
    except FileNotFoundError as error:
        raise OutputError(f"{directory.root}: no sweep here (there is no {SWEEP_JSON})") from error
    with _as_corrupt(directory):
        data: dict[str, Any] = json.loads(text)
        if data["format"] != FORMAT:
            raise OutputError(f"{place}: written by another version (format {data['format']})")
        # Before there were seals it had none.
        if wrong := ((data.keys() | {_SEAL}) - _OPTIONAL) ^ _KEYS:
            raise ValueError(f"its keys are others than expected: {', '.join(sorted(wrong))}")
        found = data.get(_SEAL)
        if found is not None and not is_whole(text, str(found)):
            raise ValueError("its seal is broken: it was damaged, or changed by hand")
    return data, text


@contextmanager
def _as_corrupt(directory: OutputDirectory) -> Iterator[None]:
    """Name the file in whatever its contents make go wrong."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, SpecError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        place = f"{directory.files.location}/{SWEEP_JSON}"
        raise CorruptResults([f"{place}: cannot be read: {what}"]) from error
