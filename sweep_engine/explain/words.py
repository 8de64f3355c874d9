"""Types of fields, in the words of someone who writes YAML."""

from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from sweep_engine.spec.base import Spec
from sweep_engine.spec.wording import alternatives, shown

_PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false"}
_BOUNDS = (("gt", "above {}"), ("ge", "at least {}"), ("lt", "below {}"), ("le", "at most {}"))


def type_in_words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say what may stand in a field.

    Example:
        >>> type_in_words(Literal["a", "b"] | None)
        'a or b'

    Args:
        annotation: The field's type.
        metadata: What pydantic keeps beside it, bounds among them.
    """
    inner, marks = _unwrapped(annotation, tuple(metadata))
    if get_origin(inner) in (Union, UnionType):
        members = [member for member in get_args(inner) if member is not NoneType]
        if len(members) > 1 and all(_is_part(member) for member in members):
            return "a mapping with a `kind`"
        return alternatives(type_in_words(member, marks) for member in members)
    if get_origin(inner) is Literal:
        return alternatives(shown(option).strip("'") for option in get_args(inner))
    return _of_one(inner, marks) + _bounds(marks)


def _unwrapped(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*more, *metadata)
    return annotation, metadata


def _of_one(inner: Any, marks: tuple[Any, ...]) -> str:
    if _is_part(inner):
        return "a mapping"
    if get_origin(inner) is tuple:
        members = get_args(inner)
        if Ellipsis not in members:
            return f"[{', '.join(map(type_in_words, members))}]"
        return f"a list of {_several(members[0])}{_length(marks)}"
    if get_origin(inner) is dict:
        return f"a mapping of names to {_several(get_args(inner)[1])}"
    return _PLAIN.get(inner, "any plain value")


def _several(annotation: Any) -> str:
    inner, marks = _unwrapped(annotation, ())
    if inner in _MANY:
        return _MANY[inner] + _bounds(marks).replace(", ", " of ", 1)
    words = type_in_words(annotation)
    if words.startswith("a mapping"):
        return words.replace("a mapping", "mappings", 1)
    return words.replace("a list", "lists", 1).replace("any plain value", "plain values")


def _is_part(annotation: Any) -> bool:
    inner, _ = _unwrapped(annotation, ())
    if get_origin(inner) in (Union, UnionType):
        return all(_is_part(member) for member in get_args(inner))
    return isinstance(inner, type) and issubclass(inner, Spec)


def _facts(marks: Iterable[Any]) -> dict[str, Any]:
    """Bounds and patterns, wherever pydantic put them."""
    found: dict[str, Any] = {}
    for mark in marks:
        if isinstance(mark, FieldInfo):
            found |= _facts(mark.metadata)
        else:
            names = ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")
            values = {name: getattr(mark, name, None) for name in names}
            found |= {name: value for name, value in values.items() if value is not None}
    return found


def _bounds(marks: Iterable[Any]) -> str:
    facts = _facts(marks)
    words = [text.format(f"{facts[name]:,}") for name, text in _BOUNDS if name in facts]
    words += [f"that matches {facts['pattern']}"] if "pattern" in facts else []
    return f", {' and '.join(words)}" if words else ""


def _length(marks: Iterable[Any]) -> str:
    least = _facts(marks).get("min_length", 0)
    return f", at least {least}" if least > 1 else ""
