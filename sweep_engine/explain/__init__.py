"""Explanations of keys, columns, estimates and commands: the answers of `explain`.

Nothing is written here a second time: meanings are the descriptions of fields and columns and
the docstrings of classes, and whether a field may be swept is asked of an example of it.
"""

from sweep_engine.explain.book import Book, NoSuchTopic, Section
from sweep_engine.explain.commands import commands
from sweep_engine.explain.entry import Entry, Listed, Topic
from sweep_engine.explain.templates import SIMPLEST, templates, write_template
from sweep_engine.explain.text import as_map, as_text

__all__ = [
    "SIMPLEST",
    "Book",
    "Entry",
    "Listed",
    "NoSuchTopic",
    "Section",
    "Topic",
    "as_map",
    "as_text",
    "commands",
    "templates",
    "write_template",
]
