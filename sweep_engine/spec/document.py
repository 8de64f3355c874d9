"""Read a YAML sweep file into plain data that remembers where everything stands.

A sweep file is untrusted text: its size and depth are bounded, and anchors, aliases, tags of
one's own, directives and duplicate keys are refused.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from sweep_engine.errors import SpecError
from sweep_engine.spec.wording import LineColumn, Loc, format_path, format_problem
from sweep_engine.spec.yaml_nodes import Composer, Node, Plain

MAX_BYTES = 2**20
MAX_PROBLEMS = 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed sweep file.

    Attributes:
        name: What messages call the file.
        text: The file as given.
    """

    name: str
    text: str
    _root: Node

    @property
    def data(self) -> Plain:
        """The content as plain dicts, lists and scalars."""
        value: Plain = self._root.value
        return value

    def place(self, loc: Loc, *, key: bool = False) -> LineColumn:
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
                return node.keys.get(step, node.children[step].at)
            node = node.children[step]
        return node.at

    def problem(self, loc: Loc, message: str, *, key: bool = False) -> str:
        """Format one problem at `loc` as a line for `SpecError`."""
        path = f"{format_path(loc)}: " if loc else ""
        return format_problem(self.name, self.place(loc, key=key), path + message)


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
    composer = Composer(yaml.parse(text, Loader=_LOADER))
    root = composer.compose()
    if composer.problems:
        raise spec_error(format_problem(name, *problem) for problem in sorted(composer.problems))
    return Document(name, text, root)


def _decode(raw: bytes, name: str) -> str:
    try:
        # A character cut in two by the size limit is no fault of the encoding.
        return raw.decode("utf-8", errors="strict" if len(raw) <= MAX_BYTES else "replace")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        at = _line_column(before, len(before))
        raise SpecError([format_problem(name, at, "not UTF-8 text")]) from None


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
            raise SpecError([format_problem(name, _line_column(text, found.start()), message)])


def _line_column(text: str, index: int) -> LineColumn:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def spec_error(lines: Iterator[str]) -> SpecError:
    """Make the error from the first `MAX_PROBLEMS` lines; the others are not even formatted."""
    shown = list(itertools.islice(lines, MAX_PROBLEMS))
    more = ["... and more problems"] if next(lines, None) else []
    return SpecError(shown + more)
