import dataclasses
import math
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sweep_engine.numbers import format_interval
from sweep_engine.report.drawing.axes import DrawnAxis
from sweep_engine.report.drawing.figure import Figure, Panel
from sweep_engine.report.drawing.marks import Line
from sweep_engine.report.page.contents import (
    AnswerGroup,
    AnswerRow,
    DecompositionRow,
    Page,
    Row,
    Section,
    Table,
)
from sweep_engine.report.page.render import render_page, write_page

EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&"


class Reader(HTMLParser):
    """The elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)


def page_of(text, figures=()):
    row = Row(text, text, text, text, text, 1.0, 0.5, 1.5, text, text, (text,))
    answer = AnswerRow(text, text, text, text, text, text, (text,))
    groups = (AnswerGroup(*(text,) * 5, (answer,)), AnswerGroup(*(text,) * 5, (answer,) * 9))
    return Page(
        title=text,
        answers=groups,
        reading=text,
        question=text,
        summary=(row,) * 6,
        sections=(Section(text, text, figures),),
        diagnostics=(Table(text, (text, text), ((text, text),) * 13), Table(text, (text,), ())),
        provenance=((text, text),),
        decomposition_words=text,
        decomposition=(DecompositionRow(*(text,) * 7, ((text, text),), text, (text,)),),
    )


def figure_of(text, name="evil"):
    x = np.arange(2.0)
    axes = DrawnAxis(text, categories=(text, text)), DrawnAxis(text)
    return Figure(name, text, text, (Panel(text, *axes, (Line(x, x, text),)),), query=text)


def test_text_stays_text_wherever_it_stands():
    evil, good = (Reader(render_page(page_of(text, (figure_of(text),)))) for text in (EVIL, "word"))
    assert [tag for tag, _ in evil.elements] == [tag for tag, _ in good.elements]
    assert [set(attrs) for _, attrs in evil.elements] == [set(attrs) for _, attrs in good.elements]
    assert EVIL in evil.text


def test_the_page_loads_nothing(every_mark):
    html = render_page(page_of("word", (every_mark,)))
    loading = ("src", "href", "srcset", "action", "data", "poster", "formaction")
    targets = [
        attrs[name] for _, attrs in Reader(html).elements for name in loading if name in attrs
    ]
    assert targets
    assert all(target.startswith(("#", "data:,")) for target in targets)
    assert "default-src 'none'" in html
    outside = html[: html.index("<script>")]
    assert not any(word in outside for word in ("http:", "https:", "@import", "url("))


def test_the_first_screen_is_question_sentences_picture_and_table(every_mark):
    page = dataclasses.replace(page_of("word"), picture=every_mark)
    html = render_page(page)
    marks = ['class="question"', 'class="sentences"', "<figure", 'id="answers"', 'id="estimates"',
             "<nav", 'id="diagnostics"', 'id="provenance"']  # fmt: skip
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places)


def test_all_headers_of_tables_have_a_scope_and_all_plots_a_label(every_mark):
    elements = Reader(render_page(page_of("word", (every_mark,)))).elements
    assert all("scope" in attrs for tag, attrs in elements if tag == "th")
    plots = [attrs for _, attrs in elements if "data-panel" in attrs]
    assert len(plots) == len(every_mark.panels)
    assert all(attrs["aria-label"] for attrs in plots)


def test_only_long_tables_collapse():
    page = dataclasses.replace(page_of("word"), decomposition=(), answers=(), summary=())
    assert Reader(render_page(page)).count("details") == 1  # their remarks open and close too


def test_plotly_is_written_once():
    figures = figure_of("one", "one"), figure_of("two", "two")
    html = render_page(page_of("word", figures))
    assert Reader(html).count("script") == 5
    assert html.count("plotly.js v") == 1


def test_a_page_without_anything_says_so(tmp_path):
    path = tmp_path / "new" / "report.html"
    write_page(path, Page("Nothing", "Why?"))
    assert "No comparison was asked for." in path.read_text(encoding="utf-8")


def test_equal_names_and_ragged_tables_are_refused():
    with pytest.raises(ValueError, match=r"repeated: \['evil'\]"):
        page_of("word", (figure_of("a"), figure_of("b")))
    with pytest.raises(ValueError, match="expected 2 cells a row, got 1"):
        Table("t", ("a", "b"), (("1",),))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.12407, 0.1178, 0.1312), "0.124 (0.118 to 0.131)"),
        ((1.90888, 1.85, 1.97), "1.91 (1.85 to 1.97)"),
        ((-69.3147, -70.2, -68.4), "−69.3 (−70.2 to −68.4)"),
        ((1234.5, 1000, 1500), "1,234 (1,000 to 1,500)"),
        ((0.0, -0.0004, 0.0004), "0.00000 (−0.00040 to 0.00040)"),
        ((2.31e-23, 2.1e-23, 2.52e-23), "2.31e−23 (2.10e−23 to 2.52e−23)"),
        ((math.inf, math.inf, math.inf), "∞ (∞ to ∞)"),
        ((math.inf, 3.2, math.inf), "∞ (3.20 to ∞)"),
        ((-math.inf,), "−∞"),
        ((0.5, 0.5, 0.5), "0.500 (0.500 to 0.500)"),
        ((0.0123,), "0.0123"),
        ((12345678.0,), "1.23e7"),
        ((3.14159, math.nan, math.nan), "3.14"),
        ((math.nan,), "not available"),
        ((math.nan, 1.0, 2.0), "not available (1.0 to 2.0)"),
        ((5e-324,), "4.94e−324"),
    ],
)
def test_format_interval(numbers, text):
    assert format_interval(*numbers) == text


def parse(text):
    numbers = text.replace("−", "-").replace(",", "").replace("∞", "inf")
    return [float(word.strip("()")) for word in numbers.split() if word != "to"]


@given(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3).map(sorted))
def test_printed_numbers_keep_their_order(numbers):
    low, value, high = numbers
    shown, *ends = parse(format_interval(value, low, high))
    assert ends[0] <= shown <= ends[1]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.floats(0, 1))
def test_the_printed_value_is_within_a_tenth_of_the_width(low, width, share):
    high = low + width
    value = min(low + share * width, high)
    assume(width > 1e-11 * max(abs(low), abs(high)))
    shown, *_ = parse(format_interval(value, low, high))
    assert abs(shown - value) <= 0.1 * (high - low)
