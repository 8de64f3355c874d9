"""From the events of a YAML parser to values that know where they stand.

Only the parser's events are used: no constructor runs, whatever the text says. Scalars follow
the core schema of YAML 1.2, so `1e-3` is a float and `no` is a string.

Source:
    YAML 1.2.2, section 10.3 (core schema).
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple, TypeAlias

import yaml

from sweep_engine.spec.wording import LineColumn, one_line, shortened, shown

MAX_DEPTH = 32

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"


class Node(NamedTuple):
    """A value, where it stands, and its entries with where their keys stand."""

    value: Any
    at: LineColumn
    children: Mapping[str | int, "Node"] = MappingProxyType({})
    keys: Mapping[str | int, LineColumn] = MappingProxyType({})


class Composer:
    """Builds the tree of nodes from parser events, collecting what is refused."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self.problems: list[tuple[LineColumn, str]] = []

    def compose(self) -> Node:
        """Compose the only document, as far as it goes."""
        root = Node({}, (1, 1))
        try:
            root = self._document(root)
        except yaml.YAMLError as error:
            self.problems.append(_syntax_problem(error))
        except (ValueError, OverflowError) as error:
            # PyYAML's own scanner, where libyaml is not there, on "\UFFFFFFFF".
            self.problems.append(((1, 1), f"not valid YAML: {error}"))
        return root

    def _document(self, empty: Node) -> Node:
        root = empty
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not empty:
                    self._refuse(event, "a second document; a sweep file holds one")
                    break
                root = self._node(next(self._events), 1)
        if root is empty:
            self.problems.append((root.at, "the file is empty"))
        elif not isinstance(root.value, dict):
            message = f"the top level must be a mapping, got {shown(root.value)}"
            self.problems.append((root.at, message))
        return root

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self.problems.append((_line_column(event.start_mark), message))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._refuse(event, f"anchor or alias '{shortened(event.anchor)}': neither is allowed")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.CollectionStartEvent):
            return self._collection(event, depth)
        return Node("", _line_column(event.start_mark))  # an alias

    def _collection(self, start: yaml.CollectionStartEvent, depth: int) -> Node:
        if depth > MAX_DEPTH:
            mark: Any = start.start_mark
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        is_list = isinstance(start, yaml.SequenceStartEvent)
        if start.tag not in (None, f"tag:yaml.org,2002:{'seq' if is_list else 'map'}"):
            self._refuse(start, f"tag {shown(start.tag)} is not allowed here")
        return self._sequence(start, depth) if is_list else self._mapping(start, depth)

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        value: Plain = event.value
        try:
            value = _resolve(event.value, event.tag, plain=event.implicit[0] and event.tag is None)
        except ValueError as error:
            self._refuse(event, str(error))
        return Node(value, _line_column(event.start_mark))

    def _sequence(self, start: yaml.Event, depth: int) -> Node:
        children: dict[str | int, Node] = {}
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            children[len(children)] = self._node(event, depth + 1)
        values = [child.value for child in children.values()]
        return Node(values, _line_column(start.start_mark), children)

    def _mapping(self, start: yaml.Event, depth: int) -> Node:
        children: dict[str | int, Node] = {}
        keys: dict[str | int, LineColumn] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            child = self._node(next(self._events), depth + 1)
            if problem := _key_problem(key.value, keys):
                self.problems.append((key.at, problem))
            else:
                keys[key.value], children[key.value] = key.at, child
        values = {name: child.value for name, child in children.items()}
        return Node(values, _line_column(start.start_mark), children, keys)


def _key_problem(key: Plain, earlier: Mapping[str | int, LineColumn]) -> str | None:
    if not isinstance(key, str):
        return f"a key must be a string, got {shown(key)}"
    if key in earlier:
        line, column = earlier[key]
        return f"duplicate key {shown(key)}, given first at {line}:{column}"
    return None


def _line_column(mark: Any) -> LineColumn:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax_problem(error: yaml.YAMLError) -> tuple[LineColumn, str]:
    if not isinstance(error, yaml.MarkedYAMLError):
        return (1, 1), f"not valid YAML: {one_line(str(error))}"
    reason = ", ".join(filter(None, (error.problem, error.context)))
    mark = error.problem_mark or error.context_mark
    return _line_column(mark), f"not valid YAML: {one_line(reason)}"


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMED: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{
        sign + name: float(f"{sign}inf")
        for sign in ("", "+", "-")
        for name in (".inf", ".Inf", ".INF")
    },
}
_TAGS: dict[str, type] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": NoneType,
}


def _resolve(text: str, tag: str | None, *, plain: bool) -> Plain:
    """Give a scalar its value: by its tag, by its look when plain, as text when quoted."""
    if plain:
        return _resolve_plain(text)
    if _SURROGATE.search(text):
        raise ValueError("an escaped surrogate is not a character")
    if tag is None:
        return text
    if tag not in _TAGS:
        raise ValueError(f"tag {shown(tag)} is not allowed here")
    if _TAGS[tag] is str:
        return text
    value = _resolve_plain(text)
    if _TAGS[tag] is float and type(value) is int:
        value = float(value)
    if type(value) is not _TAGS[tag]:
        raise ValueError(f"{shown(text)} does not have the form that its tag '{tag}' says")
    return value


def _resolve_plain(text: str) -> Plain:
    if text in _NAMED:
        return _NAMED[text]
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    value = int(text, base) if len(text) <= 70 else None  # Python refuses above 4300 digits
    if value is None or value.bit_length() > 64:
        raise ValueError(f"integer {shortened(text)} has more than 64 bits; quote it if it is text")
    return value
