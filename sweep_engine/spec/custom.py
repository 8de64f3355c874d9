"""A user's own task, model, observable: an object given in Python.

In `sweep.json` it stands as `module:Class` with its fields; a sweep file cannot name one,
since that would let a text file import code.
"""

import copy
import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo

from sweep_engine.errors import SpecError
from sweep_engine.float32 import check_float32
from sweep_engine.spec.base import Spec, members


class Custom(Spec):
    """Base of the kinds that hold an object of the user's own class.

    The class must be a dataclass (flax modules are).
    """

    python_only: ClassVar[bool] = True

    kind: Literal["custom"] = "custom"
    target: str = Field(description="module and class of the object")
    fields: dict[str, Any] = Field(description="the object's own fields, as plain data")
    _value: Any = PrivateAttr(default=None)

    @classmethod
    def wrap(cls, value: Any) -> Self:
        """Describe `value`; two equal descriptions must mean equal objects."""
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            raise ValueError(
                f"expected a specification or an instance of a dataclass, got {value!r}"
            )
        fields = {field.name: _describe(getattr(value, field.name)) for field in _fields(value)}
        custom = cls(target=_name_of(type(value)), fields=fields)
        custom._value = value
        return custom

    @classmethod
    def wrap_object(cls, value: Any, info: ValidationInfo) -> Any:
        """Leave mappings and specifications as they are, wrap any other object.

        A mapping of kind `custom` is read back from `sweep.json` only (context `stored`): it
        describes an object and imports nothing.
        """
        if isinstance(value, Spec):
            return value
        if isinstance(value, dict):
            if value.get("kind") == "custom" and info.context != "stored":
                raise ValueError("a user's own class can be given in Python only")
            return value
        return cls.wrap(value)

    def with_fields(self, changes: Mapping[str, Any]) -> Self:
        """Describe the object with other values in some fields, as at a point of the axes.

        Raises:
            ValueError: the object's class refuses them.
        """
        if self._value is None:
            return self.model_copy(update={"fields": {**self.fields, **changes}})
        values = {name: _without_lists(value) for name, value in changes.items()}
        try:
            return type(self).wrap(dataclasses.replace(self._value, **values))
        except TypeError as error:
            raise ValueError(str(error)) from error

    @property
    def value(self) -> Any:
        """The object itself; `SpecError` when only its description is at hand."""
        if self._value is None:
            raise SpecError(
                [f"{self.target} is a user's own class: run this sweep from Python, where it is"]
            )
        return self._value


def holds_own(spec: Spec) -> bool:
    """Say whether an object of the user's own stands anywhere in a specification."""
    return isinstance(spec, Custom) or any(map(holds_own, members(spec)))


class TracedCustom(Custom):
    """Base of those whose numbers need not shape the program: fields that hold a float are traced.

    An axis over such a field splits no program; the object's code reads it as it is, and gets a
    JAX array in the compiled program. All other fields are static.
    """

    @classmethod
    def wrap(cls, value: Any) -> Self:
        custom = super().wrap(value)
        for name, number in custom.own_traced().items():
            try:
                check_float32(number)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return custom

    def own_traced(self) -> dict[str, Any]:
        return {name: value for name, value in self.fields.items() if isinstance(value, float)}

    def with_own_traced(self, values: dict[str, Any]) -> Self:
        changed = self.model_copy(update={"fields": self.fields | values})
        if self._value is not None:
            changed._value = copy.copy(self._value)
            for name, value in values.items():
                object.__setattr__(changed._value, name, value)  # the class may be frozen
        return changed


def _without_lists(value: Any) -> Any:
    """Lists as tuples: an object's fields are part of what a program is compiled for."""
    return tuple(map(_without_lists, value)) if isinstance(value, list | tuple) else value


def _fields(value: Any) -> list[dataclasses.Field[Any]]:
    """The fields that say what an object is; flax adds `parent` and `name` to its modules."""
    fields = [f for f in dataclasses.fields(value) if f.init]
    if {"parent", "name"} <= {f.name for f in fields}:
        fields = [f for f in fields if f.name not in {"parent", "name"}]
    return fields


def _describe(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"cannot describe {value}: numbers must be finite")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_describe(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _describe(getattr(value, field.name)) for field in _fields(value)}
        return {"class": _name_of(type(value)), **fields}
    if callable(value):
        return _name_of(value)
    if hasattr(value, "tobytes"):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"{value.dtype}{list(value.shape)} sha256:{digest}"
    raise ValueError(
        f"cannot describe {type(value).__name__}: use numbers, strings, tuples, arrays or functions"
    )


def _name_of(value: Any) -> str:
    """`module:name`, which must say what the object is: a lambda's does not."""
    name = getattr(value, "__qualname__", "<nameless>")
    if "<" in name and not isinstance(value, type):
        raise ValueError(
            f"cannot describe {value!r}: give a function defined at module level, or an "
            "instance of a dataclass with __call__"
        )
    return f"{value.__module__}:{name}"
