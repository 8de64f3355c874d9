"""Shape: what a pydantic model allows at one place of a file, whatever wraps the type."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, RootModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand at one place: a type without its wrapping, and its union's tag key."""

    type: Any = Any
    tag_key: str | None = None

    @classmethod
    def of(cls, annotation: Any, tag_key: str | None = None) -> "Shape":
        """Unwrap `Annotated`, `Optional`, aliases and root models."""
        if hasattr(annotation, "__value__"):
            return cls.of(annotation.__value__, tag_key)
        if get_origin(annotation) is Annotated:
            inner, *metadata = get_args(annotation)
            return cls.of(inner, _tag_key(metadata) or tag_key)
        if _is_model(annotation) and issubclass(annotation, RootModel):
            return cls.of_field(annotation.model_fields["root"])
        members = _union_members(annotation)
        return cls.of(members[0], tag_key) if len(members) == 1 else cls(annotation, tag_key)

    @classmethod
    def of_field(cls, info: FieldInfo) -> "Shape":
        return cls.of(info.annotation, _tag_key([info, *info.metadata]))

    def members(self) -> list["Shape"]:
        """The members of a union without a tag."""
        return [] if self.tag_key else self._members()

    def tags(self) -> dict[str | int, "Shape"]:
        """The members of a tagged union, by tag; not those that are marked `python_only`."""
        if self.tag_key is None:
            return {}
        return {
            tag: leaf
            for member in self._members()
            for leaf in (member._members() or [member])
            if not getattr(leaf.type, "python_only", False)
            for tag in leaf.fields().get(self.tag_key, Shape()).literals()
        }

    def fields(self) -> dict[str | int, "Shape"]:
        """The fields of a model, by the name that the file uses."""
        return _fields(self.type) if _is_model(self.type) else {}

    def literals(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    def child(self, step: str | int) -> "Shape":
        """What may stand below this key or index."""
        arguments = get_args(self.type)
        if _is_model(self.type):
            return self.fields().get(step, Shape())
        if not arguments:
            return Shape()
        if isinstance(step, str):
            return Shape.of(arguments[-1])
        if get_origin(self.type) is tuple and Ellipsis not in arguments:
            return Shape.of(arguments[step]) if step < len(arguments) else Shape()
        return Shape.of(arguments[0])

    def label(self, depth: int = 4) -> str:
        """The label that pydantic gives this member of a union, but for finer points."""
        name = getattr(get_origin(self.type) or self.type, "__name__", "").partition("[")[0]
        parts = [Shape.of(part) for part in get_args(self.type)]
        if literals := self.literals():
            return f"literal[{','.join(map(repr, literals))}]"
        if members := self._members():
            name, parts = "tagged-union" if self.tag_key else "union", members
        if not parts or depth == 0:  # a type may contain itself
            return name
        return f"{name}[{','.join(part.label(depth - 1) for part in parts)}]"

    def _members(self) -> list["Shape"]:
        return [Shape.of(member, self.tag_key) for member in _union_members(self.type)]


@cache
def _fields(model: type[BaseModel]) -> dict[str | int, Shape]:
    """Give a model's, found once: every value of a sweep that is set asks for them."""
    return {
        name_in_file(name, info): Shape.of_field(info) for name, info in model.model_fields.items()
    }


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _union_members(annotation: Any) -> list[Any]:
    if get_origin(annotation) not in (Union, UnionType):
        return []
    return [member for member in get_args(annotation) if member is not NoneType]


def _tag_key(metadata: Iterable[Any]) -> str | None:
    """The tag key among a field's metadata; callable discriminators have none."""
    for item in metadata:
        key = item if isinstance(item, Discriminator) else getattr(item, "discriminator", None)
        key = key.discriminator if isinstance(key, Discriminator) else key
        if isinstance(key, str):
            return key
    return None


def name_in_file(name: str, info: FieldInfo) -> str:
    """Give the name that a file uses for a field."""
    alias = info.validation_alias or info.alias
    return alias if isinstance(alias, str) else name
