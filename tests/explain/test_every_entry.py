"""Everything that a file can name has an entry with a meaning, and every example loads."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from sweep_engine.densities.registry import ESTIMATORS, QUANTITIES
from sweep_engine.explain import Book, Entry, examples
from sweep_engine.explain.examples import BASE, completed, value_for
from sweep_engine.observables import observables
from sweep_engine.spec import Sweep, settings
from sweep_engine.spec.base import Spec
from sweep_engine.spec.sources.optimizers import Sgd
from sweep_engine.spec.sweep import EstimatorName
from sweep_engine.store.schema import curves_schema, runs_schema

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="module")
def book() -> Book:
    return Book({})


@pytest.fixture(scope="module")
def entries(book: Book) -> list[Entry]:
    return [topic.entry for topic in book.every()]


def classes_below(annotation: Any, seen: set[type[Spec]]) -> set[type[Spec]]:
    """Every class of the specification that a type leads to: a walk of its own."""
    if isinstance(annotation, type) and issubclass(annotation, Spec) and annotation not in seen:
        seen.add(annotation)
        extra = annotation.__annotations__.get("__pydantic_extra__")
        for inner in (*(f.annotation for f in annotation.model_fields.values()), extra):
            classes_below(inner, seen)
    for inner in get_args(annotation):
        classes_below(inner, seen)
    return seen


NAMED = [
    each
    for each in classes_below(Sweep, set())
    if not getattr(each, "python_only", False)  # a file cannot name a user's own class
]


def lacking(named: list[type[Spec]]) -> list[str]:
    return [
        f"{each.__name__}.{name}"
        for each in named
        for name, info in each.model_fields.items()
        if name != "kind" and not info.description
    ]


def test_every_field_has_a_description():
    assert lacking(NAMED) == []


def test_a_field_without_a_description_is_caught():
    class Bare(Sgd):
        warm: float = 0.0

    assert lacking([Bare]) == ["Bare.warm"]


def test_every_entry_says_what_its_topic_means(entries: list[Entry]):
    assert [entry.path for entry in entries if not entry.meaning.strip()] == []
    assert [entry.path for entry in entries if not entry.title] == []


def parts_in(value: Any) -> Iterator[Spec]:
    """Every part of a sweep that an example has given."""
    if isinstance(value, BaseModel):
        given = [
            getattr(value, name) for name in value.model_fields_set & set(type(value).model_fields)
        ]
        yield value
        value = (*given, *(value.__pydantic_extra__ or {}).values())
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for each in value:
            yield from parts_in(each)


def test_the_examples_load_and_have_every_key_and_kind_of_a_file(entries: list[Entry]):
    found: set[tuple[type[Spec], str, Any]] = set()
    for entry in entries:
        if entry.example:
            sweep = Sweep.model_validate(completed(yaml.load(entry.example, LOADER)))
            named = set()
            for part in parts_in(sweep):
                named |= {(type(part), name, None) for name in part.model_fields_set}
                named.add((type(part), "kind", getattr(part, "kind", None)))
            if named - found:  # once for what is new: the axes and the sources fit together too
                settings(sweep)
            found |= named
    wanted = {(each, name, None) for each in NAMED for name in each.model_fields if name != "kind"}
    wanted |= {
        (each, "kind", kind)
        for each in NAMED
        if "kind" in each.model_fields
        for kind in get_args(each.model_fields["kind"].annotation)
    }
    assert wanted <= found


def test_an_example_that_does_not_load_is_caught():
    with pytest.raises(ValueError, match="momentum"):
        Sweep.model_validate(
            completed(yaml.safe_load("sources: {a: {kind: train, runs: 1, momentum: 0.9}}"))
        )


def test_a_field_that_no_candidate_fits_asks_for_an_example():
    class Odd(Spec):
        name: str = Field(pattern="^[A-Z]{7}$", description="seven capitals")

    with pytest.raises(TypeError, match="examples"):
        value_for(Odd.model_fields["name"])


def test_an_example_of_a_class_goes_before_one_of_a_type():
    class Pair(Spec):
        model_config = ConfigDict(json_schema_extra={"examples": [{"low": 1, "high": 2}]})
        low: int
        high: int

    (part,) = examples.parts_of(examples.Shape.of(Pair))
    assert examples.with_key(part, "high") == {"low": 1, "high": 2}


def test_every_estimator_and_estimate_has_an_entry(book: Book):
    names = set(book.find("estimator").children)
    assert names == set(get_args(EstimatorName)) | {"suited", "functions"}
    assert names >= set(ESTIMATORS)
    assert set(book.find("estimate").children) == set(QUANTITIES)


OTHER_SETTINGS = [
    "norms",
    {"kind": "calibration", "sets": ["ood"]},
    {"kind": "flatness", "eigenvalues": 2, "measures": ["eigenvalues"]},
    {"kind": "local_volume", "cost": "kl", "preconditioners": ["adam"]},
    {"kind": "smoothness", "on": "grid"},
    {"kind": "coordinates", "method": "random", "canonical": False, "components": 3},
    {"kind": "lifting", "projections": 7},
]


def test_every_column_has_an_entry(book: Book):
    named = {column.name for each in observables(OTHER_SETTINGS) for column in each.columns}
    named |= set(runs_schema(own=None).names) | set(curves_schema().names)
    for name in named:
        assert book.find(f"column.{name}").entry.meaning


def test_an_observable_lists_its_columns(book: Book):
    listed = {each.name for each in book.find("observables.margin").entry.columns}
    assert listed == {column.name for column in observables(["margin"])[0].columns}


def test_the_base_of_all_examples_loads():
    Sweep.model_validate(BASE)
