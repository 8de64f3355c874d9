"""Reading a sweep: from a YAML file, and back from `sweep.json`."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sweep_engine.errors import FieldError, SpecError
from sweep_engine.spec.base import Spec, canonical_json
from sweep_engine.spec.document import parse_document, read_document
from sweep_engine.spec.observables import Observables
from sweep_engine.spec.renamed import first_written
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.tasks import TaskKind, TaskSpec
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
    """Read the data files, and fill in what makes them part of the sweep's identity.

    Raises:
        SpecError: a file cannot be used, or is not the one whose hash is given.
    """
    return _with_files(sweep, lambda task: True)


def pin_new_files(sweep: Sweep) -> Sweep:
    """Do so for the files that were not read yet: of a stored sweep, none is looked at.

    Raises:
        SpecError: as `pin_files`.
    """
    return _with_files(sweep, lambda task: any(file.sha256 is None for file in task.data_files))


def _with_files(sweep: Sweep, is_read: Callable[[Any], bool]) -> Sweep:
    def pinned(task: TaskSpec | None, place: tuple[str, ...]) -> Any:
        if task is None or not task.data_files or not is_read(task):
            return task
        return _pinned(sweep, task, place)

    task = pinned(sweep.task, ("task",))
    sources = {}
    for name, source in sweep.sources.items():
        own = pinned(source.task, ("sources", name, "task"))
        same = own is source.task
        sources[name] = source if same else source.model_copy(update={"task": own})
    if task is sweep.task and all(sources[name] is sweep.sources[name] for name in sources):
        return sweep
    filled = sweep.model_copy(update={"task": task, "sources": sources})
    filled._document, filled._folder = sweep._document, sweep._folder
    return filled


def _pinned(sweep: Sweep, task: TaskKind, place: tuple[str, ...]) -> TaskKind:
    folder = sweep.folder.resolve()
    for file in task.data_files:
        if not (folder / file.path).resolve().is_relative_to(folder):
            message = f"{file.path} leads out of the folder"
            raise SpecError([sweep.problem((*place, *file.place, "path"), message)])
    try:
        filled = task.filled_in(folder)
    except FieldError as error:
        raise SpecError([sweep.problem((*place, *error.field), str(error))]) from error
    for given, found in zip(task.data_files, filled.data_files, strict=True):
        if given.sha256 not in {None, found.sha256}:
            message = (
                f"{given.path} has the hash {found.sha256}: it is not the file this sweep was "
                "made for"
            )
            raise SpecError([sweep.problem((*place, *given.place, "sha256"), message)])
    return filled


def dump_sweep(sweep: Sweep) -> dict[str, Any]:
    """Dump the sweep in full, defaults included, as plain JSON data."""
    return sweep.model_dump(mode="json")


def restore(data: dict[str, Any], folder: Path) -> Sweep:
    """Rebuild a sweep from `dump_sweep`. A user's own classes are described, not imported."""
    sweep = Sweep.model_validate_json(json.dumps(data), context="stored")
    sweep._folder = folder
    sweep._is_stored = True
    return sweep


def spec_id(sweep: Sweep) -> str:
    """Hash of the whole resolved sweep, in the words of its first writing: 16 hex digits."""
    text = canonical_json(first_written(dump_sweep(sweep)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
