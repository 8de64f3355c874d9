"""Entries as text of at most 88 characters a line."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from sweep_engine.explain.book import Section
from sweep_engine.explain.entry import Entry, Listed

WIDTH = 88
_NAMES_AT_MOST = 28


def as_text(entry: Entry) -> str:
    """Write an entry."""
    parts = [f"{entry.path}: {entry.title}", _indented(entry.meaning), _facts(entry)]
    lists = {
        "kinds": entry.kinds,
        "below it": entry.fields,
        "columns": entry.columns,
    }
    parts += [f"{title}\n{_table(listed)}" for title, listed in lists.items() if listed]
    if entry.example:
        parts.append(f"example\n{textwrap.indent(entry.example, '  ')}")
    if entry.source:
        parts.append(f"source\n{_wrapped(entry.source, '  ')}")
    return "\n\n".join(filter(None, parts))


def as_map(sections: Sequence[Section]) -> str:
    """Write the map: the first section's names with a line each, the others' names alone."""
    first, *others = sections
    lines = ["sweep-engine explain PATH", "", f"{first.title} (explain {first.ask})"]
    lines += [_table(first.names)]
    for section in others:
        lines += ["", f"{section.title} (explain {section.ask})"]
        names = ", ".join(listed.name for listed in section.names)
        lines += [_wrapped(names, "  ")] if names else []
    return "\n".join(lines)


def _facts(entry: Entry) -> str:
    facts = {
        "type": entry.type,
        "unit": entry.unit,
        "default": entry.default,
        "swept": entry.sweepable,
    }
    return "\n".join(
        _wrapped(text, " " * 11, first=f"  {name:<9}") for name, text in facts.items() if text
    )


def _indented(text: str) -> str:
    """Indent paragraphs, wrapped anew; what is indented itself stays as it is."""
    return "\n".join(_paragraphs(text.splitlines())).rstrip()


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in (*lines, ""):
        if line and not line.startswith(" "):
            paragraph.append(line)
            continue
        if paragraph:
            yield _wrapped(" ".join(paragraph), "  ")
            paragraph = []
        yield f"  {line}".rstrip()


def _table(listed: Sequence[Listed]) -> str:
    width = min(max(len(each.name) for each in listed), _NAMES_AT_MOST)
    return "\n".join(_row(each, width) for each in listed)


def _row(listed: Listed, width: int) -> str:
    if not listed.meaning:
        return f"  {listed.name}"
    indent = " " * (width + 4)
    if len(listed.name) > width:
        return f"  {listed.name}\n{_wrapped(listed.meaning, indent)}"
    return _wrapped(listed.meaning, indent, first=f"  {listed.name:<{width}}  ")


def _wrapped(text: str, indent: str, first: str | None = None) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
