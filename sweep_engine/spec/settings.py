"""From a sweep to its settings: every source at every point of the axes that touch it."""

import copy
import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweep_engine.errors import SpecError
from sweep_engine.spec.axes import Axis
from sweep_engine.spec.base import Spec, canonical_json, is_free
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.models import ModelSpec
from sweep_engine.spec.parents import (
    lineage,
    parent_of,
    parent_problems,
    parents_first,
)
from sweep_engine.spec.sources import Accept, Source, SourceSpec
from sweep_engine.spec.starts import FunctionsFrom, ParentAt, ParentRef, parent_ref_of
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.tasks import TaskSpec
from sweep_engine.spec.wording import nearest

Point = dict[str, Any]
Location = tuple[str | int, ...]
NUM_SETTINGS_MAX = 1_000_000
_FROM_IS_FIXED = (
    "which source runs start from cannot be swept: give every start a source of its own"
)
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "task": TypeAdapter(TaskSpec),
    "model": TypeAdapter(ModelSpec),
    "source": TypeAdapter(SourceSpec),
}


@dataclass(frozen=True)
class Setting:
    """One source at one point of the axes.

    Attributes:
        id: 31-bit hash of everything that decides the runs: seed, source name, task, model,
            acceptance rule, source, and all that decides the runs that they start from; not of
            how many runs are asked for.
        source: Name of the source.
        values: The swept values, by axis path.
        task: The task at this point.
        model: The model at this point.
        spec: The source's specification at this point; a task of its own stands in `task`.
        accept: The acceptance rule.
        parent: Id of the setting of another source whose stored results are used.
        digest: SHA-256, in hex, of what the id is a hash of.
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


@dataclass(frozen=True)
class Piece:
    """The runs with index start .. stop - 1 of a setting."""

    setting: Setting
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def settings(sweep: Sweep) -> list[Setting]:
    """List every setting of the sweep, source by source.

    Raises:
        SpecError: an axis does not fit its field, or two settings have one id; all at once.
    """
    problems = [*parent_problems(sweep), *_axis_problems(sweep)]
    if problems:
        raise SpecError(problems)
    groups = [_points(sweep, group) for group in axis_groups(sweep)]
    touched = {source: _touched(sweep, source, groups) for source in sweep.sources}
    if sum(math.prod(map(len, points)) for points in touched.values()) > NUM_SETTINGS_MAX:
        raise SpecError([f"axes: more than {NUM_SETTINGS_MAX:,} settings"])
    made: dict[str, dict[str, Setting]] = {}
    for source in parents_first(sweep):
        made[source] = {}
        for point in _crossed(touched[source]):
            try:
                setting = _setting(sweep, source, point, _parent(sweep, source, point, made))
                made[source][canonical_json(point)] = setting
            except SpecError as error:
                problems += error.problems
        if problems:
            raise SpecError(list(dict.fromkeys(problems)))
    found = [setting for source in sweep.sources for setting in made[source].values()]
    if problems := list(_collisions(found)):
        raise SpecError(problems)
    return found


def axis_groups(sweep: Sweep) -> list[tuple[Location, dict[str, Axis]]]:
    """List the groups that are crossed with one another: single axes, zips, Sobol sets."""
    axes = sweep.axes
    groups: list[tuple[Location, dict[str, Axis]]] = [
        (("axes",), {path: axis}) for path, axis in axes.crossed.items()
    ]
    groups += [(("axes", "zip", i), dict(group)) for i, group in enumerate(axes.zip)]
    groups += [(("axes", "sobol", i, "over"), sobol.over) for i, sobol in enumerate(axes.sobol)]
    return groups


def axis_paths(sweep: Sweep) -> list[str]:
    """List the paths of all axes, in order."""
    return [path for _, group in axis_groups(sweep) for path in group]


def touches(sweep: Sweep, path: str, source: str) -> bool:
    """Whether an axis multiplies a source: itself, or one that it starts from."""
    return any(_touches_one(sweep, path, name) for name in lineage(sweep, source))


def _touches_one(sweep: Sweep, path: str, source: str) -> bool:
    if path.startswith("task."):
        return sweep.sources[source].task is None
    return path.startswith((f"sources.{source}.", "model."))


def _points(sweep: Sweep, located: tuple[Location, dict[str, Axis]]) -> list[Point]:
    location, group = located
    if "sobol" in location:
        rows = sweep.axes.sobol[int(location[2])].resolve(sweep.seed)
    else:
        columns = [axis.resolve(sweep.seed, path) for path, axis in group.items()]
        rows = tuple(zip(*columns, strict=True))
    return [dict(zip(group, row, strict=True)) for row in rows]


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


def _parent(
    sweep: Sweep, source: str, point: Point, made: dict[str, dict[str, Setting]]
) -> Setting | None:
    """The setting that a setting's runs start from: the same point, as far as it touches it."""
    parent = parent_of(sweep, source)
    if parent is None:
        return None
    theirs = {path: value for path, value in point.items() if touches(sweep, path, parent)}
    return made[parent][canonical_json(theirs)]


def _setting(sweep: Sweep, source: str, point: Point, parent: Setting | None) -> Setting:
    parts: dict[str, Spec] = {
        "task": sweep.task,
        "model": sweep.model,
        "source": sweep.sources[source],
    }
    for name, prefix in (("task", "task."), ("model", "model."), ("source", f"sources.{source}.")):
        changes = {k.removeprefix(prefix): v for k, v in point.items() if k.startswith(prefix)}
        if changes:
            parts[name] = _with_changes(sweep, name, parts[name], changes, prefix)
    theirs = {} if parent is None else parent.values
    values = {path: theirs.get(path, _validated(parts, path, point[path])) for path in point}
    _check_start(sweep, source, parts["source"], parent, point)
    parts |= _resolved(parts["source"], parent)
    accept = sweep.accept_of(source)
    content: dict[str, Any] = {name: identity(part) for name, part in parts.items()}
    content |= {"seed": sweep.seed, "name": source, "accept": identity(accept)}
    if parent is not None:
        content["parent"] = _identity_of_parent(parts["source"], parent)
    text = canonical_json(content)
    return Setting(
        id=_hash31(text),
        source=source,
        values=values,
        task=parts["task"],  # type: ignore[arg-type]  # a union member by construction
        model=parts["model"],  # type: ignore[arg-type]
        spec=parts["source"],  # type: ignore[arg-type]
        accept=accept,
        parent=None if parent is None else parent.id,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _resolved(source: Any, parent: Setting | None) -> dict[str, Spec]:
    """A source without what stands elsewhere in its setting: its own task, its parent's number."""
    found: dict[str, Spec] = {}
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
    found = parent_ref_of(source)
    if (found[1].source if found else None) != (parent.source if parent else None):
        raise SpecError(
            [
                sweep.problem(_location(sweep, path), _FROM_IS_FIXED)
                for path, value in point.items()
                if path.startswith(f"sources.{name}.") and isinstance(value, dict)
            ]
        )
    if not (found and parent and isinstance(found[1], ParentAt)):
        return
    if message := parent.spec.missing_state(found[1].at, parent.source):
        at = ("sources", name, *found[0], "at")
        raise SpecError([sweep.problem(_location(sweep, ".".join(at)) or at, message)])


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
        found = _at(found, name)
    return found if isinstance(found, int | float | str) else value


def _at(spec: Any, step: str) -> Any:
    """A field, or a member of a tuple; None where there is none."""
    if not isinstance(spec, tuple):
        return getattr(spec, step, None)
    return spec[int(step)] if step.isdecimal() and int(step) < len(spec) else None


def _with_changes(sweep: Sweep, name: str, spec: Spec, changes: Point, prefix: str) -> Spec:
    # An object of the user's own class has no other form: it stays as it is.
    task = getattr(spec, "task", None)
    kept = {"task": task} if isinstance(task, Custom) else {}
    try:
        data = _replace(spec.model_dump(exclude=set(kept)), changes)
        changed: Spec = _ADAPTERS[name].validate_python(data | kept)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for detail in error.errors():
            path = _nearest_change(detail["loc"], changes)
            message = f"{changes[path]!r} does not fit: {detail['msg']}"
            problems.setdefault(path, sweep.problem(_location(sweep, prefix + path), message))
        raise SpecError(list(problems.values())) from error
    return changed


def _replace(data: dict[str, Any], changes: Point) -> dict[str, Any]:
    """Put the values in their places, a part before the fields in it."""
    for path, value in sorted(changes.items(), key=lambda change: change[0].count(".")):
        *parents, leaf = path.split(".")
        target: Any = data
        for parent in parents:
            target = _opened(target, parent)
        target[_step(target, leaf)] = copy.deepcopy(value)
    return data


def _opened(target: Any, name: str) -> Any:
    """What stands under a name, made fit to be changed."""
    step: Any = _step(target, name)
    inner = target[step] if isinstance(target, list) else target.get(step)
    if isinstance(inner, tuple | list):
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


def _location(sweep: Sweep, path: str) -> Location:
    return next(((*where, path) for where, group in axis_groups(sweep) if path in group), ())


def identity(spec: Spec) -> dict[str, Any]:
    """Dump what decides runs: not how many there are or kept, nor fields that are left out.

    So an optional field that a later version adds changes no id.
    """
    data = spec.model_dump(mode="json", exclude_none=True)
    numbers = spec.counted | spec.selected if isinstance(spec, Source) else frozenset()
    return {name: value for name, value in data.items() if name not in numbers}


def _hash31(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def _collisions(found: list[Setting]) -> Iterator[str]:
    seen: dict[int, Setting] = {}
    for setting in found:
        other = seen.setdefault(setting.id, setting)
        if other is not setting:
            yield (
                f"two settings share the id {setting.id} (31 bits): {other.source} "
                f"{other.values} and {setting.source} {setting.values}; rename a source, "
                "or list a value once only"
            )


def _axis_problems(sweep: Sweep) -> Iterator[str]:
    seen: set[str] = set()
    for location, group in axis_groups(sweep):
        lengths = set()
        for path, axis in group.items():
            where = (*location, path)
            message = _axis_problem(sweep, path, axis, sobol="sobol" in location)
            if path in seen:
                message = "an axis can be given once only"
            seen.add(path)
            if message:
                yield sweep.problem(where, message)
            elif "sobol" not in location:
                lengths.add(len(axis.resolve(sweep.seed, path)))
        if len(lengths) > 1:
            yield sweep.problem(location, f"zipped axes need one length, not {sorted(lengths)}")


def _axis_problem(sweep: Sweep, path: str, axis: Axis, *, sobol: bool) -> str | None:
    try:
        traced = _is_traced(sweep, path)
    except ValueError as error:
        return str(error)
    if not traced and axis.values is None:
        return "this field is static (it shapes the program): give a list of values"
    if not sobol and axis.values is None and axis.points is None:
        return "points: say how many points the range gets"
    return None


def _is_traced(sweep: Sweep, path: str) -> bool:
    """Say whether the field at an axis path is traced; ValueError if there is none."""
    head, *rest = path.split(".")
    if head == "sources" and len(rest) >= 2:
        spec: Any = sweep.sources.get(rest[0])
        if spec is None:
            raise ValueError(f"no source named {rest[0]!r}{nearest(rest[0], sweep.sources)}")
        rest = rest[1:]
    elif head in {"task", "model"} and rest:
        spec = getattr(sweep, head)
    else:
        raise ValueError("an axis path starts with task., model. or sources.<name>.")
    for name in rest[:-1]:
        spec = _field(spec, name)
    return _is_free_field(spec, rest[-1])


def _is_free_field(spec: Any, leaf: str) -> bool:
    if isinstance(spec, ParentRef) and leaf in {"from", "source"}:
        raise ValueError(_FROM_IS_FIXED)
    _field(spec, leaf)
    if isinstance(spec, Source) and leaf in spec.counted | spec.selected:
        raise ValueError(f"{leaf} says how many runs there are and cannot be swept")
    return isinstance(spec, Spec) and is_free(type(spec).model_fields[leaf].metadata)


def _field(spec: Any, name: str) -> Any:
    if isinstance(spec, Spec) and name in type(spec).model_fields:
        return getattr(spec, name)
    if isinstance(spec, tuple) and (found := _at(spec, name)) is not None:
        return found
    allowed: list[str] = []
    if isinstance(spec, Spec):
        allowed = [field.alias or name for name, field in type(spec).model_fields.items()]
    elif isinstance(spec, tuple):
        allowed = [str(i) for i in range(len(spec))]
    raise ValueError(f"no field named {name!r} here{nearest(name, allowed)}")
