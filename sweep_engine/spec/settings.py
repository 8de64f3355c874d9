"""From a sweep to its settings: every source at every point of the axes that touch it."""

import copy
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweep_engine.errors import SpecError
from sweep_engine.spec.base import Spec, canonical_json
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.ids import Known, hash31, moved_ids
from sweep_engine.spec.models import ModelSpec
from sweep_engine.spec.parents import (
    lineage,
    parent_of,
    parent_problems,
    parents_first,
)
from sweep_engine.spec.points import (
    FROM_IS_FIXED,
    WHOLE,
    Location,
    Point,
    axis_paths,
    axis_problems,
    part_at,
    place_of,
    points_of,
)
from sweep_engine.spec.sources import Accept, Source, SourceSpec
from sweep_engine.spec.starts import FunctionsFrom, ParentAt, parent_ref_of
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.task_kind import TaskKind
from sweep_engine.spec.tasks import TaskSpec
from sweep_engine.spec.validation import explained
from sweep_engine.spec.wording import format_path, shown

NUM_SETTINGS_MAX = 1_000_000
Identify = Callable[[Spec], str]
_UNIONS: dict[str, Any] = {
    "task": TaskSpec,
    "model": ModelSpec,
    "accept": Accept,
    "source": SourceSpec,
}
_ADAPTERS = {name: TypeAdapter(union) for name, union in _UNIONS.items()}


@dataclass(frozen=True)
class Setting:
    """One source at one point of the axes.

    Attributes:
        id: 31 bits of the digest, or of another hash of it where two settings share them.
        source: Name of the source.
        values: The swept values, by axis path.
        task: The task at this point.
        model: The model at this point.
        spec: The source's specification at this point; a task of its own stands in `task`.
        accept: The acceptance rule.
        parent: Id of the setting of another source whose stored results are used.
        digest: SHA-256, in hex, of everything that decides the runs: seed, source name, task,
            model, acceptance rule, source, and all that decides the runs that they start from;
            not of how many runs are asked for.
        parent_digest: That of the parent.
    """

    id: int
    source: str
    values: Point
    task: TaskSpec
    model: ModelSpec
    spec: SourceSpec
    accept: Accept
    parent: int | None = None
    digest: str = ""
    parent_digest: str | None = None


@dataclass(frozen=True)
class Piece:
    """The runs with index start .. stop - 1 of a setting."""

    setting: Setting
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def settings(
    sweep: Sweep,
    known: Known = dict,
    *,
    as_first_released: bool = False,
) -> list[Setting]:
    """List every setting of the sweep, source by source.

    Args:
        sweep: The sweep.
        known: The ids that settings of an earlier plan keep.
        as_first_released: Draw the points of axes as the first release did.

    Raises:
        SpecError: an axis does not fit its field, or two points are one setting; all at once.
    """
    if problems := list(parent_problems(sweep)):
        raise SpecError([*problems, *axis_problems(sweep)])
    groups = points_of(sweep, as_first_released=as_first_released)
    touched = {source: _touched(sweep, source, groups) for source in sweep.sources}
    if sum(math.prod(map(len, points)) for points in touched.values()) > NUM_SETTINGS_MAX:
        raise SpecError([f"axes: more than {NUM_SETTINGS_MAX:,} settings"])
    made: dict[str, list[Setting]] = {}
    at: dict[str, dict[str, Setting]] = {}  # of parents, by point
    parents = {source: parent_of(sweep, source) for source in sweep.sources}
    identify = _identities(sweep)
    for source in parents_first(sweep):
        made[source] = []
        parent = parents[source]
        for point in _crossed(touched[source]):
            try:
                start = None if parent is None else _same_point(sweep, parent, point, at[parent])
                made[source].append(_setting(sweep, source, point, start, identify))
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(list(dict.fromkeys(problems)))
        if source in parents.values():
            points = map(canonical_json, _crossed(touched[source]))
            at[source] = dict(zip(points, made[source], strict=True))
    found = [setting for source in sweep.sources for setting in made[source]]
    if problems := list(_same(sweep, found)):
        raise SpecError(problems)
    moved = moved_ids([setting.digest for setting in found], known)
    return _with_ids(found, moved) if moved else found


def _with_ids(found: Sequence[Setting], moved: Mapping[str, int]) -> list[Setting]:
    """Give settings the ids that they have instead of their first ones."""

    def id_of(digest: str | None) -> int | None:
        return None if digest is None else moved.get(digest, hash31(digest))

    return [
        replace(
            setting,
            id=moved.get(setting.digest, setting.id),
            parent=id_of(setting.parent_digest),
        )
        if setting.digest in moved or setting.parent_digest in moved
        else setting
        for setting in found
    ]


def _same(sweep: Sweep, found: Sequence[Setting]) -> Iterator[str]:
    """Points that differ in the file alone: one setting would come of them."""
    if len({setting.digest for setting in found}) == len(found):
        return
    seen: dict[str, Setting] = {}
    for setting in found:
        other = seen.setdefault(setting.digest, setting)
        if other is not setting:
            paths = [path for path in axis_paths(sweep) if path in setting.values]
            where = place_of(sweep, paths[-1]) if paths else ("sources", setting.source)
            message = f"two points are one setting of {setting.source}: list it once"
            yield sweep.problem(where, message)
            return


def touches(sweep: Sweep, path: str, source: str) -> bool:
    """Whether an axis multiplies a source: itself, or one that it starts from."""
    return any(_touches_one(sweep, path, name) for name in lineage(sweep, source))


def _touches_one(sweep: Sweep, path: str, source: str) -> bool:
    head = path.split(".")[0]
    if head == "task":
        return sweep.sources[source].task is None
    if head == "accept":
        return sweep.sources[source].accept is None
    return head == "model" or path.startswith(f"sources.{source}.")


def _touched(sweep: Sweep, source: str, groups: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """What of every group touches a source, each point once."""
    touched = []
    for group in groups:
        paths = [path for path in group[0] if touches(sweep, path, source)]
        points = [{path: point[path] for path in paths} for point in group]
        unique = {canonical_json(point): point for point in points}
        touched.append(list(unique.values()))
    return touched


def _crossed(touched: Sequence[Sequence[Point]]) -> Iterator[Point]:
    for combination in itertools.product(*touched):
        yield {path: value for point in combination for path, value in point.items()}


def _same_point(sweep: Sweep, parent: str, point: Point, at: Mapping[str, Setting]) -> Setting:
    """The setting that a setting's runs start from: the same point, as far as it touches it."""
    theirs = {path: value for path, value in point.items() if touches(sweep, path, parent)}
    return at[canonical_json(theirs)]


def _identities(sweep: Sweep) -> Identify:
    """Give `identity` as a text, made once of what stands in the sweep itself."""
    parts: list[Spec] = [sweep.task, sweep.model, sweep.accept]
    parts += [part for s in sweep.sources.values() for part in (s, s.task, s.accept) if part]
    known = {id(part): canonical_json(identity(part)) for part in parts}
    return lambda part: known.get(id(part)) or canonical_json(identity(part))


def _setting(
    sweep: Sweep, source: str, point: Point, parent: Setting | None, identify: Identify
) -> Setting:
    parts: dict[str, Spec] = {
        "task": sweep.task,
        "model": sweep.model,
        "accept": sweep.accept,
        "source": sweep.sources[source],
    }
    for name in WHOLE:
        if name in point:
            parts[name] = _whole(sweep, name, point[name])
    for name in parts:
        prefix = f"sources.{source}." if name == "source" else f"{name}."
        changes = {k.removeprefix(prefix): v for k, v in point.items() if k.startswith(prefix)}
        if changes:
            parts[name] = _with_changes(sweep, name, parts[name], changes, prefix)
    theirs = {} if parent is None else parent.values
    values = {path: theirs.get(path, _validated(parts, path, point[path])) for path in point}
    _check_start(sweep, source, parts["source"], parent, point)
    parts |= _resolved(parts["source"], parent)
    content = {name: identify(part) for name, part in parts.items()}
    content |= {"name": f'"{source}"', "seed": f"{sweep.seed}"}
    if parent is not None:
        content["parent"] = canonical_json(_identity_of_parent(parts["source"], parent))
    digest = hashlib.sha256(_joined(content).encode()).hexdigest()
    return Setting(
        id=hash31(digest),
        source=source,
        values=values,
        task=parts["task"],  # type: ignore[arg-type]  # a union member by construction
        model=parts["model"],  # type: ignore[arg-type]  # a union member by construction
        spec=parts["source"],  # type: ignore[arg-type]  # a union member by construction
        accept=parts["accept"],  # type: ignore[arg-type]  # a rule by construction
        parent=None if parent is None else parent.id,
        digest=digest,
        parent_digest=None if parent is None else parent.digest,
    )


def _joined(texts: Mapping[str, str]) -> str:
    """Join canonical texts to that of a mapping of what they say.

    >>> _joined({"b": canonical_json([1]), "a": canonical_json(None)})
    '{"a":null,"b":[1]}'
    """
    return "{" + ",".join([f'"{name}":{texts[name]}' for name in sorted(texts)]) + "}"


def _resolved(source: Any, parent: Setting | None) -> dict[str, Spec]:
    """A source without what stands elsewhere in its setting: its own task, its parent's number.

    Its own acceptance rule is the setting's, and stays in the source as well.
    """
    found: dict[str, Spec] = {} if source.accept is None else {"accept": source.accept}
    if source.task is not None:
        found["task"] = source.task
        source = source.model_copy(update={"task": None})
    if source.num_runs is None and parent is not None:
        source = source.model_copy(update=dict.fromkeys(source.counted, parent.spec.num_rows))
    return found | {"source": source}


def _check_start(
    sweep: Sweep, name: str, source: Any, parent: Setting | None, point: Point
) -> None:
    """Refuse a start that its parent does not have, or another parent at some point."""
    if parent is None and not any(isinstance(value, dict) for value in point.values()):
        return
    found = parent_ref_of(source)
    if (found[1].source if found else None) != (parent.source if parent else None):
        raise SpecError(
            [
                sweep.problem(place_of(sweep, path), FROM_IS_FIXED)
                for path, value in point.items()
                if path.startswith(f"sources.{name}.") and isinstance(value, dict)
            ]
        )
    if not (found and parent and isinstance(found[1], ParentAt)):
        return
    if message := parent.spec.missing_state(found[1].at, parent.source):
        at = ("sources", name, *found[0], "at")
        raise SpecError([sweep.problem(place_of(sweep, ".".join(at)) or at, message)])


def _identity_of_parent(source: Any, parent: Setting) -> dict[str, Any]:
    """What decides the results that are used: for functions also how many runs there are."""
    found, theirs = parent_ref_of(source), {"digest": parent.digest}
    if found is None or not isinstance(found[1], FunctionsFrom):
        return theirs
    numbers = parent.spec.counted | parent.spec.selected
    return theirs | parent.spec.model_dump(mode="json", include=set(numbers))


def _validated(parts: dict[str, Spec], path: str, value: Any) -> Any:
    """A swept value as its field holds it: 1 in a field of real numbers is 1.0."""
    head, *rest = path.split(".")
    found: Any = parts["source" if head == "sources" else head]
    for name in rest[1:] if head == "sources" else rest:
        found = part_at(found, name)
    return found if isinstance(found, int | float | str) else value


def _whole(sweep: Sweep, name: str, value: Any) -> Spec:
    """Read a task or model that is one value of an axis."""
    try:
        found: Spec = _ADAPTERS[name].validate_python(value)
    except ValidationError as error:
        reasons = [
            f"{format_path(where)}: {reason}" if where else reason
            for where, reason in explained(_UNIONS[name], error)
        ]
        message = f"{_shown(value)} does not fit: {'; '.join(reasons)}"
        raise SpecError([sweep.problem(place_of(sweep, name), message)]) from error
    if isinstance(found, TaskKind) and found.data_files:
        message = (
            "a file's checksum and labels are filled in where the sweep, or a source, names it as "
            "its task: it cannot be one value of an axis"
        )
        raise SpecError([sweep.problem(place_of(sweep, name), message)])
    return found


def _with_changes(sweep: Sweep, name: str, spec: Spec, changes: Point, prefix: str) -> Spec:
    if isinstance(spec, Custom):
        return _with_fields(sweep, spec, changes, prefix)
    try:
        changed: Spec = _ADAPTERS[name].validate_python(_replace(_fields_of(spec), changes))
    except ValidationError as error:
        problems: dict[str, str] = {}
        for where, reason in explained(_UNIONS[name], error):
            path = _nearest_change(where, changes)
            inside = where[path.count(".") + 1 :]
            if path.endswith("kind") and where != tuple(path.split(".")):
                reason = _of_other_kinds(prefix + path)
            elif inside:
                reason = f"{format_path(inside)}: {reason}"
            message = f"{_shown(changes[path])} does not fit: {reason}"
            problems.setdefault(path, sweep.problem(place_of(sweep, prefix + path), message))
        raise SpecError(list(problems.values())) from error
    return changed


def _with_fields(sweep: Sweep, spec: Custom, changes: Point, prefix: str) -> Spec:
    """Change a user's own object: its class is all that can refuse a value."""
    try:
        return spec.with_fields(changes)
    except ValueError as error:
        path = prefix + next(iter(changes))
        shown = ", ".join(f"{name}: {_shown(value)}" for name, value in changes.items())
        message = f"{shown} does not fit {spec.target}: {error}"
        raise SpecError([sweep.problem(place_of(sweep, path), message)]) from error


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, dict | list | tuple) else shown(value)


def _of_other_kinds(path: str) -> str:
    """What to do instead of sweeping a kind, which decides what fields there are."""
    part = path.removesuffix(".kind")
    if part.startswith("sources.") and part.count(".") < 2:
        return "other kinds have other fields: give each a source of its own"
    return f"other kinds have other fields: list whole parts, as in {part}: [{{kind: ...}}, ...]"


def _fields_of(spec: Spec) -> dict[str, Any]:
    """Give a part's fields as they are, by the names that they are read by.

    The parts in them are neither copied nor validated again: a sweep has many settings, and
    most of what stands in one stands in all.
    """
    return {key: getattr(spec, name) for key, name in _keys_of(type(spec))}


@cache
def _keys_of(part: type[Spec]) -> tuple[tuple[str, str], ...]:
    """The fields of a class, each with the name that it is read by."""
    by_alias = part.model_config.get("serialize_by_alias", False)
    return tuple(
        ((by_alias and field.alias) or name, name) for name, field in part.model_fields.items()
    )


def _replace(data: dict[str, Any], changes: Point) -> dict[str, Any]:
    """Put the values in their places, a part before the fields in it."""
    for path, value in sorted(changes.items(), key=lambda change: change[0].count(".")):
        *parents, leaf = path.split(".")
        target: Any = data
        for depth, parent in enumerate(parents):
            if isinstance(own := _inside(target, parent), Custom):
                leaf = ".".join([*parents[depth + 1 :], leaf])
                target[_step(target, parent)] = own.with_fields({leaf: value})
                break
            target = _opened(target, parent)
        else:
            target[_step(target, leaf)] = copy.deepcopy(value)
    return data


def _inside(target: Any, name: str) -> Any:
    step: Any = _step(target, name)
    return target[step] if isinstance(target, list) else target.get(step)


def _opened(target: Any, name: str) -> Any:
    """What stands under a name, made fit to be changed."""
    step: Any = _step(target, name)
    inner = _inside(target, name)
    if isinstance(inner, Spec):
        inner = _fields_of(inner)
    elif isinstance(inner, tuple | list):
        inner = list(inner)
    elif not isinstance(inner, dict):
        inner = {}
    target[step] = inner
    return inner


def _step(target: Any, name: str) -> str | int:
    return int(name) if isinstance(target, list) else name


def _nearest_change(location: Location, changes: Point) -> str:
    """Which change an error is about; `location` names union members between the fields."""

    def shared(path: str) -> int:
        steps = iter(location)
        return sum(1 for part in path.split(".") if part in steps)

    return max(changes, key=lambda path: (shared(path), -path.count(".")))


def identity(spec: Spec) -> dict[str, Any]:
    """Dump what decides runs: not how many there are or kept, nor fields that are left out.

    So an optional field that a later version adds changes no id.
    """
    data = spec.model_dump(mode="json", exclude_none=True)
    apart: frozenset[str] = frozenset()
    if isinstance(spec, Source):
        apart = spec.counted | spec.selected | spec.watched
    return {name: value for name, value in data.items() if name not in apart}
