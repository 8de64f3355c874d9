"""What all parts of a sweep file share: strict numbers, names, and static or swept fields.

A field is either *static*, when its value shapes the compiled program (a width, an
activation), or *traced*, when it enters the program as an array and may differ between the
runs of one program (a learning rate, an initialisation scale). The field's type says which:
`Annotated[..., TRACED]`. An axis over a static field lists values and splits the sweep into
buckets; an axis over a traced field may also be a distribution and splits nothing.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class _Traced:
    """Marks a field whose value enters the compiled program as an array."""

    def __repr__(self) -> str:
        return "TRACED"


TRACED: Final = _Traced()

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
PartName = Annotated[str, StringConstraints(pattern=NAME_PATTERN.replace(".", ""))]
"""The name of something that axis paths name: no dots."""
Count = Annotated[int, Field(strict=True, ge=1)]
RunCount = Annotated[int, Field(strict=True, ge=1, le=2**32)]
"""A run id has 32 bits for the index of the run in its setting."""
Index = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]
Real = Annotated[float, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NonNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]


S = TypeVar("S", bound="Spec")


class Spec(BaseModel):
    """Base of every part of a sweep file: immutable, no unknown keys, no inf or nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def traced_fields(spec: Spec, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of every traced field below `spec` that has a value."""
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if isinstance(value, Spec):
            yield from traced_fields(value, f"{prefix}{name}.")
        elif TRACED in field.metadata and value is not None:
            yield prefix + name, value


def with_traced(spec: S, values: dict[str, Any], prefix: str = "") -> S:
    """Copy `spec` with its traced fields replaced, without validation.

    Inside a compiled program the values are JAX tracers, so that code for one run simply
    reads `spec.optimizer.learning_rate`.
    """
    update: dict[str, Any] = {}
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            update[name] = with_traced(value, values, f"{prefix}{name}.")
        elif prefix + name in values:
            update[name] = values[prefix + name]
    return spec.model_copy(update=update)


def static_part(spec: Spec) -> dict[str, Any]:
    """Dump `spec` with every traced value replaced by a mark: what shapes the program."""
    return with_traced(spec, {path: "traced" for path, _ in traced_fields(spec)}).model_dump(
        mode="json", exclude_none=True, warnings=False
    )


def canonical_json(data: Any) -> str:
    """One text per value, whatever the order of keys: what content hashes are made of."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
