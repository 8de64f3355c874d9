"""The keys of a sweep file: a topic for each, found by a walk down the models that read it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic.fields import FieldInfo

from sweep_engine.explain.docstrings import told
from sweep_engine.explain.entry import Entry, Listed, Topic
from sweep_engine.explain.examples import (
    as_yaml,
    loads,
    plain,
    short_forms,
    smallest,
    step_into,
    with_key,
)
from sweep_engine.explain.parts import Part, parts_of
from sweep_engine.explain.sweeping import sweepable
from sweep_engine.explain.words import type_in_words
from sweep_engine.spec import Sweep
from sweep_engine.spec.shapes import Shape, name_in_file


@dataclass(frozen=True)
class Place:
    """Say where something stands in a sweep file.

    Attributes:
        path: The path of its topic, kinds among the steps.
        around: From the top, each step that leads here, with the keys that stand beside it.
    """

    path: str = ""
    around: tuple[tuple[dict[str, Any], str | int], ...] = ()

    def key(self, key: str, beside: dict[str, Any]) -> "Place":
        """Go down by a key that has a topic."""
        return Place(f"{self.path}.{key}".lstrip("."), (*self.around, (beside, key)))

    def into(self, part: Part) -> "Place":
        """Go into the lists and mappings that a part stands in, and to its kind."""
        around = self.around
        for inside in part.inside:
            around = (*around, ({}, step_into(inside, part.type)))
        return Place(f"{self.path}.{part.kind}" if part.kind else self.path, around)

    def with_value(self, value: Any) -> dict[str, Any]:
        """Give the part of a sweep file that has a value here."""
        for beside, step in reversed(self.around):
            value = [value] if isinstance(step, int) else {**beside, step: value}
        part: dict[str, Any] = value
        return part

    @property
    def axis_path(self) -> str:
        """The path that an axis over it has."""
        return ".".join(str(step) for _, step in self.around)


def sweep_file() -> dict[str, Topic]:
    """Give the topics of the keys at the top of a sweep file."""
    infos = {name_in_file(name, info): info for name, info in Sweep.model_fields.items()}
    return {key: _field(Part("", Sweep, ()), key, info, Place()) for key, info in infos.items()}


def _keys_of(part: Part, place: Place) -> dict[str, Topic]:
    """Give the topics of a part's keys; its kind is a step of the path."""
    found = {}
    for name, info in part.type.model_fields.items():
        if name != "kind" or not part.kind:
            key = name_in_file(name, info)
            found[key] = _field(part, key, info, place)
    for key, meaning in short_forms(part.type).items():
        found[key] = _short_form(part, key, meaning, place)
    found = {k: v for k, v in found.items() if loads(place.with_value(with_key(part, k)))}
    return found | _free_keys(part, place)


def _free_keys(part: Part, place: Place) -> dict[str, Topic]:
    """Give the topics below keys whose names are free, as the paths of axes are."""
    free = vars(part.type).get("__annotations__", {}).get("__pydantic_extra__")
    if free is None:
        return {}
    found: dict[str, Topic] = {}
    for inner in parts_of(Shape.of(free)):
        found |= _keys_of(inner, place.into(inner))
    return found


def _field(part: Part, key: str, info: FieldInfo, place: Place) -> Topic:
    whole = {} if part.type is Sweep else with_key(part, key)
    beside = {name: value for name, value in whole.items() if name != key}
    here = place.key(key, beside)
    make = partial(_field_entry, part, key, info, here)
    return Topic(here.path, info.description or "", make, partial(_below, info, here))


def _below(info: FieldInfo, here: Place) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for part in parts_of(Shape.of_field(info)):
        inner = here.into(part)
        if part.kind and not loads(inner.with_value(smallest(part))):
            continue  # its type is a union's, but a validator refuses it here
        if part.kind:
            make = partial(_kind_entry, part, inner)
            summary = told(part.type).meaning.partition("\n")[0]
            found[part.kind] = Topic(inner.path, summary, make, partial(_keys_of, part, inner))
        else:
            found |= _keys_of(part, inner)
    return found


def _field_entry(part: Part, key: str, info: FieldInfo, here: Place) -> Entry:
    example = here.with_value(with_key(part, key)[key])
    parts = list(parts_of(Shape.of_field(info)))
    about = [told(each.type) for each in parts if not each.kind]
    below = _below(info, here)
    kinds = {each.kind for each in parts}
    return Entry(
        path=here.path,
        title="key of a sweep file",
        meaning="\n\n".join([info.description or "", *(each.meaning for each in about)]),
        type=type_in_words(info.annotation, info.metadata),
        default=_default(info),
        sweepable=sweepable(here.axis_path, example),
        kinds=tuple(_listed(name, topic) for name, topic in below.items() if name in kinds),
        fields=tuple(_listed(name, topic) for name, topic in below.items() if name not in kinds),
        example=as_yaml(example),
        source=" ".join(each.source for each in about),
    )


def _short_form(part: Part, key: str, meaning: str, place: Place) -> Topic:
    """Give the topic of a key that is read as others."""
    example = as_yaml(place.with_value(with_key(part, key)))
    path = f"{place.path}.{key}"
    entry = Entry(path, "key of a sweep file", meaning, default="left out", example=example)
    return Topic(path, meaning, lambda: entry)


def _kind_entry(part: Part, here: Place) -> Entry:
    meaning, source = told(part.type)
    keys = _keys_of(part, here)
    return Entry(
        path=here.path,
        title="kind",
        meaning=meaning,
        fields=tuple(_listed(name, topic) for name, topic in keys.items()),
        example=as_yaml(here.with_value(smallest(part))),
        source=source,
    )


def _listed(name: str, topic: Topic) -> Listed:
    return Listed(name, topic.summary)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None or info.default is None:
        return "left out"
    return as_yaml(plain(info.default))
