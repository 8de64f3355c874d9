"""Short tables, as which results of the Python interface print, also in notebooks."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class ShortTable:
    """A table of a few rows.

    Attributes:
        title: One line above it.
        header: The names of the columns.
        rows: As many cells each; numbers are given as text.
        notes: Lines below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def to_text(self) -> str:
        """Write it in columns; the first is aligned to the left, the others to the right.

        Example:
            >>> print(ShortTable("two", ("name", "n"), [("a", "7"), ("bc", "10")]).to_text())
            two
            name   n
            a      7
            bc    10
        """
        lines = [self.header, *self.rows]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        table = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*filter(None, [self.title]), *table, *self.notes])

    def to_html(self) -> str:
        """Write it as HTML, whose style is the notebook's own.

        Example:
            >>> ShortTable("", ("<a>",), [("1",)]).to_html()
            '<table><thead><tr><th>&lt;a&gt;</th></tr></thead><tr><td>1</td></tr></table>'
        """
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.header)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table>{title}<thead><tr>{head}</tr></thead>{rows}</table>{notes}"


class Shown:
    """Base of what prints as a short table; its `repr` stays what code can read."""

    __slots__ = ()

    @abstractmethod
    def short_table(self) -> ShortTable:
        """Say the most important of it."""

    def __str__(self) -> str:
        return self.short_table().to_text()

    def _repr_html_(self) -> str:
        return self.short_table().to_html()
