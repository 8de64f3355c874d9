"""Reading a sweep: from a YAML file, and back from `sweep.json`."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep_engine.errors import SpecError
from sweep_engine.spec.base import Spec, canonical_json
from sweep_engine.spec.document import parse_document, read_document
from sweep_engine.spec.observables import Observables
from sweep_engine.spec.renamed import first_written
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.tasks import DataFile, TaskKind
from sweep_engine.spec.validation import validate


def load(path: str | Path) -> Sweep:
    """Read a sweep file.

    Raises:
        SpecError: the file cannot be read or is not valid; every problem with its
            file:line:column.
    """
    path = Path(path)
    document = read_document(path)
    sweep = validate(document, Sweep)
    sweep._document = document
    sweep._folder = path.resolve().parent
    return pin_files(sweep)


class _Asked(Spec):
    observables: Observables


def read_observables(texts: Sequence[str]) -> Observables:
    """Read observables given as text: names, or mappings as in a sweep file.

    Raises:
        SpecError: one of them is not valid.
    """
    document = parse_document("observables:\n" + "".join(f"- {text}\n" for text in texts), "NAME")
    return validate(document, _Asked).observables if texts else ()


def pin_files(sweep: Sweep) -> Sweep:
    """Fill in the content hashes of data files, which make them part of the sweep's identity.

    Raises:
        SpecError: a file cannot be read, or is not the one whose hash is given.
    """
    update: dict[str, Any] = {}
    if sweep.task.data_file is not None:
        update["task"] = _pinned(sweep, sweep.task, sweep.task.data_file, ("task",))
    sources = {
        name: source.model_copy(update={"task": _pinned(sweep, source.task, file, place)})
        for name, source in sweep.sources.items()
        if source.task is not None
        and (file := source.task.data_file) is not None
        and (place := ("sources", name, "task"))
    }
    if sources:
        update["sources"] = sweep.sources | sources
    if not update:
        return sweep
    pinned = sweep.model_copy(update=update)
    pinned._document, pinned._folder = sweep._document, sweep._folder
    return pinned


def _pinned(sweep: Sweep, task: TaskKind, file: DataFile, place: tuple[str, ...]) -> TaskKind:
    path = (sweep.folder / file.path).resolve()
    if not path.is_relative_to(sweep.folder.resolve()):
        raise SpecError([sweep.problem((*place, "path"), f"{file.path} leads out of the folder")])
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise SpecError([sweep.problem((*place, "path"), message)]) from error
    if file.sha256 not in {None, digest}:
        message = f"{file.path} has the hash {digest}: it is not the file this sweep was made for"
        raise SpecError([sweep.problem((*place, "sha256"), message)])
    return task.model_copy(update={"sha256": digest})


def dump_sweep(sweep: Sweep) -> dict[str, Any]:
    """Dump the sweep in full, defaults included, as plain JSON data."""
    return sweep.model_dump(mode="json")


def restore(data: dict[str, Any], folder: Path) -> Sweep:
    """Rebuild a sweep from `dump_sweep`. A user's own classes are described, not imported."""
    sweep = Sweep.model_validate_json(json.dumps(data), context="stored")
    sweep._folder = folder
    return sweep


def spec_id(sweep: Sweep) -> str:
    """Hash of the whole resolved sweep, in the words of its first writing: 16 hex digits."""
    text = canonical_json(first_written(dump_sweep(sweep)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
