"""All topics, and how one is found by its path."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

from sweep_engine.errors import SweepEngineError
from sweep_engine.explain.entry import Entry, Listed, Topic
from sweep_engine.explain.keys import sweep_file
from sweep_engine.spec.sweep import EstimatorName

_SHORT = {
    "law": "sources.prior.law",
    "optimizer": "sources.train.optimizer",
    "schedule": "sources.train.optimizer.sgd.schedule",
}
"""Other first steps: of what stands in many places, one of them."""

_INDEX = re.compile(r"\[\d+\]")
_SHOWN_AT_MOST = 6
_LISTED_AT_MOST = 40


class NoSuchTopic(SweepEngineError):
    """Nothing has this path; says which paths are like it."""


@dataclass(frozen=True)
class Section:
    """A part of the map.

    Attributes:
        title: What is in it.
        ask: How to ask for one of its names.
        names: Its names, with a line on each where there is room.
    """

    title: str
    ask: str
    names: tuple[Listed, ...]


class Book:
    """All that can be explained.

    Columns, estimators and estimates are looked at when they are asked for: they import what
    computes them, which takes seconds.
    """

    def __init__(self, commands: Mapping[str, Topic]) -> None:
        self._commands = commands

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """The topics at the top, by their first step."""
        keys = sweep_file()
        keys["observables"] = replace(keys["observables"], below=self._observables)
        return keys | {
            "estimator": _list("estimator", "how two sources are compared", _estimators),
            "column": _list("column", "a column of the results' tables", _columns),
            "estimate": _list("estimate", "a number that `compare` and a report give", _estimates),
            "command": _list("command", "a command", lambda: self._commands),
        }

    def _observables(self) -> dict[str, Topic]:
        from sweep_engine.explain.columns import with_columns

        return with_columns(sweep_file()["observables"].children)

    def find(self, path: str) -> Topic:
        """Find a topic.

        Args:
            path: Steps joined by dots, such as `task.boolean.bits` or `column.l2_norm`; places
                of a list, as in `compare[0].source`, do not matter.

        Raises:
            NoSuchTopic: nothing has this path.
        """
        topic = Topic("", "", lambda: Entry("", "", ""), lambda: self.topics)
        rest = self._in_full(_INDEX.sub("", path))
        while rest:
            step, _, after = (rest, "", "") if rest in topic.children else rest.partition(".")
            if step.isdecimal():
                rest = after
            elif step in topic.children:
                topic, rest = topic.children[step], after
            elif numbered := _first_of_numbered(step, topic):
                topic, rest = numbered, after
            else:
                raise NoSuchTopic(_no_such(topic, rest))
        return topic

    def complete(self, path: str) -> Iterator[Listed]:
        """List the paths of topics that begin so, one step further.

        Args:
            path: Whole steps, and the beginning of one; a name may itself have dots.
        """
        for place in reversed([-1, *(i for i, letter in enumerate(path) if letter == ".")]):
            parent, begun = path[: max(place, 0)], path[place + 1 :]
            try:
                names = self.find(parent).children
            except NoSuchTopic:
                continue
            more = {} if parent else {short: self.find(short) for short in _SHORT}
            found = {
                name: each for name, each in {**names, **more}.items() if name.startswith(begun)
            }
            if found:
                yield from (_line(path[: place + 1] + name, each) for name, each in found.items())
                return

    def _in_full(self, path: str) -> str:
        """Write a path's first step as it is listed: one and many are the same."""
        first, dot, rest = path.partition(".")
        names = (first, f"{first}s", first.removesuffix("s"))
        known = next((name for name in names if name in {*self.topics, *_SHORT}), first)
        return _SHORT.get(known, known) + dot + rest

    def every(self) -> Iterator[Topic]:
        """Give every topic."""
        for topic in self.topics.values():
            yield from _walk(topic)

    def sections(self) -> tuple[Section, ...]:
        """Give the map: everything that has a name, but columns and estimates."""
        keys = sweep_file()
        found = [
            Section("keys of a sweep file", "KEY", tuple(_line(*each) for each in keys.items())),
            *(_kinds(title, path, self.find(path)) for title, path in (
                ("tasks", "task"), ("models", "model"), ("sources", "sources"), ("laws", "law"),
                ("optimisers", "optimizer"), ("observables", "observables"), ("designs", "design"),
            )),
            Section("estimators", "estimator.NAME",
                    tuple(Listed(name, "") for name in get_args(EstimatorName))),
            Section("columns of the results", "column NAME", ()),
            Section("estimates", "estimate NAME", ()),
            Section("commands", "command NAME",
                    tuple(_line(*each) for each in self._commands.items())),
        ]  # fmt: skip
        return tuple(found)


def _line(name: str, topic: Topic) -> Listed:
    return Listed(name, topic.summary)


def _kinds(title: str, path: str, topic: Topic) -> Section:
    return Section(title, f"{path}.KIND", topic.entry.kinds)


def _list(path: str, title: str, below: Callable[[], Mapping[str, Topic]]) -> Topic:
    def make() -> Entry:
        names = tuple(_line(*each) for each in below().items())
        return Entry(path, title, f"Ask for one of them: explain {path}.NAME.", fields=names)

    return Topic(path, title, make, below)


def _estimators() -> dict[str, Topic]:
    from sweep_engine.explain.estimators import estimators

    return estimators()


def _estimates() -> dict[str, Topic]:
    from sweep_engine.explain.estimators import estimates

    return estimates()


def _columns() -> dict[str, Topic]:
    from sweep_engine.explain.columns import columns

    return columns()


def _walk(topic: Topic) -> Iterator[Topic]:
    yield topic
    for each in topic.children.values():
        yield from _walk(each)


def _first_of_numbered(step: str, topic: Topic) -> Topic | None:
    """Find the first of columns that differ in a number: as many are there as a file asks for."""
    stem = step.rstrip("0123456789")
    return topic.children.get(f"{stem}1") if stem.endswith("_") else None


def _no_such(topic: Topic, rest: str) -> str:
    where = f"below {topic.path}" if topic.path else "to explain"
    like = _like(topic, rest)
    hint = f"; did you mean {', '.join(like)}?" if like else ""
    names = list(topic.children)
    shown = (
        ", ".join(names) if len(names) <= _LISTED_AT_MOST else f"{len(names)}: explain {topic.path}"
    )
    return f"there is no {rest!r} {where}{hint} (there are: {shown})"


def _like(topic: Topic, rest: str) -> list[str]:
    """Find paths that end as a path does, or names that are spelt like its next step."""
    step = rest.partition(".")[0]
    if close := difflib.get_close_matches(step, topic.children, n=3):
        return [topic.children[name].path for name in close]
    paths = sorted((each.path for each in _walk(topic)), key=len)
    if ends := [path for path in paths if path.endswith(f".{rest}")]:
        return ends[:_SHOWN_AT_MOST]
    names = {path.rpartition(".")[2]: path for path in reversed(paths)}
    return [names[name] for name in difflib.get_close_matches(step, names, n=3)]
