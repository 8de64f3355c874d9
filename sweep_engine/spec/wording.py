"""How messages about a sweep file show names, values and places."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Loc: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the top of the file."""

LineColumn: TypeAlias = tuple[int, int]
"""Both from 1."""


def nearest(name: str, options: Iterable[Any]) -> str:
    """Word the nearest allowed name and all of them, behind a name that is none of them."""
    names = list(options)
    return did_you_mean(name, names) + allowed(names)


def did_you_mean(name: Any, options: Iterable[Any]) -> str:
    """Word the option that is most like a name, behind it; nothing where none is.

    >>> did_you_mean("norm", ["norms", "margin"])
    "; did you mean 'norms'?"
    """
    names = [option for option in options if isinstance(option, str)]
    close = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def allowed(options: Iterable[Any]) -> str:
    """List what is allowed, in brackets; nothing where there is nothing.

    >>> allowed(["sgd", "adam"])
    ' (allowed: sgd, adam)'
    """
    listing = ", ".join(map(str, options))
    return f" (allowed: {listing})" if listing else ""


def alternatives(phrases: Iterable[str]) -> str:
    """Join as `a, b or c`, each once.

    >>> alternatives(["an integer", "'full'", "'full'"])
    "an integer or 'full'"
    """
    *others, last = dict.fromkeys(phrases)
    return f"{', '.join(others)} or {last}" if others else last


def shown(value: Any) -> str:
    """Show a value on one short line, as the file would write it."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(shortened(value))
    named = {"None": "null", "True": "true", "False": "false", "nan": ".nan"}
    return named.get(str(value), str(value).replace("inf", ".inf"))


def value_text(value: Any) -> str:
    """Write a swept value for a reader; a part of a file by its kind.

    >>> value_text({"kind": "mlp", "widths": [4, 4], "bias": False})
    'mlp (widths [4, 4], bias false)'
    >>> value_text({"kind": "linear"}), value_text(0.1)
    ('linear', '0.1')
    """
    if not isinstance(value, dict) or "kind" not in value:
        return str(value)
    fields = ", ".join(
        f"{key} {shown(field) if isinstance(field, bool) else value_text(field)}"
        for key, field in value.items()
        if key != "kind"
    )
    return f"{value['kind']} ({fields})" if fields else str(value["kind"])


def point_text(values: Mapping[str, Any]) -> str:
    """Write a point of the axes, each by the last word of its path.

    >>> point_text({"sources.sgd.optimizer.learning_rate": 0.1, "model": {"kind": "linear"}})
    'learning_rate = 0.1, model = linear'
    """
    words = (f"{path.split('.')[-1]} = {value_text(at)}" for path, at in values.items())
    return ", ".join(dict.fromkeys(words))  # one value of two sources' axes is said once


def shortened(text: str, limit: int = 60) -> str:
    """Cut a text off behind so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def one_line(text: str) -> str:
    """Join the lines of a text."""
    return " ".join(text.splitlines())


def format_path(loc: Loc) -> str:
    """Write a path as `sources.sgd.stop`, `compare[0]`, `axes['model.widths']`.

    >>> format_path(("compare", 0, "source"))
    'compare[0].source'
    """
    parts = [
        f".{step}"
        if isinstance(step, str) and re.fullmatch(r"[\w-]{1,64}", step)
        else f"[{shown(step)}]"
        for step in loc
    ]
    return "".join(parts).removeprefix(".")


def format_problem(name: str, at: LineColumn, message: str) -> str:
    """Write a problem as `file:line:column: message`."""
    line, column = at
    return f"{name}:{line}:{column}: {message}"
