"""What a comparison is about, in words: the two sources, and the observable's own name."""

from dataclasses import dataclass

import pyarrow as pa

from sweep_engine.spec import Comparison
from sweep_engine.spec.sweep import NETWORKS

_SHORT = {
    "l1": "L1",
    "l2": "L2",
    "lz": "LZ",
    "kl": "KL",
    "ood": "OOD",
    "frobenius": "Frobenius",
    "hessian": "Hessian",
}
"""Parts of columns' names that are not written in small letters."""

_WHICH = ("LZ", "Frobenius")
"""Last words of names that say which kind of complexity or margin it is."""

_SINGULAR = ("ss", "us", "is", "as")
"""Ends of words that have an s in the singular: loss, radius, basis, bias."""

_NOT_COLUMNS = {
    "function": "the functions that they compute",
    NETWORKS: "what they say of the same inputs",
}


@dataclass(frozen=True)
class Subject:
    """The two sides and the observable, as a sentence says them.

    Attributes:
        source: The source's name.
        reference: The reference's name; the source's own where it is looked at by itself.
        observable: In words.
        unit: Of the observable; empty where there is none.
        given: Which of the networks; empty for all.
        is_of_column: Whether the observable is one number, which can be smaller or larger.
    """

    source: str
    reference: str
    observable: str
    unit: str = ""
    given: str = ""
    is_of_column: bool = False

    @classmethod
    def of(cls, comparison: Comparison, runs: pa.Schema) -> "Subject":
        """Name what a comparison is about.

        Args:
            comparison: As in the sweep file.
            runs: Columns of `runs`, which know their units.
        """
        names = [name.strip() for name in comparison.observable.split(",")]
        one_column = comparison.is_of_columns and len(names) == 1
        words = [column_words(name) for name in names]
        return cls(
            comparison.source,
            comparison.reference,
            _NOT_COLUMNS.get(comparison.observable, " and ".join(words)),
            unit_of(runs, names[0]) if one_column else "",
            _given(comparison),
            one_column,
        )

    @property
    def networks(self) -> str:
        """The source's networks that are looked at."""
        return f"networks of {self.source}{self.given}"

    @property
    def unit_after(self) -> str:
        """The unit behind a number; nothing where it is a pure one."""
        return "" if self.unit in ("", "1", "fraction") else f" {self.unit}"

    def have(self, comparative: str) -> str:
        """Say that the source has more or less of the observable.

        Example:
            >>> Subject("sgd", "guess", "L2 norm").have("smaller")
            'networks of sgd have a smaller L2 norm than those of guess'
            >>> Subject("sgd", "guess", "steps", given=" that fit").have("larger")
            'networks of sgd that fit have larger steps than those of guess'
        """
        is_plural = self.observable.endswith("s") and not self.observable.endswith(_SINGULAR)
        article = "" if is_plural else "a "
        return (
            f"{self.networks} have {article}{comparative} {self.observable} than those of "
            f"{self.reference}"
        )


def column_words(name: str) -> str:
    """Write a column's name as words.

    Example:
        >>> column_words("l2_norm"), column_words("complexity_lz")
        ('L2 norm', 'complexity (LZ)')
    """
    words = [_SHORT.get(word, word) for word in name.split("_")]
    if len(words) > 1 and words[-1] in _WHICH:
        words[-1] = f"({words[-1]})"
    return " ".join(words)


def unit_of(runs: pa.Schema, name: str) -> str:
    """Look a column's unit up; empty where it has none."""
    if name not in runs.names:
        return ""
    unit: bytes = (runs.field(name).metadata or {}).get(b"unit", b"")
    return unit.decode()


def meaning_of(runs: pa.Schema, name: str) -> str:
    """Give the one line that a column says of itself; nothing where it says none."""
    return str((runs.field(name).metadata or {}).get(b"meaning", b"").decode())


def axis_label(runs: pa.Schema, name: str) -> str:
    """Label an axis by a column: its words and its unit."""
    words, unit = column_words(name), unit_of(runs, name)
    return f"{words}, {unit}" if unit not in ("", "1", "fraction", words) else words


def _given(comparison: Comparison) -> str:
    parts = ["that fit"] if comparison.given == "fit" else []
    parts += [
        f"with {column_words(name)} from {low:g} to {high:g}"
        for name, (low, high) in (comparison.where or {}).items()
    ]
    parts += [f"matched on {column_words(comparison.match.column)}"] if comparison.match else []
    return "".join(f" {part}" for part in parts)
