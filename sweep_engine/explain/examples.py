"""Values that may stand in a field, and the smallest parts that load.

A class that needs more than its required keys lists whole examples in its model's
`json_schema_extra`, and a field whose type does not tell what to write lists `examples`: both
are JSON Schema's own, so that editors show them too.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sweep_engine.explain.parts import Inside, Part, parts_of
from sweep_engine.spec import Sweep
from sweep_engine.spec.axes import Axis
from sweep_engine.spec.base import Spec
from sweep_engine.spec.shapes import Shape, name_in_file

BASE: Mapping[str, Any] = {
    "name": "example",
    "task": {"kind": "boolean"},
    "model": {"kind": "mlp"},
    "sources": {
        "sgd": {"kind": "train", "runs": 1000},
        "init": {"kind": "prior", "draws": 1000},
    },
}
"""A sweep that every example is a part of."""

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where there is libyaml
_CANDIDATES = (0.1, 16, 2, 1, "x", [16], [0.1], True)
_AXIS_PATH = "sources.sgd.optimizer.learning_rate"


def completed(part: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a part of a sweep file to a sweep."""
    sources = {**BASE["sources"], **part.get("sources", {})}
    return {**BASE, **part, "sources": sources}


def loads(part: Mapping[str, Any]) -> bool:
    """Say whether a part of a sweep file may stand in one."""
    try:
        Sweep.model_validate(completed(part))
    except ValidationError:
        return False
    return True


def short_forms(part: type[Spec]) -> dict[str, str]:
    """List the keys that a part reads beside its fields, with their meaning."""
    properties: dict[str, Any] = _schema_extra(part).get("properties", {})
    return {key: each["description"] for key, each in properties.items()}


def with_key(part: Part, key: str) -> dict[str, Any]:
    """Give a part that loads and has a key."""
    for example in every_example(part):
        if key in example:
            return example
    infos = {name_in_file(name, info): info for name, info in part.type.model_fields.items()}
    return {**smallest(part), key: value_for(infos[key])}


def smallest(part: Part) -> dict[str, Any]:
    """Give a part that loads, of few keys."""
    return every_example(part)[0]


def every_example(part: Part) -> list[dict[str, Any]]:
    """Give all the examples that a part lists, or else the smallest that loads."""
    listed = _listed(part.type) or [dict(_required(part.type))]
    return [_of_kind(part) | example for example in listed]


def value_for(info: FieldInfo) -> Any:
    """Give a value for a field: the example it names, its default, or one of its type."""
    if info.examples:
        return info.examples[0]
    default = None if info.default is PydanticUndefined else plain(info.default)
    if default or default in (0, False):
        return default
    for part in parts_of(Shape.of_field(info)):
        return wrapped(smallest(part) or _in_full(part.type), part)
    return _fitting(info)


def wrapped(value: Any, part: Part) -> Any:
    """Put a part into the lists and mappings that it stands in."""
    for inside in reversed(part.inside):
        value = [value] if inside == "list" else {step_into(inside, part.type): value}
    return value


def step_into(inside: Inside, part: type[Spec]) -> str | int:
    """Name the step that leads into a list or a mapping."""
    if inside == "list":
        return 0
    return _AXIS_PATH if issubclass(part, Axis) else "mine"


def plain(value: Any) -> Any:
    """Give a default as a file would write it, without what is left out there."""
    if isinstance(value, Spec):
        kind = value.model_dump(include={"kind"})  # nothing where there is none
        return kind | {name: plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def as_yaml(value: Any) -> str:
    """Write a value as YAML, small parts on one line."""
    text: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, width=88)
    return text.removesuffix("...\n").strip()


def _listed(part: type[Spec]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = _schema_extra(part).get("examples", [])
    return listed


def _schema_extra(part: type[Spec]) -> dict[str, Any]:
    extra = part.model_config.get("json_schema_extra")
    schema: dict[str, Any] = {"properties": {}}
    if callable(extra):
        extra(schema)  # type: ignore[call-arg]  # takes the schema alone
    return schema if callable(extra) else dict(extra or {})


def _of_kind(part: Part) -> dict[str, Any]:
    return {"kind": part.kind} if part.kind else {}


def _required(part: type[Spec]) -> Iterator[tuple[str, Any]]:
    for name, info in part.model_fields.items():
        if info.is_required():
            yield name_in_file(name, info), value_for(info)


def _in_full(part: type[Spec]) -> dict[str, Any]:
    """Give a part with its defaults, where all may be left out."""
    return {
        name_in_file(name, info): default
        for name, info in part.model_fields.items()
        if (default := plain(info.default)) is not None
    }


def _fitting(info: FieldInfo) -> Any:
    """Give the first candidate that a field takes."""
    shape = Shape.of_field(info)
    options = [option for each in (shape, *shape.members()) for option in each.literals()]
    typed: Any = info.annotation
    if info.metadata:
        typed = Annotated[typed, *info.metadata]
    adapter = _adapter(typed)
    for candidate in (*options, *_CANDIDATES):
        try:
            adapter.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    raise TypeError(f"no example fits {info}: give the field `examples`")


@functools.cache
def _adapter(typed: Any) -> TypeAdapter[Any]:
    return TypeAdapter(typed)
