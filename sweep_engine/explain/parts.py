"""The parts of a sweep file that may stand in a field, inside lists and mappings too."""

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_origin

from sweep_engine.spec.base import Spec
from sweep_engine.spec.shapes import Shape

Inside = Literal["list", "mapping"]


class Part(NamedTuple):
    """A class of the specification that may stand in a field.

    Attributes:
        kind: What tells it from the others; empty where it is the only one.
        type: The class.
        inside: The lists and mappings around it, the outermost first.
    """

    kind: str
    type: type[Spec]
    inside: tuple[Inside, ...]


def parts_of(shape: Shape, inside: tuple[Inside, ...] = ()) -> Iterator[Part]:
    """Find the parts that may stand in a field; none that a file cannot name."""
    if tags := shape.tags():
        yield from (Part(str(tag), member.type, inside) for tag, member in tags.items())
    elif isinstance(shape.type, type) and issubclass(shape.type, Spec):
        if not getattr(shape.type, "python_only", False):
            yield Part("", shape.type, inside)
    elif get_origin(shape.type) is dict:
        yield from parts_of(shape.child("*"), (*inside, "mapping"))
    elif get_origin(shape.type) is tuple:
        yield from parts_of(shape.child(0), (*inside, "list"))
    else:
        for member in shape.members():
            yield from parts_of(member, inside)
