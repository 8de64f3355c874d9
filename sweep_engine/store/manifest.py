"""`sweep.json`: the sweep resolved, its plan, and the choices that the first run froze."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from sweep_engine.errors import CorruptResults, OutputError
from sweep_engine.planning import Plan, Shard, plan, read_shards
from sweep_engine.spec import Sweep, axis_paths, dump_sweep, restore, touches
from sweep_engine.store.directory import OutputDirectory

FORMAT = 1


@dataclass(frozen=True)
class Frozen:
    """What decides the bits beside the sweep: chosen by the first run, kept by all others.

    Attributes:
        platform: JAX's name of the platform.
        device_kind: The device.
        precision: `exact` or `fast`.
        implementation: What trains.
        lanes: K, by bucket.
        versions: Of sweep_engine, jax, flax, optax, numpy and Python.
    """

    platform: str
    device_kind: str
    precision: str
    implementation: str
    lanes: dict[str, int]
    versions: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """What an output directory is for.

    Attributes:
        plan: The sweep and its shards.
        frozen: The choices of its first run.
    """

    plan: Plan
    frozen: Frozen


def write_manifest(directory: OutputDirectory, manifest: Manifest) -> None:
    """Write `sweep.json`, whole or not at all."""
    data = {
        "format": FORMAT,
        "spec_id": manifest.plan.spec_id,
        "sweep": dump_sweep(manifest.plan.sweep),
        "folder": os.path.relpath(manifest.plan.sweep.folder, directory.root),
        "frozen": asdict(manifest.frozen),
        "shards": manifest.plan.to_dict(),
    }
    directory.files.write(directory.sweep_json.name, json.dumps(data, indent=1).encode())


def read_manifest(directory: OutputDirectory) -> Manifest:
    """Read `sweep.json`.

    Raises:
        OutputError: there is none.
        CorruptResults: it cannot be read.
    """
    data = _read(directory)
    sweep = restore(data["sweep"], (directory.root / data["folder"]).resolve())
    shards = read_shards(data["shards"])
    return Manifest(plan(sweep, shards), Frozen(**data["frozen"]))


def check_growth(directory: OutputDirectory, sweep: Sweep) -> None:
    """Refuse a sweep whose rows would have other columns than those that are there.

    Raises:
        OutputError: the observables or `store` changed, or an axis came to runs that are done.
    """
    if not directory.sweep_json.is_file():
        return
    before = restore(_read(directory)["sweep"], directory.root)
    new, old = dump_sweep(sweep), dump_sweep(before)
    changed = [field for field in ("observables", "store") if new[field] != old[field]]
    moved = set(axis_paths(sweep)) ^ set(axis_paths(before))
    changed += [p for p in sorted(moved) if any(touches(before, p, s) for s in before.sources)]
    if changed:
        raise OutputError(
            f"{directory.root} holds runs made with other {', '.join(changed)}: a sweep may grow "
            "(more runs, points, sources), anything else is another sweep and needs another --out"
        )


def read_shards_and_choices(
    directory: OutputDirectory,
) -> tuple[tuple[Shard, ...], Frozen] | None:
    """Read what a growing sweep must keep; None where nothing has been run."""
    if not directory.sweep_json.is_file():
        return None
    data = _read(directory)
    return read_shards(data["shards"]), Frozen(**data["frozen"])


def _read(directory: OutputDirectory) -> dict[str, Any]:
    path = directory.sweep_json
    try:
        data: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise OutputError(f"{directory.root}: no sweep here (there is no {path.name})") from error
    except (ValueError, OSError) as error:
        raise CorruptResults([f"{path}: cannot be read: {error}"]) from error
    if data.get("format") != FORMAT:
        raise OutputError(f"{path}: written by another version (format {data.get('format')})")
    return data
