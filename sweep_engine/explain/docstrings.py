"""The parts of a docstring that a reader of a sweep file needs."""

import inspect
import re
from typing import NamedTuple

_LEFT_OUT = ("Example", "Attributes", "Args", "Raises", "Returns")
_HEADING = re.compile(r"^([A-Z]\w*):$")


class Told(NamedTuple):
    """Hold what a docstring says: its text, and the paper that it names."""

    meaning: str
    source: str


def told(documented: object) -> Told:
    """Take a docstring apart; its examples and its attributes are for readers of the code.

    Example:
        >>> told(Told).meaning
        'Hold what a docstring says: its text, and the paper that it names.'
    """
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in inspect.cleandoc(vars(documented).get("__doc__") or "").splitlines():
        if heading := _HEADING.match(line):
            current = heading[1]
            sections[current] = []
        else:
            current = current if not line or line.startswith(" ") else ""
            sections[current].append(line)
    text = [line for name in sections if name not in {*_LEFT_OUT, "Source"}
            for line in sections[name]]  # fmt: skip
    source = inspect.cleandoc("\n" + "\n".join(sections.get("Source", [])))
    return Told("\n".join(text).strip(), " ".join(source.split()))
