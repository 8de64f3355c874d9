"""The points of the axes: what is swept, group by group, and what is wrong with it."""

from collections.abc import Iterator
from typing import Any

from sweep_engine.errors import SpecError
from sweep_engine.spec.axes import Axis, key_of
from sweep_engine.spec.base import Spec, is_free
from sweep_engine.spec.custom import Custom
from sweep_engine.spec.sources import Source
from sweep_engine.spec.starts import ParentRef
from sweep_engine.spec.sweep import Sweep
from sweep_engine.spec.wording import nearest, shown

Point = dict[str, Any]
Location = tuple[str | int, ...]
WHOLE = ("task", "model", "accept")
"""The parts of a sweep that are an axis as a whole too: other kinds have other fields."""
FROM_IS_FIXED = "which source runs start from cannot be swept: give every start a source of its own"


def axis_groups(sweep: Sweep) -> list[tuple[Location, dict[str, Axis]]]:
    """List the groups that are crossed with one another: single axes, zips, Sobol sets, rows."""
    axes = sweep.axes
    groups: list[tuple[Location, dict[str, Axis]]] = [
        (("axes",), {path: axis}) for path, axis in axes.crossed.items()
    ]
    groups += [(("axes", "zip", i), dict(group)) for i, group in enumerate(axes.zip)]
    groups += [(("axes", "sobol", i, "over"), sobol.over) for i, sobol in enumerate(axes.sobol)]
    if sweep.design is not None and sweep.design.table:
        groups.append((("design", "factors"), sweep.design.axes))
    return groups


def axis_paths(sweep: Sweep) -> list[str]:
    """List the paths of all axes, in order."""
    return [path for _, group in axis_groups(sweep) for path in group]


def points_of(sweep: Sweep, *, as_first_released: bool = False) -> list[list[Point]]:
    """List the points of every group of axes, in order.

    Args:
        sweep: The sweep.
        as_first_released: Of six digits, wherever that puts them, as the first release did.

    Raises:
        SpecError: an axis does not fit its field, or has fewer values than points; all at once.
    """
    if as_first_released:
        return [_points(sweep, group, first=True) for group in axis_groups(sweep)]
    problems = list(axis_problems(sweep))
    found = []
    for group in axis_groups(sweep):
        try:
            found.append([] if problems else _points(sweep, group))
        except SpecError as error:
            problems += error.problems
    if not problems and not sweep.is_stored:
        problems = list(_repetitions(sweep, found))
    if problems:
        raise SpecError(problems)
    return found


def _points(
    sweep: Sweep, located: tuple[Location, dict[str, Axis]], *, first: bool = False
) -> list[Point]:
    location, group = located
    if "sobol" in location:
        sobol = sweep.axes.sobol[int(location[2])]
        rows = sobol.as_first_released(sweep.seed) if first else sobol.resolve(sweep.seed)
    else:
        columns = [_values(sweep, location, group, path, first) for path in group]
        rows = tuple(zip(*columns, strict=True))
    return [dict(zip(group, row, strict=True)) for row in rows]


def _values(
    sweep: Sweep, location: Location, group: dict[str, Axis], path: str, first: bool
) -> tuple[Any, ...]:
    axis = group[path]
    if first:
        return axis.as_first_released(sweep.seed, path)
    draw = axis.distinct if len(group) == 1 else axis.resolve
    try:
        return draw(sweep.seed, path)
    except ValueError as error:
        raise SpecError([sweep.problem((*location, path), str(error))]) from None


def _repetitions(sweep: Sweep, groups: list[list[Point]]) -> Iterator[str]:
    """Points that are there twice: fewer settings than were asked for would come of them."""
    for (location, group), points in zip(axis_groups(sweep), groups, strict=True):
        are_real = {path: _is_real(sweep, path, axis) for path, axis in group.items()}
        seen: dict[Any, Point] = {}
        for point in points:
            key = tuple(key_of(value, real=are_real[path]) for path, value in point.items())
            before = seen.setdefault(key, point)
            if before is not point:
                where = (*location, *group) if len(group) == 1 else location
                yield sweep.problem(where, _repeated(before, point, real=any(are_real.values())))
                break


def _repeated(before: Point, point: Point, *, real: bool) -> str:
    one, other = (", ".join(map(_text, values.values())) for values in (before, point))
    if one == other:
        return f"{one} is listed twice: list it once"
    return f"{one} and {other} are the same {'in float32' if real else 'number'}: list one of them"


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else shown(value)


def _is_real(sweep: Sweep, path: str, axis: Axis) -> bool:
    """Whether an axis's numbers go into a field of real numbers."""
    if axis.integer is not None:
        return False
    found = value_at(sweep, path)
    return isinstance(found, float) or (
        found is None and any(isinstance(value, float) for value in axis.values or (0.0,))
    )


def value_at(sweep: Sweep, path: str) -> Any:
    """What stands at an axis's path in the sweep itself; None where there is nothing."""
    head, *rest = path.split(".")
    found: Any = sweep.sources[rest[0]] if head == "sources" else getattr(sweep, head)
    for name in rest[1:] if head == "sources" else rest:
        found = part_at(found, name)
    return found


def place_of(sweep: Sweep, path: str) -> Location:
    """Where an axis stands in the sweep; empty where none has this path."""
    return next(((*where, path) for where, group in axis_groups(sweep) if path in group), ())


def part_at(spec: Any, step: str) -> Any:
    """A field, or a member of a tuple; None where there is none."""
    if isinstance(spec, Custom):
        return spec.fields.get(step)
    if not isinstance(spec, tuple):
        return getattr(spec, step, None)
    return spec[int(step)] if step.isdecimal() and int(step) < len(spec) else None


def axis_problems(sweep: Sweep) -> Iterator[str]:
    """List what is wrong with the axes whatever their values are, with its place."""
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
                lengths.add(axis.points or len(axis.values or ()))
        if len(lengths) > 1:
            yield sweep.problem(location, f"zipped axes need one length, not {sorted(lengths)}")


def _axis_problem(sweep: Sweep, path: str, axis: Axis, *, sobol: bool) -> str | None:
    try:
        traced = is_free_path(sweep, path)
    except ValueError as error:
        return str(error)
    if not traced and axis.values is None:
        return "this field is static (it shapes the program): give a list of values"
    if not sobol and axis.values is None and axis.points is None:
        return "points: say how many points the range gets"
    return None


def is_free_path(sweep: Sweep, path: str) -> bool:
    """Say whether the field at an axis path shapes no program; ValueError if there is none."""
    head, *rest = path.split(".")
    if head == "sources" and len(rest) >= 2:
        spec: Any = sweep.sources.get(rest[0])
        if spec is None:
            raise ValueError(f"no source named {rest[0]!r}{nearest(rest[0], sweep.sources)}")
        rest = rest[1:]
        if rest and rest[0] in spec.watched:
            raise ValueError(f"{rest[0]} changes no run and cannot be swept")
    elif path in WHOLE:
        return False
    elif head in WHOLE:
        spec = getattr(sweep, head)
    else:
        raise ValueError(
            "an axis path is task, model or accept, or goes on with a field: task., model., "
            f"accept. or sources.<name>., got {path!r}"
        )
    for name in rest[:-1]:
        spec = _field(spec, name)
    return _is_free_field(spec, rest[-1])


def _is_free_field(spec: Any, leaf: str) -> bool:
    if isinstance(spec, ParentRef) and leaf in {"from", "source"}:
        raise ValueError(FROM_IS_FIXED)
    _field(spec, leaf)
    if isinstance(spec, Custom):  # what other fields of it do to the program is not known
        return leaf in spec.own_traced()
    if isinstance(spec, Source) and leaf in spec.counted | spec.selected:
        raise ValueError(f"{leaf} says how many runs there are and cannot be swept")
    return isinstance(spec, Spec) and is_free(type(spec).model_fields[leaf].metadata)


def _field(spec: Any, name: str) -> Any:
    if isinstance(spec, Custom):
        if name not in spec.fields:
            raise ValueError(f"{spec.target} has no field {name!r}{nearest(name, spec.fields)}")
        return spec.fields[name]
    if isinstance(spec, Spec) and name in type(spec).model_fields:
        return getattr(spec, name)
    if isinstance(spec, tuple) and (found := part_at(spec, name)) is not None:
        return found
    if spec is None:
        raise ValueError(f"there is nothing here that has a field {name!r}: give it a value first")
    allowed: list[str] = []
    if isinstance(spec, Spec):
        allowed = [field.alias or name for name, field in type(spec).model_fields.items()]
    elif isinstance(spec, tuple):
        allowed = [str(i) for i in range(len(spec))]
    raise ValueError(f"no field named {name!r} here{nearest(name, allowed)}")
