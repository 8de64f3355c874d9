"""What all parts of a sweep file share: strict numbers, names, and static or swept fields.

A field is either *static*, when its value shapes the compiled program (a width, an
activation), or *traced*, when it enters the program as an array and may differ between the
runs of one program (a learning rate, an initialisation scale). The field's type says which:
`Annotated[..., TRACED]`. An axis over a static field lists values and splits the sweep into
buckets; an axis over a traced field may also be a distribution and splits nothing. A field
marked `HOST` never reaches the program: it says which stored numbers are put in, and an axis
over it splits nothing either.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    model_serializer,
)

from sweep_engine.float32 import check_below, check_float32

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class _Mark:
    """Marks a field whose value does not shape the compiled program."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


TRACED: Final = _Mark("TRACED")
"""Marks a field whose value enters the compiled program as an array."""

HOST: Final = _Mark("HOST")
"""Marks a field whose value stays on the host."""


def _in_float32(value: float, info: ValidationInfo) -> float:
    """Check a number where it comes in; what is stored is not judged again."""
    return value if info.context == "stored" else check_float32(value)


def _below_one(value: float, info: ValidationInfo) -> float:
    return value if info.context == "stored" else check_below(value, 1.0)


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
PartName = Annotated[str, StringConstraints(pattern=NAME_PATTERN.replace(".", ""))]
"""The name of something that axis paths name: no dots."""
Count = Annotated[int, Field(strict=True, ge=1)]
RunCount = Annotated[int, Field(strict=True, ge=1, le=2**32)]
"""A run id has 32 bits for the index of the run in its setting."""
Index = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]
Real = Annotated[float, Field(strict=True), AfterValidator(_in_float32)]
TracedCount = Annotated[int, Field(strict=True, ge=1, lt=2**31), TRACED]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, lt=1), AfterValidator(_below_one)]
Share = Annotated[Real, Field(gt=0, lt=1), AfterValidator(_below_one)]


S = TypeVar("S", bound="Spec")


class Spec(BaseModel):
    """Base of every part of a sweep file: immutable, no unknown keys, no inf or nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def own_traced(self) -> dict[str, Any]:
        """Give the traced values that no field declares: those of a user's own object."""
        return {}

    def with_own_traced(self, values: dict[str, Any]) -> Self:
        """Copy with some of these values replaced, without validation."""
        assert not values
        return self


class Growing(Spec):
    """Base of parts with keys that ids were first given without.

    They are left out of plain data where they have no value, so that ids stay.
    """

    later_keys: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = dump(self)
        return {k: v for k, v in data.items() if k not in self.later_keys or v is not None}


class Titled(Spec):
    """Base of parts that messages call by a name."""

    @property
    def title(self) -> str:
        """Give the name that messages call it by."""
        kind: str = getattr(self, "kind")  # noqa: B009  # every kind's own literal
        return kind


def is_free(metadata: Iterable[Any]) -> bool:
    """Whether a field's metadata say that its value does not shape the program."""
    return any(isinstance(mark, _Mark) for mark in metadata)


def traced_fields(spec: Spec, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of every traced field below `spec` that has a value.

    A member of a tuple has its position in the path, as in `layers.0.std`.
    """
    return _marked_fields(spec, (TRACED,), prefix)


def _marked_fields(spec: Spec, marks: tuple[_Mark, ...], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        for step, part in _parts(name, value):
            yield from _marked_fields(part, marks, f"{prefix}{step}.")
        if value is not None and any(mark in field.metadata for mark in marks):
            yield prefix + name, value
    if TRACED in marks:
        for name, value in spec.own_traced().items():
            yield prefix + name, value


def members(spec: Spec) -> Iterator[Spec]:
    """Yield the specifications that stand in a specification's fields."""
    for name in type(spec).model_fields:
        yield from (part for _, part in _parts(name, getattr(spec, name)))


def _parts(name: str, value: Any) -> list[tuple[str, Spec]]:
    """The specifications in a field's value, with their paths."""
    if isinstance(value, Spec):
        return [(name, value)]
    members = value if isinstance(value, tuple) else ()
    return [(f"{name}.{i}", part) for i, part in enumerate(members) if isinstance(part, Spec)]


def with_traced(spec: S, values: dict[str, Any], prefix: str = "") -> S:
    """Copy `spec` with its traced fields replaced, without validation.

    Inside a compiled program the values are JAX tracers, so that code for one run simply
    reads `spec.optimizer.learning_rate`.
    """
    update: dict[str, Any] = {}
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        path = prefix + name
        if path in values:
            update[name] = values[path]
        elif isinstance(value, Spec):
            update[name] = with_traced(value, values, f"{path}.")
        elif _parts(name, value):
            update[name] = tuple(
                with_traced(part, values, f"{path}.{i}.") if isinstance(part, Spec) else part
                for i, part in enumerate(value)
            )
    own = {name: values[prefix + name] for name in spec.own_traced() if prefix + name in values}
    return spec.model_copy(update=update).with_own_traced(own)


def static_part(spec: Spec) -> dict[str, Any]:
    """Dump `spec` with every traced or host value replaced by a mark: what shapes the program."""
    marked = {path: "traced" for path, _ in _marked_fields(spec, (TRACED, HOST), "")}
    return with_traced(spec, marked).model_dump(mode="json", exclude_none=True, warnings=False)


def canonical_json(data: Any) -> str:
    """One text per value, whatever the order of keys: what content hashes are made of."""
    return _CANONICAL.encode(data)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def kinds(union: Any) -> tuple[type[Spec], ...]:
    """List the classes of a tagged union, in the order of a file's reference."""
    inner = get_args(union)[0] if get_origin(union) is Annotated else union
    return get_args(inner) or (inner,)


def check_complete(union: Any, table: Mapping[type[Any], Any], name: str) -> None:
    """Check that a table has an entry for every class of a tagged union, and for no other.

    It runs when the table's module is imported, so that a kind that is half added stops
    everything at once, and not the sweeps that name it.

    Args:
        union: The kinds that may stand in a sweep file.
        table: What implements each.
        name: Where the table is written, for the message.

    Raises:
        TypeError: an entry, a member of the union or the answer of a class is missing.
    """
    listed = kinds(union)
    problems = [
        f"{kind.__name__} lacks {', '.join(sorted(missing))}: answer it in {kind.__module__}"
        for kind in listed
        if (missing := getattr(kind, "__abstractmethods__", ()))
    ]
    problems += [f"{kind.__name__} has no entry in {name}" for kind in listed if kind not in table]
    problems += [
        f"{kind.__name__} stands in {name}, but in no union of {kind.__module__}: list it there"
        for kind in table
        if kind not in listed
    ]
    if problems:
        raise TypeError("; ".join(problems))
