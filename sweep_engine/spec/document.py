"""Read a YAML sweep file into plain data that remembers where everything stands.

A sweep file is untrusted text: its size and depth are bounded, and anchors, aliases, tags of
one's own, directives and duplicate keys are refused. Scalars follow the core schema of
YAML 1.2, so `1e-3` is a float and `no` is a string. `validate` checks the data against a
pydantic model and reports every problem at once, each as `file:line:column: key: problem`.

Source:
    YAML 1.2.2, section 10.3 (core schema).
"""

import difflib
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import yaml
from pydantic import BaseModel, Discriminator, RootModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sweep_engine.errors import SpecError

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_PROBLEMS = 100
_MAX_ERRORS = 20 * MAX_PROBLEMS  # pydantic's, of which several may be one problem

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"
Loc: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
K = TypeVar("K")

# Only the parser's events are used: no constructor runs, whatever the text says.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# --- the document -------------------------------------------------------------------------


class _Node(NamedTuple):
    """A value, where it stands, and its entries with the places of their keys."""

    value: Any
    place: Place
    children: Mapping[str | int, "_Node"] = MappingProxyType({})
    keys: Mapping[str | int, Place] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed sweep file.

    Attributes:
        name: What messages call the file.
        text: The file as given.
    """

    name: str
    text: str
    _root: _Node

    @property
    def data(self) -> Plain:
        """The content as plain dicts, lists and scalars."""
        value: Plain = self._root.value
        return value

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        r"""Find the line and column, from 1, of the value at `loc` or its nearest ancestor.

        Args:
            loc: Keys and indices from the top.
            key: Give the place of the last key itself, where there is one.

        >>> parse_document("model:\n  bias: 1", "x.yaml").place(("model", "bias", "no"))
        (2, 9)
        """
        node = self._root
        for depth, step in enumerate(loc, start=1):
            if step not in node.children:
                break
            if key and depth == len(loc):
                return node.keys.get(step, node.children[step].place)
            node = node.children[step]
        return node.place

    def problem(self, loc: Loc, message: str, *, key: bool = False) -> str:
        """Format one problem at `loc` as a line for `SpecError`."""
        path = f"{_format_path(loc)}: " if loc else ""
        return _format_line(self.name, self.place(loc, key=key), path + message)


def read_document(path: Path) -> Document:
    """Read and parse a sweep file.

    Raises:
        SpecError: The file cannot be read, or `parse_document` refuses its text.
    """
    name = str(path)
    try:
        if path.exists() and not path.is_file():
            raise SpecError([f"{name}: not a file"])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise SpecError([f"{name}: cannot be read: {reason}"]) from None
    return parse_document(_decode(raw, name), name)


def parse_document(text: str, name: str) -> Document:
    """Parse the text of a sweep file; `name` is what messages call it.

    Raises:
        SpecError: The text is not one YAML mapping within the limits of this module.

    >>> parse_document("learning_rate: 1e-3", "x.yaml").data
    {'learning_rate': 0.001}
    """
    _check_text(text, name)
    composer = _Composer(yaml.parse(text, Loader=_Loader))
    root = composer.compose()
    if composer.problems:
        raise _spec_error(_format_line(name, *problem) for problem in sorted(composer.problems))
    return Document(name, text, root)


def _decode(raw: bytes, name: str) -> str:
    try:
        # A character cut in two by the size limit is no fault of the encoding.
        return raw.decode("utf-8", errors="strict" if len(raw) <= MAX_BYTES else "replace")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        place = _place_of_index(before, len(before))
        raise SpecError([_format_line(name, place, "not UTF-8 text")]) from None


_FORBIDDEN_TEXT = {
    re.compile("^\ufeff"): "starts with a byte order mark; save it as UTF-8 without one",
    re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"): (
        "a control character or other code point that YAML does not allow"
    ),
    # The parser's time is quadratic in their number.
    re.compile("^%", re.MULTILINE): "a line may not start with '%': no YAML directives",
}


def _check_text(text: str, name: str) -> None:
    """Refuse what must not reach the YAML parser at all."""
    if len(text.encode("utf-8", errors="replace")) > MAX_BYTES:
        raise SpecError([f"{name}: larger than {MAX_BYTES} bytes; put large data in a file"])
    for pattern, message in _FORBIDDEN_TEXT.items():
        if found := pattern.search(text):
            raise SpecError([_format_line(name, _place_of_index(text, found.start()), message)])


def _place_of_index(text: str, index: int) -> Place:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


# --- YAML events to nodes -----------------------------------------------------------------


class _Composer:
    """Builds the tree of nodes from parser events, collecting what is refused."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self.problems: list[tuple[Place, str]] = []

    def compose(self) -> _Node:
        """Compose the only document, as far as it goes."""
        root = _Node({}, (1, 1))
        try:
            root = self._document(root)
        except yaml.YAMLError as error:
            self.problems.append(_syntax_problem(error))
        except (ValueError, OverflowError) as error:
            # PyYAML's own scanner, where libyaml is not there, on "\UFFFFFFFF".
            self.problems.append(((1, 1), f"not valid YAML: {error}"))
        return root

    def _document(self, empty: _Node) -> _Node:
        root = empty
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not empty:
                    self._refuse(event, "a second document; a sweep file holds one")
                    break
                root = self._node(next(self._events), 1)
        if root is empty:
            self.problems.append((root.place, "the file is empty"))
        elif not isinstance(root.value, dict):
            message = f"the top level must be a mapping, got {_given(root.value)}"
            self.problems.append((root.place, message))
        return root

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self.problems.append((_place(event.start_mark), message))

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._refuse(event, f"anchor or alias '{_shorten(event.anchor)}': neither is allowed")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.CollectionStartEvent):
            return self._collection(event, depth)
        return _Node("", _place(event.start_mark))  # an alias

    def _collection(self, start: yaml.CollectionStartEvent, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            mark: Any = start.start_mark
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        is_list = isinstance(start, yaml.SequenceStartEvent)
        if start.tag not in (None, f"tag:yaml.org,2002:{'seq' if is_list else 'map'}"):
            self._refuse(start, f"tag {_given(start.tag)} is not allowed here")
        return self._sequence(start, depth) if is_list else self._mapping(start, depth)

    def _scalar(self, event: yaml.ScalarEvent) -> _Node:
        value: Plain = event.value
        try:
            value = _resolve(event.value, event.tag, plain=event.implicit[0] and event.tag is None)
        except ValueError as error:
            self._refuse(event, str(error))
        return _Node(value, _place(event.start_mark))

    def _sequence(self, start: yaml.Event, depth: int) -> _Node:
        children: dict[str | int, _Node] = {}
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            children[len(children)] = self._node(event, depth + 1)
        values = [child.value for child in children.values()]
        return _Node(values, _place(start.start_mark), children)

    def _mapping(self, start: yaml.Event, depth: int) -> _Node:
        children: dict[str | int, _Node] = {}
        keys: dict[str | int, Place] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            child = self._node(next(self._events), depth + 1)
            if problem := _key_problem(key.value, keys):
                self.problems.append((key.place, problem))
            else:
                keys[key.value], children[key.value] = key.place, child
        values = {name: child.value for name, child in children.items()}
        return _Node(values, _place(start.start_mark), children, keys)


def _key_problem(key: Plain, earlier: Mapping[str | int, Place]) -> str | None:
    if not isinstance(key, str):
        return f"a key must be a string, got {_given(key)}"
    if key in earlier:
        line, column = earlier[key]
        return f"duplicate key {_given(key)}, given first at {line}:{column}"
    return None


def _place(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _syntax_problem(error: yaml.YAMLError) -> tuple[Place, str]:
    if not isinstance(error, yaml.MarkedYAMLError):
        return (1, 1), f"not valid YAML: {_one_line(str(error))}"
    reason = ", ".join(filter(None, (error.problem, error.context)))
    return _place(error.problem_mark or error.context_mark), f"not valid YAML: {_one_line(reason)}"


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
        raise ValueError(f"tag {_given(tag)} is not allowed here")
    if _TAGS[tag] is str:
        return text
    value = _resolve_plain(text)
    if _TAGS[tag] is float and type(value) is int:
        value = float(value)
    if type(value) is not _TAGS[tag]:
        raise ValueError(f"{_given(text)} does not have the form that its tag '{tag}' says")
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
        raise ValueError(f"integer {_shorten(text)} has more than 64 bits; quote it if it is text")
    return value


# --- pydantic errors to problems ----------------------------------------------------------


def validate(document: Document, model: type[M]) -> M:
    """Check a document against a pydantic model and return the model's instance.

    Raises:
        SpecError: The data do not fit, with every problem, in the order of the file.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)[:_MAX_ERRORS]
    findings = [_trace(model, detail) for detail in details]
    problems = list(_group((f.alternative_of, f) for f in _keep_closest(findings)).values())
    problems.sort(key=lambda group: document.place(group[0].path, key=group[0].is_key))
    raise _spec_error(
        document.problem(group[0].path, _explain(group), key=group[0].is_key) for group in problems
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """What may stand at one place: a type without its wrapping, and its union's tag key."""

    type: Any = Any
    tag_key: str | None = None

    @classmethod
    def of(cls, annotation: Any, tag_key: str | None = None) -> "_Shape":
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
    def of_field(cls, info: FieldInfo) -> "_Shape":
        return cls.of(info.annotation, _tag_key([info, *info.metadata]))

    def members(self) -> list["_Shape"]:
        """The members of a union without a tag."""
        return [] if self.tag_key else self._members()

    def tags(self) -> dict[str | int, "_Shape"]:
        """The members of a tagged union, by tag; not those that are marked `python_only`."""
        if self.tag_key is None:
            return {}
        return {
            tag: leaf
            for member in self._members()
            for leaf in (member._members() or [member])
            if not getattr(leaf.type, "python_only", False)
            for tag in leaf.fields().get(self.tag_key, _Shape()).literals()
        }

    def fields(self) -> dict[str | int, "_Shape"]:
        """The fields of a model, by the name that the file uses."""
        if not _is_model(self.type):
            return {}
        return {
            _name_in_file(name, info): _Shape.of_field(info)
            for name, info in self.type.model_fields.items()
        }

    def literals(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    def child(self, step: str | int) -> "_Shape":
        """What may stand below this key or index."""
        arguments = get_args(self.type)
        if _is_model(self.type):
            return self.fields().get(step, _Shape())
        if not arguments:
            return _Shape()
        if isinstance(step, str):
            return _Shape.of(arguments[-1])
        if get_origin(self.type) is tuple and Ellipsis not in arguments:
            return _Shape.of(arguments[step]) if step < len(arguments) else _Shape()
        return _Shape.of(arguments[0])

    def label(self, depth: int = 4) -> str:
        """The label that pydantic gives this member of a union, but for finer points."""
        name = getattr(get_origin(self.type) or self.type, "__name__", "").partition("[")[0]
        parts = [_Shape.of(part) for part in get_args(self.type)]
        if literals := self.literals():
            return f"literal[{','.join(map(repr, literals))}]"
        if members := self._members():
            name, parts = "tagged-union" if self.tag_key else "union", members
        if not parts or depth == 0:  # a type may contain itself
            return name
        return f"{name}[{','.join(part.label(depth - 1) for part in parts)}]"

    def _members(self) -> list["_Shape"]:
        return [_Shape.of(member, self.tag_key) for member in _union_members(self.type)]


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


def _name_in_file(name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias
    return alias if isinstance(alias, str) else name


@dataclass(frozen=True, slots=True)
class _Finding:
    """One pydantic error, brought back to the file.

    Attributes:
        error: As pydantic reports it.
        path: Keys and indices in the file, without pydantic's tags and labels.
        is_key: The key is wrong, not its value.
        shape: What may stand at `path`.
        parent: What may stand one level above.
        unions: Where in pydantic's `loc` stand the labels of members of untagged unions.
    """

    error: ErrorDetails
    path: Loc
    is_key: bool
    shape: _Shape
    parent: _Shape
    unions: tuple[int, ...]

    @property
    def alternative_of(self) -> tuple[Loc, Loc, bool]:
        """Equal for errors of which one would be enough to put right."""
        loc = self.error["loc"]
        return self.path, loc[: self.unions[0]] if self.unions else loc, self.is_key


def _trace(model: type[BaseModel], error: ErrorDetails) -> _Finding:
    """Follow an error's `loc` down the model's types."""
    path: list[str | int] = []
    unions: list[int] = []
    shape, parent = _Shape.of(model), _Shape()
    is_key = error["type"] == "extra_forbidden"
    for index, step in enumerate(error["loc"]):
        if step == "[key]":
            is_key = True
        elif tags := shape.tags():
            shape = tags.get(step, _Shape())
        elif members := shape.members():
            unions.append(index)
            shape = _labelled(members, str(step))
        else:
            path.append(step)
            shape, parent = shape.child(step), shape
    if error["type"] in ("union_tag_invalid", "union_tag_not_found") and shape.tag_key:
        path.append(shape.tag_key)
    return _Finding(error, tuple(path), is_key, shape, parent, tuple(unions))


def _labelled(members: list[_Shape], label: str) -> _Shape:
    """Find a union's member by pydantic's label, such as `function-after[check(), Box]`."""
    bare = re.sub(r"function-\w+\[[^,]*\(\), ", "", label)
    candidates = {member.label(): member for member in members}
    best = max(candidates, key=lambda name: (_shared_prefix(name, bare), -len(name)))
    return candidates[best] if _shared_prefix(best, bare) else _Shape()


def _shared_prefix(a: str, b: str) -> int:
    return sum(itertools.takewhile(bool, map(operator.eq, a, b)))


def _keep_closest(findings: list[_Finding], level: int = 0) -> list[_Finding]:
    """Of every untagged union keep only the members that came closest to fitting."""
    kept = [finding for finding in findings if level >= len(finding.unions)]
    nested = [finding for finding in findings if level < len(finding.unions)]
    by_union = _group((f.error["loc"][: f.unions[level]], f) for f in nested)
    for start, group in by_union.items():
        end = len(start) + 1
        by_member = _group((finding.error["loc"][:end], finding) for finding in group)
        members = [_keep_closest(member, level + 1) for member in by_member.values()]
        best = max(map(_closeness, members))
        kept += [finding for member in members if _closeness(member) == best for finding in member]
    return kept


def _closeness(findings: list[_Finding]) -> tuple[int, bool, int]:
    """Order a union's members: first problem deeper, only a validator objects, fewer problems."""
    depth = max(len(finding.path) for finding in findings)
    checked = any(finding.error["type"] in _VALIDATOR for finding in findings)
    return depth, checked, -len(findings)


def _group(items: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for key, item in items:
        groups.setdefault(key, []).append(item)
    return groups


# --- messages -----------------------------------------------------------------------------

_VALIDATOR = ("value_error", "assertion_error")
_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    "string_type": "a string",
    "none_required": "null",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern_mismatch": "a string that matches {pattern}",
}


def _explain(group: list[_Finding]) -> str:
    """Say what is wrong, given all alternatives that were tried at one place."""
    finding = group[0]
    error = finding.error
    match error["type"]:
        case "extra_forbidden":
            names = list(map(str, finding.parent.fields()))
            return f"unknown key{_nearest(finding.path[-1:], names)}{_allowed(names)}"
        case "missing":
            return f"missing{_allowed(finding.shape.literals())}"
        case "union_tag_not_found" if tags := finding.shape.tags():
            return f"missing{_allowed(tags)}"
        case "union_tag_invalid" if tags := finding.shape.tags():
            given = error["input"].get(finding.shape.tag_key)
            hint = _nearest([given], tags) + _allowed(tags)
            return f"unknown {finding.path[-1]} {_given(given)}{hint}"
        case "value_error" | "assertion_error":
            return _one_line(str(error["ctx"]["error"]))
    return _explain_mismatch(group)


def _explain_mismatch(group: list[_Finding]) -> str:
    expected = [phrase for finding in group for phrase in _expectations(finding)]
    given = group[0].error["input"]
    if not expected:
        return f"{_one_line(group[0].error['msg'])}, got {_given(given)}"
    options = [option for finding in group for option in finding.shape.literals()]
    return f"must be {_join(expected)}, got {_given(given)}{_nearest([given], options)}"


def _expectations(finding: _Finding) -> list[str]:
    """What the finding's type would have taken, as noun phrases."""
    error = finding.error
    if error["type"] == "literal_error" and finding.shape.literals():
        return list(map(_given, finding.shape.literals()))
    if error["type"] == "model_attributes_type" and finding.shape.tag_key:
        return [f"a mapping with a '{finding.shape.tag_key}'{_allowed(finding.shape.tags())}"]
    if error["type"] in _EXPECTED:
        return [_EXPECTED[error["type"]].format_map(error.get("ctx", {}))]
    lead, found, phrase = error["msg"].partition("Input should be ")
    return [_one_line(phrase)] if found and not lead else []


def _nearest(words: Iterable[Any], options: Iterable[Any]) -> str:
    names = [option for option in options if isinstance(option, str)]
    for word in words:
        if isinstance(word, str) and (close := difflib.get_close_matches(word, names, n=1)):
            return f"; did you mean '{close[0]}'?"
    return ""


def _allowed(names: Iterable[Any]) -> str:
    listing = ", ".join(map(str, names))
    return f" (allowed: {listing})" if listing else ""


def _join(phrases: list[str]) -> str:
    """Join as `a, b or c`, each once.

    >>> _join(["an integer", "'full'", "'full'"])
    "an integer or 'full'"
    """
    *others, last = dict.fromkeys(phrases)
    return f"{', '.join(others)} or {last}" if others else last


def _given(value: Any) -> str:
    """Show a value on one short line, as the file would write it."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(_shorten(value))
    named = {"None": "null", "True": "true", "False": "false", "nan": ".nan"}
    return named.get(str(value), str(value).replace("inf", ".inf"))


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _format_path(loc: Loc) -> str:
    """Write a path as `sources.sgd.stop`, `compare[0]`, `axes['model.widths']`.

    >>> _format_path(("compare", 0, "source"))
    'compare[0].source'
    """
    parts = [
        f".{step}"
        if isinstance(step, str) and re.fullmatch(r"[\w-]{1,64}", step)
        else f"[{_given(step)}]"
        for step in loc
    ]
    return "".join(parts).removeprefix(".")


def _format_line(name: str, place: Place, message: str) -> str:
    line, column = place
    return f"{name}:{line}:{column}: {message}"


def _spec_error(lines: Iterator[str]) -> SpecError:
    """Make the error from the first `MAX_PROBLEMS` lines; the others are not even formatted."""
    shown = list(itertools.islice(lines, MAX_PROBLEMS))
    more = ["... and more problems"] if next(lines, None) else []
    return SpecError(shown + more)
