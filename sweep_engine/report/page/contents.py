"""The report as plain data: rows, tables and sections."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sweep_engine.numbers import format_bound, format_interval
from sweep_engine.report.drawing.figure import ANYWHERE, Figure, SweptPlace
from sweep_engine.report.places import SweptAxis


@dataclass(frozen=True)
class Row:
    """One comparison's answer, in words and one number.

    Attributes:
        setting: The point of the swept axes, or what stands for all of them.
        quantity: What is estimated, with its unit.
        low: Lower end of the interval; NaN where there is none.
        is_lower_bound: The interval is open upwards.
        null: What the same estimate gives for two samples of one source.
        meaning: One sentence a newcomer understands.
        place: Where on the swept axes.
    """

    source: str
    reference: str
    observable: str
    setting: str
    quantity: str
    value: float
    low: float = math.nan
    high: float = math.nan
    is_lower_bound: bool = False
    null: str = ""
    meaning: str = ""
    warnings: tuple[str, ...] = ()
    place: SweptPlace = ANYWHERE

    @property
    def estimate(self) -> str:
        """The value with its interval, as printed."""
        if self.is_lower_bound:
            return format_bound(self.value, self.low)
        return format_interval(self.value, self.low, self.high)


MANY_SETTINGS = 3
"""Rows of one comparison above which they fold: a figure shows them along their axis."""


@dataclass(frozen=True)
class AnswerRow:
    """The answer at one setting; numbers are words, with their intervals.

    Attributes:
        setting: The point of the swept axes, or what stands for all of them.
        source_median: Of the source; empty where the observable is no single column.
        reference_median: Of the reference.
        shift: From the reference to the source; or how different the two are.
        nats: The same in nats.
        verdict: One of `densities.Judgement`.
        remarks: What a reader must know, the reason of the verdict first.
        place: Where on the swept axes.
        anchor: The row's id on the page, for links to it.
    """

    setting: str
    source_median: str
    reference_median: str
    shift: str
    nats: str
    verdict: str
    remarks: tuple[str, ...] = ()
    place: SweptPlace = ANYWHERE
    anchor: str = ""


@dataclass(frozen=True)
class AnswerGroup:
    """The answer of one comparison: a sentence, and a row for each of its settings.

    Attributes:
        sentence: With direction and size.
        source: Its name.
        reference: Its name; empty where a source is looked at by itself.
        observable: In words.
        verdicts: How many settings have which verdict.
        spans: Of both medians and of the shift over the settings, as texts.
        rows: At least one.
    """

    sentence: str
    source: str
    reference: str
    observable: str
    verdicts: str
    rows: tuple[AnswerRow, ...]
    spans: tuple[str, str, str] = ("", "", "")

    @property
    def is_folded(self) -> bool:
        """Say whether its rows open on demand."""
        return len(self.rows) > MANY_SETTINGS


@dataclass(frozen=True)
class DecompositionRow:
    """One line of the KL decomposition; numbers are words, with their intervals.

    Attributes:
        setting: The point of the swept axes.
        observable: In which the second term was measured.
        data: -ln P(fit), nats.
        optimiser: KL(source | prior given fit), nats, a lower bound.
        total: Their sum.
        errors: Names and values of the PAC-Bayes bound and of measured test errors.
        meaning: One sentence a newcomer understands.
        place: Where on the swept axes.
    """

    source: str
    reference: str
    setting: str
    observable: str
    data: str
    optimiser: str
    total: str
    errors: tuple[tuple[str, str], ...] = ()
    meaning: str = ""
    warnings: tuple[str, ...] = ()
    place: SweptPlace = ANYWHERE


@dataclass(frozen=True)
class Link:
    """A link to a row of the answers.

    Attributes:
        text: What is there.
        anchor: The id of the place.
    """

    text: str
    anchor: str


Cell = str | tuple[Link, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names it.

    Attributes:
        rows: Cells are texts or links.
        places: Where on the swept axes each row is; left out, no row depends on them.
        over: The axes over which all rows are pooled.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    places: tuple[SweptPlace, ...] = ()
    over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.places and len(self.places) != len(self.rows):
            raise ValueError(f"table {self.title!r}: expected a place for each row or none")
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"table {self.title!r}: expected {len(self.header)} cells a row, "
                    f"got {len(row)} in {row}"
                )


@dataclass(frozen=True)
class Section:
    """Figures and tables on one theme.

    Attributes:
        text: A blank line starts a paragraph.
        answer: What the section comes to, for the first screen; empty where nothing was asked.
    """

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    answer: str = ""


@dataclass(frozen=True)
class Page:
    """The report: the question, the answer, figures, diagnostics, provenance.

    Attributes:
        answers: The first screen: sentences and a compact table.
        picture: Beside them.
        reading: How to read the table.
        summary: All headline estimates, which open on demand.
        axes: What the page can be filtered by.
        settings: By id, the axis values of each setting and its source, as text.
    """

    title: str
    question: str
    summary: tuple[Row, ...] = ()
    sections: tuple[Section, ...] = ()
    diagnostics: tuple[Table, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    decomposition_words: str = ""
    decomposition: tuple[DecompositionRow, ...] = ()
    axes: tuple[SweptAxis, ...] = ()
    settings: Mapping[int, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    answers: tuple[AnswerGroup, ...] = ()
    picture: Figure | None = None
    reading: str = ""

    def __post_init__(self) -> None:
        names = [figure.name for figure in self.figures()]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"figure names must differ, repeated: {sorted(repeated)}")

    def figures(self) -> Iterator[Figure]:
        """Go through the figures in order."""
        if self.picture is not None:
            yield self.picture
        for section in self.sections:
            yield from section.figures
