"""The report as one HTML file that opens without a network."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sweep_engine.report.figure import Figure
from sweep_engine.report.plotly_page import DARK, to_plotly


@dataclass(frozen=True)
class Row:
    """One comparison's answer, in words and one number.

    Attributes:
        setting: The point of the swept axes, or what stands for all of them.
        quantity: What is estimated, with its unit.
        low: Lower end of the interval; NaN where there is none.
        null: What the same estimate gives for two samples of one source.
        meaning: One sentence a newcomer understands.
    """

    source: str
    reference: str
    observable: str
    setting: str
    quantity: str
    value: float
    low: float = math.nan
    high: float = math.nan
    null: str = ""
    meaning: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def estimate(self) -> str:
        """The value with its interval, as printed."""
        return format_interval(self.value, self.low, self.high)


@dataclass(frozen=True)
class LedgerRow:
    """One line of the ledger; numbers are words, with their intervals.

    Attributes:
        setting: The point of the swept axes.
        observable: In which the second entry was measured.
        data: -ln P(fit), nats.
        optimiser: KL(source | prior given fit), nats, a lower bound.
        total: Their sum.
        errors: Names and values of the PAC-Bayes bound and of measured test errors.
        meaning: One sentence a newcomer understands.
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


@dataclass(frozen=True)
class Section:
    """Figures on one theme. A blank line in `text` starts a paragraph."""

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of diagnostics; the first cell of a row names it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"table {self.title!r}: expected {len(self.header)} cells a row, "
                    f"got {len(row)} in {row}"
                )


@dataclass(frozen=True)
class Page:
    """The report: the question, the answer, figures, diagnostics, provenance."""

    title: str
    question: str
    summary: tuple[Row, ...] = ()
    sections: tuple[Section, ...] = ()
    diagnostics: tuple[Table, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    ledger_words: str = ""
    ledger: tuple[LedgerRow, ...] = ()

    def __post_init__(self) -> None:
        names = [figure.name for figure in self.figures()]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"figure names must differ, repeated: {sorted(repeated)}")

    def figures(self) -> Iterator[Figure]:
        """Go through the figures in order."""
        for section in self.sections:
            yield from section.figures


def write_page(path: Path, page: Page) -> None:
    """Write the report; plotly's script is part of the file, so nothing is fetched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(page), encoding="utf-8")


def render_page(page: Page) -> str:
    """Render the report as HTML. All text is escaped, also within the figures' JSON."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["paragraphs"] = _paragraphs
    return environment.get_template("page.html.j2").render(
        page=page,
        plots={figure.name: to_plotly(figure) for figure in page.figures()},
        dark=DARK,
        plotly_js=Markup(get_plotlyjs()),
    )


def _paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


# Numbers


def format_interval(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Print an estimate and its interval with the digits that the interval supports.

    Two digits of the interval's width are kept; without a finite interval, three of the
    value. All numbers of one estimate have equally many decimals and one power of ten.

    >>> format_interval(0.12407, 0.1178, 0.1312)
    '0.124 (0.118 to 0.131)'
    >>> format_interval(math.inf, 3.2, math.inf)
    '∞ (3.20 to ∞)'
    >>> format_interval(2.31e-23)
    '2.31e−23'
    """
    power = _common_power(value, low, high)
    decimals = _decimals(value, low, high, power)
    shown, *ends = (_format(number, power, decimals) for number in (value, low, high))
    return shown if math.isnan(low) or math.isnan(high) else f"{shown} ({ends[0]} to {ends[1]})"


def _finite(*numbers: float) -> list[float]:
    return [number for number in numbers if math.isfinite(number)]


def _magnitude(number: float) -> int:
    """Exponent of the leading digit; 0 for zero."""
    return math.floor(math.log10(abs(number))) if number else 0


def _common_power(*numbers: float) -> int:
    """Power of ten to print apart, for numbers that are very small or large."""
    leading = _magnitude(max(map(abs, _finite(*numbers)), default=0.0))
    return leading if leading < -4 or leading >= 7 else 0


def _decimals(value: float, low: float, high: float, power: int) -> int:
    """Decimals to print after dividing by 10^power."""
    width = high - low
    if math.isfinite(width) and width > 0:
        decimals = 1 - _magnitude(width)
    else:
        decimals = 2 - max(map(_magnitude, _finite(value, low, high)), default=0)
    return min(max(decimals + power, 0), 12)


def _format(number: float, power: int, decimals: int) -> str:
    if math.isnan(number):
        return "not available"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{Decimal(number).scaleb(-power):,.{decimals}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return (text if power == 0 else f"{text}e{power}").replace("-", "−")
