"""The report as one HTML file that opens without a network."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from sweep_engine.report.drawing.plotly_json import DARK
from sweep_engine.report.drawing.plotly_page import to_plotly
from sweep_engine.report.page.contents import Page

SCRIPTS = ("filter.js", "runs.js", "plots.js", "page.js", "print.js")
"""In the order in which they need one another."""


def write_page(path: Path, page: Page) -> None:
    """Write the report; plotly's script is part of the file, so nothing is fetched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(page), encoding="utf-8")


def render_page(page: Page) -> str:
    """Render the report as HTML. All text is escaped, also within the figures' JSON."""
    template = _environment().get_template("page.html.j2")
    return template.render(
        page=page,
        plots={figure.name: to_plotly(figure) for figure in page.figures()},
        dark=DARK,
        style=_file("page.css"),
        scripts=[_file(name) for name in SCRIPTS],
        plotly_js=Markup(get_plotlyjs()),
    )


@cache  # it keeps templates that it has compiled
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {}  # axes in their order, not by the alphabet
    environment.filters["paragraphs"] = _paragraphs
    environment.filters["short"] = _short
    return environment


def _short(value: str) -> str:
    """Print an axis value; numbers with four digits."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def _file(name: str) -> Markup:
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]
