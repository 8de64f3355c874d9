"""The columns of the results' tables: those of the tables themselves, and of every observable."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, get_origin

import pyarrow as pa
from pydantic import ValidationError

from sweep_engine.columns import Column
from sweep_engine.explain.entry import Entry, Listed, Topic
from sweep_engine.explain.examples import as_yaml, every_example
from sweep_engine.explain.parts import Part, parts_of
from sweep_engine.observables.registry import OBSERVABLES
from sweep_engine.spec.base import Spec
from sweep_engine.spec.observables import ObservableSpec
from sweep_engine.spec.shapes import Shape
from sweep_engine.store import schema

_TYPES = {
    "bool": "true or false",
    "string": "text",
    "binary": "bytes",
    "list<float32>": "a list of numbers, float32",
}


@dataclass(frozen=True)
class _Given:
    """A column, and what it is of.

    Attributes:
        column: The column.
        place: The table, or the observable, that it is of.
        observable: The observable as a sweep file gives it; None for a table's own.
    """

    column: Column
    place: str
    observable: Any = None


def columns() -> dict[str, Topic]:
    """Give the topic of every column, by name."""
    found: dict[str, list[_Given]] = {}
    for given in (*_of_tables(), *_of_observables()):
        found.setdefault(given.column.name, []).append(given)
    return {name: _topic(name, each) for name, each in found.items()}


def with_columns(kinds: Mapping[str, Topic]) -> dict[str, Topic]:
    """Add to the entries of observables the columns that they give."""

    def make(kind: str) -> Entry:
        given = [each.column for each in _of_observables() if each.place == kind]
        listed = {column.name: Listed(column.name, column.meaning) for column in given}
        return replace(kinds[kind].entry, columns=tuple(listed.values()))

    return {kind: replace(topic, make=partial(make, kind)) for kind, topic in kinds.items()}


def _topic(name: str, given: list[_Given]) -> Topic:
    column = given[0].column
    path = f"column.{name}"
    return Topic(path, column.meaning, partial(_entry, path, given))


def _entry(path: str, given: list[_Given]) -> Entry:
    column, observable = given[0].column, given[0].observable
    places = list(dict.fromkeys(each.place for each in given))
    where = "observable" if observable else "table"
    return Entry(
        path=path,
        title=f"column of the {where}{'s' * (len(places) > 1)} {', '.join(places)}",
        meaning=column.meaning,
        type=_TYPES.get(column.dtype, f"a number, {column.dtype}")
        + (", or null" if column.nullable else ""),
        unit=column.unit,
        example=as_yaml({"observables": [observable]}) if observable else "",
    )


def _of_tables() -> Iterator[_Given]:
    tables = {
        "runs": schema.runs_schema(own=None),
        "curves": schema.curves_schema(has_time=True),
        "tallies": schema.tallies_schema(),
        "params": schema.params_schema(1),
        "bases": schema.bases_schema(1),
    }
    for table, fields in tables.items():
        yield from (_Given(_column(field), table) for field in fields)


def _column(field: pa.Field) -> Column:
    metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
    is_list = pa.types.is_fixed_size_list(field.type)
    names: dict[str, Any] = {"float": "float32", "double": "float64"}
    dtype: Any = "list<float32>" if is_list else names.get(str(field.type), str(field.type))
    return Column(field.name, dtype, metadata["unit"], metadata["meaning"], field.nullable)


@cache
def _of_observables() -> tuple[_Given, ...]:
    """Give the columns of every kind at every choice of its settings, once each."""
    found: dict[tuple[str, str], _Given] = {}
    for part in parts_of(Shape.of(ObservableSpec)):
        for setting, spec in _variants(part):
            for column in OBSERVABLES[type(spec)](spec).columns:
                given = _Given(column, part.kind, setting)
                found.setdefault((part.kind, column.name), given)
    return tuple(found.values())


def _variants(part: Part) -> Iterator[tuple[Any, Any]]:
    """Give an observable's examples, each with every choice of its settings that loads."""
    choices = list(itertools.product(*_choices(part.type)))
    for example, chosen in itertools.product(every_example(part), choices):
        setting = example | dict(filter(None, chosen))
        with contextlib.suppress(ValidationError):  # a choice may need another one beside it
            spec = part.type.model_validate(setting)
            yield setting if len(setting) > 1 else part.kind, spec


def _choices(part: type[Spec]) -> Iterator[list[tuple[str, Any] | None]]:
    """Give what may be chosen for each setting of few options, nothing among it."""
    for name, info in part.model_fields.items():
        shape = Shape.of_field(info)
        options: list[Any] = list(shape.literals()) if name != "kind" else []
        if info.annotation is bool:
            options = [not info.default]
        if get_origin(shape.type) is tuple:
            options = [list(every)] if (every := shape.child(0).literals()) else []
        if options:
            yield [None, *((name, option) for option in options)]
